"""How many chunks are on their way follows what the processors do."""

from dataclasses import dataclass

from packer.adapters.sources import Lanes


@dataclass
class Machine:
    now: float = 0.0
    worked: float = 0.0

    def run(self, seconds: float, *, load: float) -> None:
        self.now += seconds
        self.worked += seconds * load

    def lanes(self) -> Lanes:
        return Lanes(most=100, now=lambda: self.now, worked=lambda: self.worked, processors=2)


def test_idle_processors_open_more_lanes_up_to_the_most() -> None:
    machine = Machine()
    lanes = machine.lanes()

    for _ in range(10):
        machine.run(0.2, load=0.3)
        lanes.adapt()

    assert lanes.open == 100


def test_busy_processors_open_none() -> None:
    machine = Machine()
    lanes = machine.lanes()

    for _ in range(10):
        machine.run(0.2, load=1.9)
        lanes.adapt()

    assert lanes.open == 16


def test_nothing_is_decided_on_a_blink() -> None:
    machine = Machine()
    lanes = machine.lanes()

    for _ in range(9):
        machine.run(0.001, load=0)
        lanes.adapt()

    assert lanes.open == 16
