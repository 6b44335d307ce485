"""The root template: what it takes, what it passes on, what it tells; and the SAM translator understands all of it."""

import copy
from types import SimpleNamespace

import pytest
from samtranslator.translator.transform import transform

from glaciate_cli.deployment import FUNCTIONS, QUEUES, function_outputs, queue_outputs
from stack import INFRA, NESTED, ROOT_TEMPLATE

STACKS = {
    one["Properties"]["TemplateURL"].removeprefix("services/").removesuffix(".yaml"): one["Properties"]
    for one in ROOT_TEMPLATE["Resources"].values()
}
OUTPUTS = {
    *("ApiUrl", "ApiId", "VaultBucket", "WorkBucket", "RestoreBucket", "FilesTable", "ArchivesTable", "JobsTable"),
    *(output for name in QUEUES for output in queue_outputs(name)),
    *(output for name in FUNCTIONS for output in function_outputs(name)),
    *("TopicArn", "EventBusName"),
}


def test_every_template_is_part_of_the_stack() -> None:
    assert set(STACKS) == set(NESTED)


def test_it_tells_what_clients_and_operators_need() -> None:
    assert set(ROOT_TEMPLATE["Outputs"]) == OUTPUTS


@pytest.mark.parametrize("name", NESTED)
def test_a_nested_template_gets_just_the_parameters_it_takes(name: str) -> None:
    assert set(STACKS[name]["Parameters"]) == set(NESTED[name]["Parameters"])


@pytest.mark.parametrize("name", NESTED)
def test_what_is_asked_of_another_template_is_told_by_it(name: str) -> None:
    by_logical_id = {
        logical: NESTED[one["Properties"]["TemplateURL"].removeprefix("services/").removesuffix(".yaml")]
        for logical, one in ROOT_TEMPLATE["Resources"].items()
    }

    asked = [
        (value["Fn::GetAtt"][0], value["Fn::GetAtt"][1].removeprefix("Outputs."))
        for value in STACKS[name]["Parameters"].values()
        if isinstance(value, dict) and "Fn::GetAtt" in value
    ]

    for logical, output in asked:
        assert output in by_logical_id[logical]["Outputs"], f"{logical}.{output}"


def test_every_parameter_has_a_default_a_group_and_a_use() -> None:
    grouped = [
        name
        for group in ROOT_TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        for name in group["Parameters"]
    ]

    assert sorted(grouped) == sorted(ROOT_TEMPLATE["Parameters"])
    assert all("Default" in parameter for parameter in ROOT_TEMPLATE["Parameters"].values())


@pytest.mark.parametrize("name", NESTED)
def test_the_sam_translator_takes_it(name: str) -> None:
    template = copy.deepcopy(NESTED[name])
    for resource in template["Resources"].values():  # packaging has done this before SAM sees it
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)

    plain = transform(template, {}, SimpleNamespace(load=dict)) if "Transform" in template else template

    assert not [one for one in plain["Resources"].values() if one["Type"].startswith("AWS::Serverless::")]


def test_there_is_one_template_for_each_service_and_two_for_what_they_share() -> None:
    services = {folder.name for folder in (INFRA.parent / "services").iterdir() if folder.is_dir()}

    assert set(NESTED) == services | {"foundation", "api"}
