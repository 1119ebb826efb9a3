"""The figures of a run, by examples computed by hand and by what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from simulations.engine.run import Change
from simulations.errors import SimulationError
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Termination
from simulations.score.score import late_per_step, mean_score, score, utc_days
from tests.unit.simulations.made_runs import MIDNIGHT, PLANT, Simple, made_run

DAY_STEPS = 1440
TABLE = Simple()
REAL_TABLE = LatenessTable(PLANT.service, PLANT.waiting, step_seconds=7200.0, replicas=12)


def test_late_requests_are_counted_by_request():
    """Of 30/s for a minute and 10/s for a minute on one replica, 20/s are late for a minute."""
    found = score(made_run(per_second=[30, 10], serving=[1, 1], dropped=[5, 0]), table=TABLE)
    assert (found.requests, found.late, found.dropped) == (2400, 1200, 5)
    assert found.violation_ratio == 0.5


def test_start_up_and_drain_are_paid():
    """Three pods for an hour of which one only starts, two drained for 90 s: 3.05 replica hours."""
    plant = replace(PLANT, termination=Termination(drain_seconds=90))
    run = made_run(
        per_second=[1], serving=[2], pods=[3], drained=[2], step_seconds=3600.0, plant=plant
    )
    found = score(run, table=TABLE)
    assert found.replica_hours == pytest.approx(3.05)
    assert found.cost == pytest.approx(6.10)


def test_nodes_are_paid_beside_replicas():
    """Half an hour of four nodes at 10 and of two replicas at 2 cost 22."""
    run = made_run(per_second=[1] * 30, serving=[2] * 30, nodes=[4] * 30)
    found = score(run, table=TABLE)
    assert found.node_hours == pytest.approx(2.0)
    assert found.cost == pytest.approx(22.0)


def test_steps_of_unknown_load_are_paid_but_not_scored():
    """Neither requests nor late or dropped ones of such a step count, nor its elasticity."""
    run = made_run(
        per_second=[30, 500, 30],
        serving=[3, 1, 3],
        dropped=[0, 7, 0],
        known=[True, False, True],
    )
    found = score(run, table=TABLE)
    assert (found.requests, found.late, found.dropped) == (3600, 0, 0)
    assert found.replica_hours == pytest.approx(7 / 60)
    assert found.elasticity.tau_u == found.elasticity.instability == 0


def test_warm_up_is_left_out_of_everything():
    """Figures from a step on are those of a run that began there."""
    columns = {"pods": [9, 2, 2], "drained": [4, 0, 1], "created": [7, 0, 0]}
    whole = made_run(
        per_second=[90, 30, 10],
        serving=[1, 2, 2],
        changes=[Change(0, 1, 9), Change(2, 9, 2)],
        **columns,
    )
    part = made_run(
        per_second=[30, 10],
        serving=[2, 2],
        start_at=MIDNIGHT + 60,
        changes=[Change(1, 9, 2)],
        **{name: values[1:] for name, values in columns.items()},
    )
    assert score(whole, from_step=1, table=TABLE) == score(part, table=TABLE)


@pytest.mark.parametrize("from_step", [-1, 2, 3])
def test_a_run_without_scored_steps_has_no_score(from_step):
    """The error names the run, the step and what is accepted."""
    with pytest.raises(SimulationError, match=r"web: scoring begins at step .* one of 0 to 1"):
        score(made_run(per_second=[1, 1], serving=[1, 1]), from_step=from_step, table=TABLE)


def test_failed_writes_are_no_changes():
    """A change that could not be written moved nothing."""
    changes = [Change(0, 1, 2), Change(1, 2, 5, succeeded=False)]
    run = made_run(per_second=[1] * 60, serving=[2] * 60, changes=changes, created=[1] + [0] * 59)
    found = score(run, table=TABLE)
    assert (found.changes, found.changes_per_hour, found.created) == (1, 1.0, 1)


def test_the_worst_five_minutes_are_found():
    """One bad minute of five, of which half is late, beside five good ones: a tenth."""
    run = made_run(per_second=[20] + [20] * 9, serving=[1] + [2] * 9)
    assert score(run, table=TABLE).worst_ratio == pytest.approx(0.1)


def test_waits_behind_the_backlog_are_weighted_by_requests():
    """94 % of the requests meet no queue, 4 % one of 3 s, 2 % one of 8 s."""
    run = made_run(
        per_second=[94, 4, 2, 0],
        serving=[5, 5, 5, 5],
        capacity=[600.0] * 4,
        backlog=[0.0, 30.0, 80.0, 0.0],
    )
    found = score(run, table=TABLE)
    assert found.wait_p95_seconds == pytest.approx(3.0)
    assert found.wait_p99_seconds == pytest.approx(8.0)


def test_a_wait_counts_replicas_that_come_later():
    """Work that arrives at zero waits for the first replica and its turn there, no longer."""
    run = made_run(
        per_second=[5, 0, 0, 0],
        serving=[0, 0, 5, 5],
        capacity=[0.0, 0.0, 600.0, 600.0],
        backlog=[300.0, 300.0, 0.0, 0.0],
    )
    # A step without replicas, then half of one: 60 + 30 s, given up after 60.
    waiting = replace(PLANT.waiting, timeout_seconds=600.0)
    patient = replace(run, plant=replace(run.plant, waiting=waiting))
    assert score(patient, table=TABLE).wait_p95_seconds == pytest.approx(90.0)


def test_nobody_waits_longer_than_the_timeout():
    """A queue without capacity behind it is a wait until giving up."""
    run = made_run(per_second=[5], serving=[0], capacity=[0.0], backlog=[300.0])
    assert score(run, table=TABLE).wait_p99_seconds == PLANT.waiting.timeout_seconds


def test_elasticity_follows_its_definition():
    """Demand 1, 2, 4, 4 against supply 1, 1, 2, 5.

    Shortages 1/2 and 2/4 and a surplus of 1/4 over four steps; twice too few, once too many; of
    three changes of demand (up, up, none) supply follows one (none, up, up).
    """
    found = score(
        made_run(per_second=[10, 20, 40, 40], serving=[1, 1, 2, 5]), table=TABLE
    ).elasticity
    assert found.theta_u == pytest.approx(25.0)
    assert found.theta_o == pytest.approx(6.25)
    assert (found.tau_u, found.tau_o) == (50.0, 25.0)
    assert found.instability == pytest.approx(200 / 3)


def test_days_are_counted_from_the_start_of_scoring_and_by_calendar():
    """Two days from 18:00 on are two spells of 24 hours, and three calendar days of 6, 24, 18."""
    run = made_run(
        per_second=[10] * 2 * DAY_STEPS,
        serving=[1] * 2 * DAY_STEPS,
        start_at=MIDNIGHT + 18 * 3600,
    )
    days = score(run, table=TABLE).days
    assert [day.begin_at - MIDNIGHT for day in days] == [18 * 3600, 42 * 3600]
    assert [day.replica_hours for day in days] == pytest.approx([24, 24])
    calendar = utc_days(run, table=TABLE)
    assert [day.begin_at - MIDNIGHT for day in calendar] == [18 * 3600, 86_400, 2 * 86_400]
    assert [day.replica_hours for day in calendar] == pytest.approx([6, 24, 18])


STEPS = st.tuples(
    st.floats(0, 200), st.integers(0, 12), st.integers(0, 3), st.integers(0, 2), st.booleans()
)


@settings(deadline=None)
@given(st.lists(STEPS, min_size=2, max_size=40), st.data())
def test_days_add_up_and_shares_stay_shares(steps, data):
    """Whatever happened: sums over days are the whole, ratios are in 0..1, late within arrivals."""
    rates, serving, starting, drained, known = zip(*steps, strict=True)
    run = made_run(
        per_second=rates,
        serving=serving,
        pods=np.add(serving, starting),
        drained=drained,
        known=known,
        step_seconds=7200.0,
        start_at=MIDNIGHT + 3600 * data.draw(st.integers(0, 23)),
    )
    from_step = data.draw(st.integers(0, len(steps) - 1))
    found = score(run, from_step=from_step, table=REAL_TABLE)
    for days in (found.days, utc_days(run, from_step=from_step, table=REAL_TABLE)):
        for name in ("requests", "late", "replica_hours", "cost"):
            total = sum(getattr(day, name) for day in days)
            assert total == pytest.approx(getattr(found, name)), name
    assert 0 <= found.violation_ratio <= 1
    assert found.violation_ratio <= found.worst_ratio + 1e-9
    assert 0 <= found.wait_p95_seconds <= found.wait_p99_seconds
    assert found.elasticity.tau_u + found.elasticity.tau_o <= 100 + 1e-9
    assert (late_per_step(run, REAL_TABLE)[~run.known] == 0).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_replicas_that_meet_the_demand_have_no_elasticity_to_lose(wanted):
    """Supply equal to demand scores zero in every elasticity metric."""
    run = made_run(per_second=[10 * count for count in wanted], serving=wanted)
    assert set(asdict(score(run, table=TABLE).elasticity).values()) == {0.0}


def test_seeds_are_averaged_and_their_worst_kept():
    """Sums are means over the seeds, peaks and worst intervals those of the worst seed."""
    runs = [
        made_run(per_second=[20, 20], serving=[1, 2], drained=[1, 0]),
        made_run(per_second=[20, 20], serving=[2, 4]),
    ]
    scores = [score(run, table=TABLE) for run in runs]
    found = mean_score(scores)
    assert found.late == 300
    assert found.peak_replicas == 4
    assert found.worst_ratio == scores[0].worst_ratio > 0 == scores[1].worst_ratio
    assert found.days[0].cost == found.cost == pytest.approx(np.mean([s.cost for s in scores]))
    assert found.elasticity.tau_u == 25.0
    assert mean_score(scores[:1]) == scores[0]


def test_requests_that_give_up_are_late_however_short_they_waited():
    """A full buffer turns away at once; an SLO longer than the timeout is never met by waiting."""
    run = made_run(per_second=[20.0, 20.0], serving=[1, 1], dropped=[900.0, 0.0])

    found = score(run, table=Punctual())

    assert found.late == found.dropped == 900.0


def test_a_request_counts_once_however_often_it_is_tried():
    """Half of the arrivals are retries; late is who was late at the first try."""
    run = made_run(per_second=[20.0], serving=[1], retries=[600.0], dropped=[400.0])

    found = score(run, table=Simple())

    assert found.requests == 600.0
    assert found.late == 300.0
    assert found.violation_ratio == 0.5
    assert found.dropped == 200.0


class Punctual(Simple):
    """Nobody waits."""

    def late_ratios(self, serving, arrivals_per_second, backlog_before, backlog_after):
        """Return zeros."""
        return np.zeros(len(serving))
