"""Identifiers sort by time, and archives are found by their names."""

from datetime import UTC, datetime, timedelta

import pytest

from glaciate import names

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_job_ids_sort_by_time_and_differ() -> None:
    ids = [names.new_job_id(NOW + timedelta(seconds=second)) for second in range(100)]

    assert ids == sorted(ids)
    assert len({names.new_job_id(NOW) for _ in range(100)}) > 90
    assert all(len(job_id) == 12 for job_id in ids)


def test_a_request_id_is_told_from_a_job_id() -> None:
    assert names.is_request_id(names.new_request_id(NOW))
    assert not names.is_request_id(names.new_job_id(NOW))


@pytest.mark.parametrize("number", [0, 1, 31, 32, names.MAX_ARCHIVES_PER_JOB - 1])
def test_numbers_come_back_from_their_texts(number: int) -> None:
    assert names.decode_number(names.encode_number(number, 4)) == number


@pytest.mark.parametrize("number", [-1, names.MAX_ARCHIVES_PER_JOB])
def test_a_number_without_room_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        names.archive_id(names.new_job_id(NOW), number)


def test_an_archive_is_known_by_its_vault_key() -> None:
    job_id = names.new_job_id(NOW)
    archive = names.archive_id(job_id, 7)

    assert names.archive_of_vault_key(names.vault_key_of_zip("a/b c/", archive)) == archive
    assert names.archive_of_vault_key(names.vault_key_of_object("", archive)) == archive
    assert names.job_of(archive) == job_id


@pytest.mark.parametrize(
    "key", ["", "catalogs/x.jsonl.gz", "archives/short.zip", "archives/ILOU56789abcdefg.zip", "a/0123456789abcdef"]
)
def test_a_foreign_key_is_no_archive(key: str) -> None:
    with pytest.raises(ValueError, match="no archive of Glaciate"):
        names.archive_of_vault_key(key)
