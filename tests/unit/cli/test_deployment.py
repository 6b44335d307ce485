"""Where a command finds the deployment it speaks to."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.glaciate_http import LOCAL, Glaciate
from glaciate_cli.deployment import find_deployment
from glaciate_cli.errors import NotConfigured

API = "https://abc.execute-api.eu-central-1.amazonaws.com/live/"


def find(env: Mapping[str, str], folder: Path) -> str:
    return find_deployment(env, working_directory=folder).api_url()


def test_the_local_cloud_is_found_from_a_folder_below(local_json: Path, tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    assert find({}, below) == LOCAL["api_url"]


def test_the_local_clouds_folder_can_be_named(local_json: Path) -> None:
    assert find({"GLACIATE_LOCAL_DIR": str(local_json.parent)}, Path("/")) == LOCAL["api_url"]


def test_an_address_in_the_environment_wins_over_a_local_cloud_found(local_json: Path, tmp_path: Path) -> None:
    assert find({"GLACIATE_API_URL": API}, tmp_path) == API.rstrip("/")


def test_a_file_named_on_the_command_line_wins_over_the_environment(local_json: Path) -> None:
    found = find_deployment({"GLACIATE_API_URL": API}, working_directory=Path("/"), local_json=local_json)

    assert found.api_url() == LOCAL["api_url"]


def test_a_stack_named_on_the_command_line_is_not_called_at_another_s_address(tmp_path: Path) -> None:
    env = {"GLACIATE_API_URL": API, "GLACIATE_STACK": "live"}

    found = find_deployment(env, working_directory=tmp_path, stack="staging")

    assert (found.known_api_url, found.stack) == (None, "staging")


def test_the_region_is_read_from_the_address_where_nothing_else_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    assert find_deployment({"GLACIATE_API_URL": API}, working_directory=tmp_path).region == "eu-central-1"


def test_queues_are_those_of_the_local_cloud(local_json: Path, tmp_path: Path) -> None:
    queue = find_deployment({}, working_directory=tmp_path).queue("thaw")

    assert queue.url.endswith("/thaw")
    assert queue.dead_letters_url.endswith("/thaw_dlq")


def test_queues_on_aws_need_the_stacks_name(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="PackQueueUrl, PackDeadLettersUrl"):
        find_deployment({"GLACIATE_API_URL": API}, working_directory=tmp_path).queue("pack")


def test_without_any_deployment_the_command_says_what_to_do(
    glaciate: Glaciate, local_json: Path, tmp_path: Path
) -> None:
    local_json.unlink()

    result = glaciate("files")

    assert result.exit_code == 5
    assert "make up" in result.stderr
    assert "GLACIATE_API_URL" in result.stderr
    assert "Traceback" not in result.output


def test_a_local_json_that_is_not_there_is_named(glaciate: Glaciate, tmp_path: Path) -> None:
    result = glaciate("files", "--local-json", str(tmp_path / "gone.json"))

    assert result.exit_code == 5
    assert "gone.json" in result.stderr


@pytest.mark.parametrize("content", ["", "[]", "null", '{"api_url": "x"}', "\x00"])
def test_a_damaged_local_json_is_told_plainly(glaciate: Glaciate, local_json: Path, content: str) -> None:
    local_json.write_text(content)

    result = glaciate("files", "--json")

    assert result.exit_code == 5
    assert json.loads(result.stderr)["error"]["code"] == "NotConfigured"


def test_missing_credentials_are_told_plainly(
    glaciate: Glaciate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    nothing = str(tmp_path / "nothing")

    result = glaciate(
        "files",
        "--project", "demo",
        env={"GLACIATE_API_URL": API, "AWS_SHARED_CREDENTIALS_FILE": nothing, "AWS_CONFIG_FILE": nothing},
    )  # fmt: skip

    assert result.exit_code == 5
    assert "No AWS credentials found" in result.stderr


def test_a_profile_that_does_not_exist_is_told_plainly(glaciate: Glaciate) -> None:
    result = glaciate("files", "--project", "demo", env={"GLACIATE_API_URL": API, "AWS_PROFILE": "nobody"})

    assert result.exit_code == 5
    assert "nobody" in result.stderr
