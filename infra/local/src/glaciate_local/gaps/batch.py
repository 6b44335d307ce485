"""AWS Batch that runs its jobs: MiniStack's own says SUCCEEDED and runs nothing.

A job definition's image `…/glaciate-packer:tag` stands for the folder `build/workers/packer`, which holds what the
image would hold; its command runs there as a process with the job's environment and its role's credentials.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import error_response_json, new_uuid
from ministack.services import batch

from glaciate_local.gaps.batch_jobs import LIVE, OVER, BatchJobs, Record, now_ms, visible
from glaciate_local.gaps.gap import Gap
from glaciate_local.settings import LocalSettings

Answer = tuple[int, dict[str, str], bytes]
REF = re.compile(r"Ref::([A-Za-z0-9_-]+)")
REQUEST_LIMIT_BYTES = 30 * 1024
PAGE = 1000
SHOWN_IN_LISTS = (
    *("jobArn", "jobId", "jobName", "createdAt", "status", "statusReason", "startedAt", "stoppedAt"),
    *("arrayProperties", "jobDefinition", "isCancelled", "isTerminated"),
)


class ClientException(Exception):
    """Batch refuses the request."""


def by_name_or_arn(store: Any, given: str, kind: str) -> Record:
    """A queue or compute environment by its name or ARN."""
    name = given.rsplit("/", 1)[-1]
    if name not in store:
        raise ClientException(f"{kind} {given} does not exist")
    found: Record = store[name]
    return found


def definition_of(given: str) -> Record:
    """A job definition by name (newest active revision), name:revision or ARN."""
    name, _, revision = given.rsplit("/", 1)[-1].partition(":")
    revisions = batch._job_definitions.get(name, [])
    wanted = [one for one in revisions if one["status"] == "ACTIVE" and revision in ("", str(one["revision"]))]
    if not wanted:
        raise ClientException(f"Job definition {given} does not exist or is not active")
    found: Record = wanted[-1]
    return found


def register_job_definition(request: Record) -> Record:
    """RegisterJobDefinition, keeping every property."""
    if not request.get("jobDefinitionName"):
        raise ClientException("jobDefinitionName is required")
    if request.get("type", "container") != "container":
        raise ClientException("the local cloud runs job definitions of type container only")
    container = request.get("containerProperties", {})
    if not container.get("image"):
        raise ClientException("containerProperties.image is required")
    name = request["jobDefinitionName"]
    revisions = batch._job_definitions.setdefault(name, [])
    record = {
        "parameters": {},
        "retryStrategy": {"attempts": 1, "evaluateOnExit": []},
        "tags": {},
        "platformCapabilities": ["EC2"],
        **request,
        "jobDefinitionArn": batch._jd_arn(name, len(revisions) + 1),
        "revision": len(revisions) + 1,
        "status": "ACTIVE",
        "type": "container",
    }
    revisions.append(record)
    return {key: record[key] for key in ("jobDefinitionName", "jobDefinitionArn", "revision")}


def deregister_job_definition(request: Record) -> Record:
    """DeregisterJobDefinition: an inactive revision takes no more jobs."""
    definition_of(request["jobDefinition"])["status"] = "INACTIVE"
    return {}


def describe_job_definitions(request: Record) -> Record:
    """DescribeJobDefinitions by ARN or name:revision, name, status, or all."""
    everything = [one for revisions in batch._job_definitions.values() for one in revisions]
    asked = [one.rsplit("/", 1)[-1] for one in request.get("jobDefinitions") or []]
    return {
        "jobDefinitions": [
            one
            for one in everything
            if (not asked or one["jobDefinitionArn"].rsplit("/", 1)[-1] in asked)
            and request.get("jobDefinitionName") in (None, one["jobDefinitionName"])
            and request.get("status") in (None, one["status"])
        ]
    }


def update_job_queue(request: Record) -> Record:
    """UpdateJobQueue."""
    queue = by_name_or_arn(batch._job_queues, request["jobQueue"], "Job queue")
    queue |= {key: request[key] for key in ("state", "priority", "computeEnvironmentOrder") if key in request}
    return {"jobQueueName": queue["jobQueueName"], "jobQueueArn": queue["jobQueueArn"]}


def delete_job_queue(request: Record) -> Record:
    """DeleteJobQueue; a queue that is gone already is fine, as on AWS."""
    batch._job_queues.pop(request["jobQueue"].rsplit("/", 1)[-1], None)
    return {}


def delete_compute_environment(request: Record) -> Record:
    """DeleteComputeEnvironment, refused while a job queue uses it."""
    name = request["computeEnvironment"].rsplit("/", 1)[-1]
    for queue in batch._job_queues.values():
        if any(one["computeEnvironment"].rsplit("/", 1)[-1] == name for one in queue["computeEnvironmentOrder"]):
            raise ClientException(f"Cannot delete {name}: found existing JobQueue relationship")
    batch._compute_envs.pop(name, None)
    return {}


def merged_container(definition: Record, overrides: Record, parameters: dict[str, str]) -> Record:
    """The container a job runs: the definition's, overridden, with `Ref::name` replaced by the parameters."""
    container = {
        "command": [],
        "resourceRequirements": [],
        "volumes": [],
        "mountPoints": [],
        "ulimits": [],
        "secrets": [],
        "networkInterfaces": [],
        **definition["containerProperties"],
    }
    environment = {one["name"]: one for one in container.get("environment", [])}
    environment |= {one["name"]: one for one in overrides.get("environment", [])}
    resources = {one["type"]: one for one in container["resourceRequirements"]}
    resources |= {one["type"]: one for one in overrides.get("resourceRequirements", [])}
    command = overrides.get("command") or container["command"]
    if not command:
        raise ClientException("a job needs a command, in its definition or in containerOverrides")
    return {
        **container,
        "environment": list(environment.values()),
        "resourceRequirements": list(resources.values()),
        "command": [REF.sub(lambda found: parameters.get(found[1], found[0]), word) for word in command],
    }


