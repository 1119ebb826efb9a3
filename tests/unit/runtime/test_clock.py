"""Clocks."""

from __future__ import annotations

import time

import pytest

from autoscaler.runtime.clock import ManualClock, ScaledClock, SystemClock, loop_seconds


class Hands:
    """What the machine's two clocks show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.steady)


def test_small_steps_of_the_wall_clock_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time server's correction of two seconds does not move the service's time."""
    hands = Hands(monkeypatch)
    clock = SystemClock()
    hands.steady += 10
    hands.wall += 12
    assert clock.now() == 1_000_010.0
    hands.wall -= 4
    assert clock.now() == 1_000_010.0


def test_a_large_step_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an hour of suspension the service knows what time it is."""
    hands = Hands(monkeypatch)
    clock = SystemClock()
    hands.steady += 10
    hands.wall += 3610
    assert clock.now() == 1_003_610.0
    hands.steady += 5
    hands.wall += 5
    assert clock.now() == 1_003_615.0
    assert clock.monotonic() == 65.0


def test_a_manual_clock_moves_only_when_told() -> None:
    """Time stands still between steps."""
    clock = ManualClock(100.0)
    clock.advance(5.0)
    assert (clock.now(), clock.monotonic()) == (105.0, 105.0)


def test_a_scaled_clock_runs_faster() -> None:
    """Ten real seconds at speed 120 are twenty minutes, and the loop is told real seconds."""
    base = ManualClock(500.0)
    clock = ScaledClock(base, origin_at=1_000.0, speed=120.0)
    start = clock.monotonic()
    base.advance(10.0)
    assert clock.now() == 2_200.0
    assert clock.monotonic() - start == 1_200.0
    assert loop_seconds(clock, 1_200.0) == 10.0
    assert loop_seconds(base, 1_200.0) == 1_200.0
