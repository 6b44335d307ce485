"""Where the deployment is that a command speaks to: a local cloud's `local.json`, or AWS by environment, profile and stack."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from glaciate_cli.errors import NotConfigured, Unreachable

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

# Dead-letter queues by name: `<stack>-<name>-dead-letters`. A test holds both lists to the templates.
QUEUES: Final = ("pack", "thaw", "unpack", "notify")  # of queues
FUNCTIONS: Final = ("archive-intake-schedule", "packer-launch", "restore-intake-sweep", "unpacker-launch")  # of calls
LONGEST_CALL_SECONDS: Final = 300
_LOCAL_JSON: Final = Path(".glaciate") / "local.json"
_HELP: Final = (
    "No deployment found. Start the local cloud with `make up` (its .glaciate/local.json is looked for from the working "
    "directory upward), or set GLACIATE_API_URL, or GLACIATE_STACK, and the usual AWS environment."
)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and its dead-letter queue, by URL."""

    name: str
    url: str
    dead_letters_url: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function, by its name in AWS, and the URL of the queue that holds the calls it never answered."""

    name: str
    function_name: str
    dead_letters_url: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is known of a deployment; what is not is asked of its CloudFormation stack when it is needed."""

    session: botocore.session.Session
    region: str
    project: str | None = None
    known_api_url: str | None = None
    known_queues: tuple[Queue, ...] = ()
    known_functions: tuple[Function, ...] = ()
    endpoint_url: str | None = None
    stack: str | None = None

    def api_url(self) -> str:
        """The API's address with its stage, without a slash at the end.

        Raises:
            NotConfigured: neither known nor an output of the stack.
        """
        if self.known_api_url:
            return self.known_api_url.rstrip("/")
        return self._outputs("ApiUrl")["ApiUrl"].rstrip("/")

    def queue(self, name: str) -> Queue:
        """The queue of that name.

        Raises:
            NotConfigured: neither known nor an output of the stack.
        """
        for queue in self.known_queues:
            if queue.name == name:
                return queue
        url, dead_letters = queue_outputs(name)
        outputs = self._outputs(url, dead_letters)
        return Queue(name, outputs[url], outputs[dead_letters])

    def function(self, name: str) -> Function:
        """The function of that name.

        Raises:
            NotConfigured: neither known nor an output of the stack.
        """
        for function in self.known_functions:
            if function.name == name:
                return function
        if self.known_queues:
            msg = f"local.json does not name {name}: `make down` and `make up` write it anew."
            raise NotConfigured(msg)
        function_name, dead_letters = function_outputs(name)
        outputs = self._outputs(function_name, dead_letters)
        return Function(name, outputs[function_name], outputs[dead_letters])

    def credentials(self) -> Credentials:
        """The caller's credentials; they renew themselves where they expire.

        Raises:
            NotConfigured: there are none.
        """
        with told_plainly():
            found = self.session.get_credentials()
        if found is None:
            msg = "No AWS credentials found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            raise NotConfigured(msg)
        return found

    def sqs(self) -> "SQSClient":
        """SQS with the caller's own credentials."""
        self.credentials()
        return cast("SQSClient", self.session.create_client("sqs", **self._client_options()))

    def functions(self) -> "LambdaClient":
        """Lambda with the caller's own credentials; it waits as long as the longest function may take."""
        self.credentials()
        options = self._client_options(read_timeout_seconds=LONGEST_CALL_SECONDS + 30)
        return cast("LambdaClient", self.session.create_client("lambda", **options))

    def _client_options(self, *, read_timeout_seconds: int = 30) -> dict[str, Any]:
        config = Config(
            connect_timeout=5,
            read_timeout=read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": 4},
        )
        return {"region_name": self.region, "endpoint_url": self.endpoint_url, "config": config}

    def _outputs(self, *wanted: str) -> Mapping[str, str]:
        if self.stack is None:
            msg = f"{_HELP} (for {', '.join(wanted)})"
            raise NotConfigured(msg)
        self.credentials()
        client = cast("CloudFormationClient", self.session.create_client("cloudformation", **self._client_options()))
        with told_plainly():
            described = client.describe_stacks(StackName=self.stack)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        if missing := [name for name in wanted if name not in outputs]:
            msg = f"Stack {self.stack} has no output {', '.join(missing)}: is it Glaciate's, and of this version?"
            raise NotConfigured(msg)
        return outputs


