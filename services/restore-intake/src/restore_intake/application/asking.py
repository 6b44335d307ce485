"""Asking S3 for a readable copy so that what it costs is neither lost nor counted twice, wherever the process dies."""

from dataclasses import dataclass, replace

from glaciate.costs import Asked
from glaciate.errors import Transient
from glaciate.restores import Part
from restore_intake.domain.asking import Asking, Fate, asking_for, fate, read_asking
from restore_intake.domain.thawing import Answer, ArchiveHead, Step, Thaw, may_be_running
from restore_intake.ports import Clock, Requests, Vault


@dataclass(frozen=True, slots=True)
class AskS3:
    """Notes on the part what it is about to ask, asks, and keeps what the answer costs.

    Twice is harmless: whoever dies in between leaves the note, by which the next look tells what became of the asking.
    """

    requests: Requests
    vault: Vault
    now: Clock

    def recover(self, part: Part, head: ArchiveHead | None) -> tuple[Part, Thaw | None]:
        """The part, and the thaw that runs as far as we know; first keeps what an asking has cost whose answer nobody has kept."""
        asking = read_asking(part.asking)
        ongoing = head is not None and head.ongoing
        noted = self._noted(part, head) if ongoing or asking is not None else None
        if asking is not None:
            match fate(asking, head=head, noted=noted, request_id=part.request_id, now=self.now()):
                case Fate.GRANTED:
                    noted = self._granted(part, asking, noted)
                    part = replace(part, asking=None)
                case Fate.ANOTHERS:
                    self.requests.asked_for_nothing(part)
                    part = replace(part, asking=None)
                case Fate.UNKNOWN:
                    pass
        return part, noted if ongoing else None

    def __call__(self, part: Part, head: ArchiveHead, step: Step) -> tuple[Answer, Thaw | None]:
        """S3's answer to such a step, and where a thaw runs, what we know of it.

        Raises:
            Transient: S3 has no capacity for it or wants fewer requests; or somebody else is at this part, or it has ended.
        """
        before = read_asking(part.asking)
        asking = asking_for(step, head, now=self.now(), before=before)
        if not self.requests.asks(part, asking):
            msg = f"the part of archive {part.archive_id} has moved on"
            raise Transient(msg)
        again = before if before is not None and before.charge == asking.charge else None
        try:
            answer = self.vault.thaw(part.vault_bucket, part.vault_key, tier=asking.charge.tier, days=asking.days)
        except Transient:
            if again is None or again.charge.asked is not Asked.UPGRADE:  # of an upgrade only S3's answer tells
                self.requests.asked_for_nothing(part)
            raise
        match answer:
            case Answer.BEGUN:
                thaw = asking.thaw(part.request_id)
                self.requests.note_thaw(part.archive_id, thaw)
                self.requests.paid(part, asking.begun)
                return answer, thaw
            case Answer.RENEWED:
                self.requests.paid(part, asking.renewed)
            case Answer.RUNNING:
                return answer, self._running(part, head, again)
            case Answer.READABLE | Answer.GONE:
                self.requests.asked_for_nothing(part)
        return answer, None

    def _running(self, part: Part, head: ArchiveHead, again: Asking | None) -> Thaw | None:
        """What runs where S3 says 409: another's thaw; or, where it was asked again, what it was asked for the first time."""
        noted = self._noted(part, head)
        if again is not None and again.charge.asked is not Asked.EXTENSION:
            runs = replace(head, ongoing=True, expires_at=None)
            if fate(again, head=runs, noted=noted, request_id=part.request_id, now=self.now()) is not Fate.ANOTHERS:
                return self._granted(part, again, noted)
        self.requests.asked_for_nothing(part)
        return noted

    def _noted(self, part: Part, head: ArchiveHead | None) -> Thaw | None:
        """The last thaw of the archive that we asked for, if it can still be the one that S3 speaks of."""
        last = self.requests.last_thaw(part.archive_id)
        storage_class = head.storage_class if head else part.storage_class
        return last if last is not None and may_be_running(last, storage_class, now=self.now()) else None

    def _granted(self, part: Part, asking: Asking, noted: Thaw | None) -> Thaw | None:
        thaw = noted
        if asking.charge.asked is not Asked.EXTENSION:
            thaw = asking.thaw(part.request_id)
            if noted != thaw:
                self.requests.note_thaw(part.archive_id, thaw)
        self.requests.paid(part, asking.charge)
        return thaw
