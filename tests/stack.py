"""The templates, as tests look at them: every resource of every service, and what refers to what."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glaciate_local.package import read_template

ROOT = Path(__file__).resolve().parents[1]
INFRA = ROOT / "infra"
SERVICES = ("archive-intake", "packer", "restore-intake", "unpacker", "notifier")
ROOT_TEMPLATE = read_template(INFRA / "template.yaml")
NESTED = {path.stem: read_template(path) for path in sorted((INFRA / "services").glob("*.yaml"))}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a nested template."""

    template: str
    name: str
    kind: str
    document: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """Its properties, with the template's Globals for functions."""
        own = self.document.get("Properties", {})
        if self.kind != "AWS::Serverless::Function":
            return dict(own)
        shared = NESTED[self.template]["Globals"]["Function"]
        variables = {**shared["Environment"]["Variables"], **own.get("Environment", {}).get("Variables", {})}
        return {**shared, **own, "Environment": {"Variables": variables}}

    def __str__(self) -> str:
        return f"{self.template}.{self.name}"


def resources(kind: str | None = None) -> list[Resource]:
    """Every resource of every nested template; of one type, where it is named."""
    return [
        Resource(template, name, resource["Type"], resource)
        for template, document in NESTED.items()
        for name, resource in document["Resources"].items()
        if kind in {None, resource["Type"]}
    ]


def resource(template: str, name: str) -> Resource:
    """One resource by its logical id."""
    document = NESTED[template]["Resources"][name]
    return Resource(template, name, document["Type"], document)


def target_of(reference: Any) -> str | None:
    """The logical id that a Ref or GetAtt names."""
    if not isinstance(reference, dict):
        return None
    if "Ref" in reference:
        return str(reference["Ref"])
    if "Fn::GetAtt" in reference:
        return str(reference["Fn::GetAtt"][0])
    return None


def physical_name(queue_or_alarm: Any) -> str:
    """A name as the template writes it, without the stack's prefix: `${Prefix}-pack` is `pack`."""
    text = queue_or_alarm["Fn::Sub"]
    assert text.startswith("${Prefix}-"), text
    return str(text.removeprefix("${Prefix}-"))


def queues() -> list[Resource]:
    """Every queue that is not there for dead letters."""
    return [queue for queue in resources("AWS::SQS::Queue") if not is_for_dead_letters(queue)]


def dead_letter_queues() -> list[Resource]:
    """Every queue for dead letters."""
    return [queue for queue in resources("AWS::SQS::Queue") if is_for_dead_letters(queue)]


def is_for_dead_letters(queue: Resource) -> bool:
    """By its name."""
    return physical_name(queue.properties["QueueName"]).endswith("-dead-letters")


def functions() -> list[Resource]:
    """Every Lambda function."""
    return resources("AWS::Serverless::Function")


def job_definitions() -> list[Resource]:
    """Every worker."""
    return resources("AWS::Batch::JobDefinition")


def alarms() -> list[Resource]:
    """Every alarm."""
    return resources("AWS::CloudWatch::Alarm")


def environment(of: Resource) -> dict[str, Any]:
    """The variables of a function or a worker."""
    if of.kind == "AWS::Batch::JobDefinition":
        return {one["Name"]: one["Value"] for one in of.properties["ContainerProperties"]["Environment"]}
    variables: dict[str, Any] = of.properties["Environment"]["Variables"]
    return variables


def statements(role: Resource) -> Iterator[dict[str, Any]]:
    """Every statement of a role's own policies, those under a condition too."""
    for policy in role.properties.get("Policies", []):
        chosen = policy["Fn::If"][1] if "Fn::If" in policy else policy
        yield from chosen["PolicyDocument"]["Statement"]


def as_list(value: Any) -> list[Any]:
    """One or many, as many."""
    return value if isinstance(value, list) else [value]


def sqs_consumers(queue: Resource) -> list[Resource]:
    """The functions that an event source mapping feeds from the queue."""
    return [
        function
        for function in functions()
        if function.template == queue.template
        for event in function.properties.get("Events", {}).values()
        if event["Type"] == "SQS" and target_of(event["Properties"]["Queue"]) == queue.name
    ]
