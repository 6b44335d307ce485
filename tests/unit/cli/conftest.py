import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.glaciate_http import LOCAL, FakeGlaciateHttp, Glaciate
from glaciate_cli.context import Surroundings
from glaciate_cli.main import main


@pytest.fixture
def api() -> FakeGlaciateHttp:
    return FakeGlaciateHttp()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def local_json(tmp_path: Path) -> Path:
    path = tmp_path / ".glaciate" / "local.json"
    path.parent.mkdir()
    path.write_text(json.dumps(LOCAL))
    return path


@pytest.fixture
def glaciate(api: FakeGlaciateHttp, local_json: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> Glaciate:
    """Runs the command in a folder below the one that holds the local cloud's folder."""
    below = local_json.parent.parent / "some" / "where"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    def run(*arguments: str, stdin: str | None = None, env: dict[str, str | None] | None = None) -> Result:
        surroundings = Surroundings(http=api.client(), pause=pauses.append)
        return CliRunner().invoke(
            main, arguments, obj=surroundings, input=stdin, env=env, catch_exceptions=False, prog_name="glaciate"
        )

    return run