class BatchApi:
    """The job calls of the Batch API over the runner."""

    def __init__(self, jobs: BatchJobs) -> None:
        self._jobs = jobs

    def submit_job(self, request: Record) -> Record:
        """SubmitJob: one job, or an array with a job per index."""
        if len(json.dumps(request).encode()) > REQUEST_LIMIT_BYTES:
            raise ClientException("SubmitJob takes at most 30 KiB")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", request.get("jobName", "")):
            raise ClientException(f"jobName {request.get('jobName')!r} is not valid")
        for unsupported in ("dependsOn", "nodeOverrides", "eksPropertiesOverride", "ecsPropertiesOverride"):
            if request.get(unsupported):
                raise ClientException(f"the local cloud does not do {unsupported}")
        queue = by_name_or_arn(batch._job_queues, request["jobQueue"], "Job queue")
        if queue["state"] != "ENABLED":
            raise ClientException(f"Job queue {queue['jobQueueName']} is not enabled")
        size = request.get("arrayProperties", {}).get("size")
        if size is not None and not 2 <= size <= 10_000:
            raise ClientException("arrayProperties.size must be from 2 to 10000")
        job = self._record(request, queue)
        if size is None:
            batch._jobs[job["jobId"]] = job
            self._jobs.start(job, app._MAIN_LOOP)
            return {key: job[key] for key in ("jobArn", "jobName", "jobId")}
        job["arrayProperties"] = {"size": size, "statusSummary": {}}
        batch._jobs[job["jobId"]] = job
        for index in range(size):
            child = {**self._record(request, queue), "arrayProperties": {"index": index}, "_counted": ""}
            child |= {"jobId": f"{job['jobId']}:{index}", "jobArn": f"{job['jobArn']}:{index}", "_arraySize": size}
            batch._jobs[child["jobId"]] = child
            self._jobs.start(child, app._MAIN_LOOP)
        return {key: job[key] for key in ("jobArn", "jobName", "jobId")}

    def describe_jobs(self, request: Record) -> Record:
        """DescribeJobs: the ones that exist, by id or ARN."""
        ids = [one.partition(":job/")[2] or one for one in request.get("jobs") or []]
        if len(ids) > 100:
            raise ClientException("DescribeJobs takes at most 100 jobs")
        return {"jobs": [visible(batch._jobs[one]) for one in ids if one in batch._jobs]}

    def list_jobs(self, request: Record) -> Record:
        """ListJobs of one queue, or the children of one array; RUNNING ones unless a status is named."""
        given = [key for key in ("jobQueue", "arrayJobId", "multiNodeJobId") if request.get(key)]
        if len(given) != 1:
            raise ClientException("exactly one of jobQueue, arrayJobId and multiNodeJobId is needed")
        if request.get("filters"):
            raise ClientException("the local cloud does not do filters of ListJobs")
        status = request.get("jobStatus", "RUNNING")
        if status not in (*LIVE, *OVER):
            raise ClientException(f"jobStatus {status!r} is not valid")
        if given == ["jobQueue"]:
            arn = by_name_or_arn(batch._job_queues, request["jobQueue"], "Job queue")["jobQueueArn"]
            found = [one for one in batch._jobs.values() if one["jobQueue"] == arn and ":" not in one["jobId"]]
        else:
            found = [one for one in batch._jobs.values() if one["jobId"].startswith(f"{request[given[0]]}:")]
        found = [one for one in found if one["status"] == status]
        start = int(request.get("nextToken") or 0)
        end = start + min(request.get("maxResults") or PAGE, PAGE)
        page = {"jobSummaryList": [summary(one) for one in found[start:end]]}
        return page | ({"nextToken": str(end)} if end < len(found) else {})

    def terminate_job(self, request: Record) -> Record:
        """TerminateJob: SIGTERM, SIGKILL after the grace period, FAILED with the reason given."""
        self._stop(request, "isTerminated", LIVE)
        return {}

    def cancel_job(self, request: Record) -> Record:
        """CancelJob: only what has not started yet."""
        self._stop(request, "isCancelled", ("SUBMITTED", "PENDING", "RUNNABLE"))
        return {}

    def _stop(self, request: Record, mark: str, states: tuple[str, ...]) -> None:
        if not request.get("reason"):
            raise ClientException("reason is required")
        job = batch._jobs.get(request["jobId"])
        if job is None:
            return
        for one in [job, *(child for child in batch._jobs.values() if child["jobId"].startswith(f"{job['jobId']}:"))]:
            if one["status"] in states:
                one[mark] = True
                self._jobs.stop(one, request["reason"])

    def _record(self, request: Record, queue: Record) -> Record:
        definition = definition_of(request["jobDefinition"])
        parameters = {**definition["parameters"], **request.get("parameters", {})}
        job_id = new_uuid()
        timeout = request.get("timeout") or definition.get("timeout")
        if timeout and timeout["attemptDurationSeconds"] < 1:
            raise ClientException("attemptDurationSeconds must be at least 1")
        return {
            "jobId": job_id,
            "jobArn": batch._job_arn(job_id),
            "jobName": request["jobName"],
            "jobQueue": queue["jobQueueArn"],
            "jobDefinition": definition["jobDefinitionArn"],
            "status": "SUBMITTED",
            "createdAt": now_ms(),
            "attempts": [],
            "dependsOn": [],
            "parameters": parameters,
            "retryStrategy": {"attempts": 1, **definition["retryStrategy"], **(request.get("retryStrategy") or {})},
            "container": merged_container(definition, request.get("containerOverrides") or {}, parameters),
            "tags": {**definition["tags"], **request.get("tags", {})},
            "platformCapabilities": definition["platformCapabilities"],
            **({"timeout": timeout} if timeout else {}),
            "_definitionName": definition["jobDefinitionName"],
            "_computeEnvironment": queue["computeEnvironmentOrder"][0]["computeEnvironment"].rsplit("/", 1)[-1],
        }


