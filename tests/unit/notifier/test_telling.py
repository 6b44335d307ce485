"""People are told once for each fact, at worst twice, never not at all, and only where it is allowed."""

from datetime import UTC, datetime, timedelta

import pytest

from fakes.notifier import FakeTold, FakeTopics
from fakes.told_events import TOPIC, job_ended, restore_accepted, restore_ended
from glaciate.errors import Busy
from glaciate.events import Outcome
from notifier.application import TellPeople, TopicNotAllowed
from notifier.domain import Notice
from notifier.settings import NotifierSettings


@pytest.fixture
def topics() -> FakeTopics:
    return FakeTopics()


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 7, 1, tzinfo=UTC)]


@pytest.fixture
def told(clock: list[datetime]) -> FakeTold:
    return FakeTold(now=lambda: clock[0])


@pytest.fixture
def tell(topics: FakeTopics, told: FakeTold) -> TellPeople:
    return TellPeople(topics, told, frozenset({TOPIC}))


def test_an_event_that_comes_twice_is_told_once(tell: TellPeople, topics: FakeTopics) -> None:
    for _ in range(2):
        tell(restore_ended())

    assert [(topic, notice.fact) for topic, notice in topics.told] == [(TOPIC, "RestoreCompleted.v1#COMPLETED")]


def test_different_facts_about_one_request_are_each_told(tell: TellPeople, topics: FakeTopics) -> None:
    for event in (restore_accepted(), restore_ended(Outcome.PARTIAL), restore_ended(Outcome.COMPLETED)):
        tell(event)

    assert len(topics.told) == 3


def test_the_same_fact_about_different_jobs_is_told_for_each(tell: TellPeople, topics: FakeTopics) -> None:
    for job_id in ("1n4a0a02swe6", "1n4a0a02swe7"):
        tell(job_ended(job_id=job_id))

    assert [notice.about for _, notice in topics.told] == ["1n4a0a02swe6", "1n4a0a02swe7"]


def test_two_copies_at_the_same_moment_are_told_once(told: FakeTold) -> None:
    class Meanwhile(FakeTopics):
        def tell(self, topic_arn: str, notice: Notice) -> None:
            if not self.told:
                self.told.append((topic_arn, notice))
                with pytest.raises(Busy):
                    tell(job_ended())  # the other copy, before this one is through
            else:
                super().tell(topic_arn, notice)

    topics = Meanwhile()
    tell = TellPeople(topics, told, frozenset({TOPIC}))

    tell(job_ended())
    tell(job_ended())

    assert len(topics.told) == 1


def test_what_could_not_be_told_is_told_later(tell: TellPeople, topics: FakeTopics, told: FakeTold) -> None:
    topics.refusals = 1
    with pytest.raises(ConnectionError):
        tell(job_ended())
    assert told.facts == set()

    tell(job_ended())

    assert len(topics.told) == 1


def test_dying_between_telling_and_noting_tells_twice_rather_than_never(
    tell: TellPeople, topics: FakeTopics, told: FakeTold, clock: list[datetime]
) -> None:
    told.refusals = 1
    with pytest.raises(ConnectionError):
        tell(job_ended())

    clock[0] += timedelta(minutes=6)
    tell(job_ended())
    tell(job_ended())

    assert len(topics.told) == 2


def test_a_topic_that_is_not_configured_is_told_nothing_and_the_event_is_kept(
    tell: TellPeople, topics: FakeTopics, told: FakeTold
) -> None:
    with pytest.raises(TopicNotAllowed, match="elsewhere"):
        tell(job_ended(topic_arn="arn:aws:sns:us-east-1:999999999999:elsewhere"))

    assert (topics.told, told.facts) == ([], set())


def test_the_allowed_topics_are_the_stacks_and_the_projects() -> None:
    settings = NotifierSettings(
        jobs_table="jobs", notify_dead_letters_url="https://sqs", topic_arn="a", project_topics="b, c,,"
    )

    assert settings.topics == {"a", "b", "c"}
