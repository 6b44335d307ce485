"""Rows of the index are lost, and an operator has them written again: files are found and restored as before."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glaciate_cli.main import main
from local_glaciate import LocalGlaciate
from waiting import until

pytestmark = pytest.mark.cloud


class IndexRows:
    """The files table's rows of one prefix."""

    def __init__(self, dynamodb: Any, table: str, prefix: str) -> None:
        self._dynamodb, self._table, self._prefix = dynamodb, table, prefix

    def all(self) -> list[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="contains(d, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": self._prefix}},
        )
        return sorted((row for page in pages for row in page["Items"]), key=json.dumps)

    def lose(self) -> None:
        for row in self.all():
            self._dynamodb.delete_item(TableName=self._table, Key={"n": row["n"], "d": row["d"]})


def test_an_operator_has_lost_rows_written_again(glaciate: LocalGlaciate, prefix: str, tmp_path: Path) -> None:
    files = {f"{prefix}{number % 2}/report {number}.csv": b"day,sum\n" * number for number in range(10)}
    glaciate.upload(files)
    glaciate.archive(prefix, disposition="delete", file_count=4)
    local_json = tmp_path / "local.json"
    local_json.write_text(json.dumps(glaciate.place.local))
    with glaciate.client("dynamodb") as dynamodb:
        rows = IndexRows(dynamodb, glaciate.place.local["tables"]["files"], prefix)
        before = rows.all()
        assert len(before) == len(files)
        rows.lose()
        assert glaciate.found(key=f"{prefix}1/report 7.csv") == []

        done = CliRunner().invoke(main, ["index", "rebuild", "--local-json", str(local_json)], catch_exceptions=False)

        assert done.exit_code == 0
        glaciate.launch_workers()
        assert until("all rows", lambda: len(found := rows.all()) == len(before) and found) == before

    request = glaciate.restore(filename=f"{prefix}1/report 7.csv")

    assert request["state"] == "COMPLETED"
    assert glaciate.content(request["files"][0]["location"])[0] == files[f"{prefix}1/report 7.csv"]