def summary(job: Record) -> Record:
    """A job as ListJobs shows it."""
    container = {key: job["container"][key] for key in ("exitCode", "reason") if key in job["container"]}
    return {key: job[key] for key in SHOWN_IN_LISTS if key in job} | ({"container": container} if container else {})


def answered(action: Callable[[Record], Record]) -> Callable[[Record], Answer]:
    """The action as MiniStack's dispatcher calls it."""

    def answer(request: Record) -> Answer:
        try:
            return 200, {"Content-Type": "application/json"}, json.dumps(action(request)).encode()
        except ClientException as refused:
            refusal: Answer = error_response_json("ClientException", str(refused), 400)
            return refusal

    return answer


running_jobs: BatchJobs | None = None


def run_jobs(settings: LocalSettings) -> None:
    """Let Batch run its jobs."""
    global running_jobs  # noqa: PLW0603
    running_jobs = BatchJobs(settings, batch._jobs)
    api = BatchApi(running_jobs)
    batch._DISPATCH |= {
        f"/v1/{name}": answered(action)
        for name, action in {
            "registerjobdefinition": register_job_definition,
            "deregisterjobdefinition": deregister_job_definition,
            "describejobdefinitions": describe_job_definitions,
            "updatejobqueue": update_job_queue,
            "deletejobqueue": delete_job_queue,
            "deletecomputeenvironment": delete_compute_environment,
            "submitjob": api.submit_job,
            "describejobs": api.describe_jobs,
            "listjobs": api.list_jobs,
            "terminatejob": api.terminate_job,
            "canceljob": api.cancel_job,
        }.items()
    }


def name_resources_to_iam(_: LocalSettings) -> None:
    """Let policies name job queues, definitions and jobs; MiniStack asks IAM about `*` for every Batch call."""
    resource_alone, enforce_alone = iam_actions.extract_resource_arn, iam_evaluator.enforce

    def extract_resource_arn(  # noqa: PLR0917
        service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str, account: str
    ) -> str:
        if service != "batch" or not body:
            arn: str = resource_alone(service, method, path, headers, body, params, region, account)
            return arn
        request = json.loads(body)
        prefix = f"arn:aws:batch:{region}:{account}:"
        action = path.rstrip("/").rsplit("/", 1)[-1]
        if action == "submitjob":
            named = (("job-queue", request.get("jobQueue", "")), ("job-definition", request.get("jobDefinition", "")))
            return " ".join(name if name.startswith("arn:") else f"{prefix}{kind}/{name}" for kind, name in named)
        return f"{prefix}job/{request['jobId']}" if action in ("terminatejob", "canceljob") else "*"

    def enforce(access_key: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
        for arn in resource_arn.split(" ") if service == "batch" else [resource_arn]:
            if denied := enforce_alone(access_key, action, service, region, resource_arn=arn, **more):
                return denied
        return None

    iam_actions.extract_resource_arn = extract_resource_arn
    iam_evaluator.enforce = enforce


GAPS = (
    Gap("batch runs jobs", "runs a job's command, with arrays, attempts, timeouts and events", run_jobs),
    Gap("batch resources in policies", "lets policies name job queues and jobs", name_resources_to_iam),
)