def queue_outputs(name: str) -> tuple[str, str]:
    """The stack's outputs with a queue's URL, and with that of its dead letters."""
    return f"{_titled(name)}QueueUrl", f"{_titled(name)}DeadLettersUrl"


def function_outputs(name: str) -> tuple[str, str]:
    """The stack's outputs with a function's name, and with the URL of its dead letters."""
    return f"{_titled(name)}Function", f"{_titled(name)}DeadLettersUrl"


def _titled(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns what botocore raises into a failure that is shown without a stack trace."""
    try:
        yield
    except ClientError as error:
        problem = error.response.get("Error", {})
        code = problem.get("Code", "ClientError")
        msg = f"AWS refused {error.operation_name}: {problem.get('Message') or code}"
        raise Unreachable(msg, code=code) from error
    except BotoCoreError as error:
        raise Unreachable(str(error), code=type(error).__name__) from error


def find_deployment(
    env: Mapping[str, str], *, working_directory: Path, local_json: Path | None = None, stack: str | None = None
) -> Deployment:
    """The deployment to speak to. In this order: the file or stack named on the command line, `GLACIATE_API_URL`,
    `GLACIATE_STACK`, `GLACIATE_LOCAL_DIR`, and `.glaciate/local.json` from the working directory upward.

    Raises:
        NotConfigured: none of them is there, or the file cannot be read.
    """
    if local_json is not None:
        return _local(local_json, env)
    if stack is not None:
        return _aws(env, api_url=None, stack=stack)  # an address of another deployment must not win over its name
    if env.get("GLACIATE_API_URL") or env.get("GLACIATE_STACK"):
        return _aws(env, api_url=env.get("GLACIATE_API_URL"), stack=env.get("GLACIATE_STACK"))
    if folder := env.get("GLACIATE_LOCAL_DIR"):
        return _local(Path(folder) / "local.json", env)
    for parent in (working_directory, *working_directory.parents):
        if (parent / _LOCAL_JSON).is_file():
            return _local(parent / _LOCAL_JSON, env)
    raise NotConfigured(_HELP)


def _local(path: Path, env: Mapping[str, str]) -> Deployment:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        urls = found["queues"]
        session = botocore.session.Session()
        session.set_credentials(found["access_key_id"], found["secret_access_key"])
        return Deployment(
            session=session,
            region=found["region"],
            project=env.get("GLACIATE_PROJECT") or found["project"],
            known_api_url=found["api_url"],
            known_queues=tuple(Queue(name, urls[name], urls[f"{name}_dlq"]) for name in QUEUES),
            known_functions=tuple(
                Function(name, function["name"], function["dlq"])
                for name, function in found.get("functions", {}).items()
            ),
            endpoint_url=found["aws_endpoint_url"],
        )
    except FileNotFoundError as error:
        msg = f"There is no {path}: is the local cloud up? `make up` starts it."
        raise NotConfigured(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise NotConfigured(msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is not a local cloud's: {type(error).__name__} {error}. `make down` and `make up` write it anew."
        raise NotConfigured(msg) from error


def _aws(env: Mapping[str, str], *, api_url: str | None, stack: str | None) -> Deployment:
    if api_url and urlsplit(api_url).scheme not in {"http", "https"}:
        msg = f"GLACIATE_API_URL is not an address: {api_url!r}"
        raise NotConfigured(msg)
    session = botocore.session.Session()
    try:
        region = env.get("AWS_REGION") or session.get_config_variable("region") or _region_of(api_url)
    except ProfileNotFound as error:
        raise NotConfigured(str(error)) from error
    if region is None:
        msg = "No AWS region: set AWS_REGION."
        raise NotConfigured(msg)
    return Deployment(
        session=session, region=region, project=env.get("GLACIATE_PROJECT"), known_api_url=api_url, stack=stack
    )


def _region_of(api_url: str | None) -> str | None:
    host = (urlsplit(api_url).hostname or "").split(".") if api_url else []
    return host[2] if len(host) > 3 and host[1] == "execute-api" else None
