"""Delays between attempts."""

from __future__ import annotations

from random import Random

from autoscaler.runtime.backoff import FLOOR_RATIO, Backoff


def delays(backoff: Backoff, count: int) -> list[float]:
    """Draw some delays in a row."""
    return [backoff.next_delay(0.0) for _ in range(count)]


def test_delays_stay_below_a_doubling_ceiling() -> None:
    """Each delay lies between the floor and a ceiling that doubles up to the cap."""
    for seed in range(50):
        drawn = delays(Backoff(Random(seed), base_seconds=1.0, cap_seconds=30.0), 10)
        for attempt, delay in enumerate(drawn):
            assert FLOOR_RATIO <= delay <= min(30.0, 2.0**attempt)


def test_the_same_seed_gives_the_same_delays() -> None:
    """A failing run can be repeated exactly."""
    assert delays(Backoff(Random(7)), 6) == delays(Backoff(Random(7)), 6)


def test_two_clients_do_not_retry_in_step() -> None:
    """Different generators spread the retries of many clients."""
    assert delays(Backoff(Random(1)), 6) != delays(Backoff(Random(2)), 6)


def test_a_long_row_of_failures_does_not_overflow() -> None:
    """The thousandth failure still waits at most the cap."""
    assert max(delays(Backoff(Random(1)), 2000)) <= 30.0


def test_health_for_a_while_starts_over() -> None:
    """A loop that worked for the reset time is treated as if it had never failed."""
    backoff = Backoff(Random(1), base_seconds=1.0, reset_after_seconds=120.0)
    delays(backoff, 8)
    assert backoff.next_delay(10_000.0) <= 1.0
    assert backoff.attempts == 1


def test_the_wait_itself_does_not_count_as_health() -> None:
    """The reset time begins when the delay is over, not when it was asked for."""
    backoff = Backoff(Random(1), reset_after_seconds=120.0)
    backoff.next_delay(0.0, at_least=100.0)
    backoff.next_delay(219.0)
    assert backoff.attempts == 2


def test_a_wished_delay_is_a_lower_bound() -> None:
    """A server that asks for patience gets at least what it asks for."""
    assert Backoff(Random(1), base_seconds=1.0).next_delay(0.0, at_least=7.0) == 7.0


def test_reset_forgets_failures() -> None:
    """After a reset the next delay is a first one."""
    backoff = Backoff(Random(3), base_seconds=1.0)
    delays(backoff, 8)
    backoff.reset()
    assert backoff.next_delay(0.0) <= 1.0
