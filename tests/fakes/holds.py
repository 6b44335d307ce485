"""What is decided about held sources, in memory; as strict as the conditional writes."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from glaciate.holds import DeletionBegan, Hold, HoldState
from glaciate.names import JobId


@dataclass
class FakeHolds:
    rows: dict[JobId, Hold] = field(default_factory=dict)
    look_at: dict[JobId, datetime] = field(default_factory=dict)

    def find(self, job_id: JobId) -> Hold | None:
        return self.rows.get(job_id)

    def hold(self, job_id: JobId, *, due_at: datetime) -> bool:
        if job_id not in self.rows:
            self.rows[job_id] = Hold(job_id, HoldState.HELD, due_at)
            self.look_at[job_id] = due_at
        return self.rows[job_id].state is not HoldState.KEPT

    def keep(self, job_id: JobId, *, now: datetime) -> Hold:
        known = self.rows.get(job_id)
        if known is None or known.state is HoldState.HELD:
            self.rows[job_id] = replace(known or Hold(job_id, HoldState.KEPT), state=HoldState.KEPT, decided_at=now)
            self.look_at.pop(job_id, None)
        elif known.state is not HoldState.KEPT:
            raise DeletionBegan(job_id)
        return self.rows[job_id]

    def due(self, now: datetime, *, at_most: int) -> tuple[JobId, ...]:
        come = sorted((moment, job_id) for job_id, moment in self.look_at.items() if moment <= now)
        return tuple(job_id for _, job_id in come[:at_most])

    def begin(self, job_id: JobId, *, now: datetime, look_again_at: datetime) -> bool:
        known = self.rows.get(job_id)
        if known is None or known.state is HoldState.KEPT or job_id not in self.look_at:
            return False
        if known.state is HoldState.HELD:
            if known.due_at is None or known.due_at > now:
                return False
            self.rows[job_id] = replace(known, state=HoldState.DELETING, decided_at=now)
        self.look_at[job_id] = look_again_at
        return True

    def end(self, job_id: JobId, *, archives: int, now: datetime) -> Hold | None:
        known = self.rows.get(job_id)
        if known is not None and known.state is HoldState.DELETING and known.archives >= archives:
            self.rows[job_id] = known = replace(known, state=HoldState.DELETED, ended_at=now)
        over = known is not None and known.state is HoldState.DELETED and not known.announced
        return known if over else None

    def mark_announced(self, job_id: JobId) -> None:
        self.rows[job_id] = replace(self.rows[job_id], announced=True)
        self.look_at.pop(job_id, None)

    def count(self, job_id: JobId, *, deleted: int, left: int) -> bool:
        """Another archive's sources are dealt with."""
        known = self.rows.get(job_id)
        if known is None or known.state is not HoldState.DELETING:
            return False
        self.rows[job_id] = replace(
            known, archives=known.archives + 1, deleted=known.deleted + deleted, left=known.left + left
        )
        return True
