"""What a backtest makes of what was recorded.

The whole way, from a real Prometheus on, is in ``tests/integration/test_backtest.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from simulations.backtest.model import ServiceModel, read_service
from simulations.backtest.page import days_table, remarks_of
from simulations.backtest.queries import range_seconds
from simulations.backtest.result import Gaps
from simulations.backtest.run import backtest
from simulations.engine.exact import TierSpec, replay
from simulations.engine.signals import Recorded, RecordedTap
from simulations.errors import SimulationError
from simulations.plant.parameters import (
    Delay,
    Prices,
    Service,
    Signal,
    SignalKind,
    StartUp,
    Termination,
    Waiting,
)
from simulations.policies.objects import TriggerModel, subject_of_object
from simulations.score.score import score
from simulations.workload.load import load_of
from simulations.workload.trace import Trace

MIDNIGHT = 1_700_006_400.0
"""2023-11-15 00:00 UTC."""
STEP = 15.0
DAY_STEPS = 5760
RATE = "sum(rate(http_requests_total[1m]))"

SERVICE = ServiceModel(
    service=Service(mean_seconds=0.2, concurrency=4),
    start_up=StartUp(container=Delay(median_seconds=45, p95_seconds=90)),
    waiting=Waiting(slo_seconds=0.2),
    lag_seconds=0.0,
)
PRICES = Prices(replica_hour=2.0)
QUICK = replace(SERVICE, start_up=StartUp(container=Delay(median_seconds=15, p95_seconds=15)))


def scaled_object(*, query=RATE, kind="keda.sh", **metadata):
    """Return an object with one prometheus trigger."""
    return {
        "apiVersion": f"{kind}/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"name": "web"},
            "minReplicaCount": 2,
            "maxReplicaCount": 80,
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {
                        "serverAddress": "http://prometheus:9090",
                        "query": query,
                        "threshold": "14",
                        **metadata,
                    },
                }
            ],
        },
    }


def recorded(values, *, step_seconds=STEP, start_at=MIDNIGHT):
    """Return a trace of what was recorded, one value per instant."""
    return Trace(
        name="recorded",
        start_at=start_at,
        step_seconds=step_seconds,
        values=np.array(values, dtype=np.float64),
    )


def square(at):
    """Return requests per second at some times: 100 and 400, in turn for an hour each."""
    return np.where((at // 3600) % 2 == 1, 400.0, 100.0)


def instants(count=DAY_STEPS):
    """Return the instants of a day's record."""
    return MIDNIGHT + np.arange(count) * STEP


def rates(window, at):
    """Return the mean of :func:`square` over a time before each of some instants."""
    back = np.arange(window) + 0.5
    return square(at[:, None] - back).mean(axis=1)


def of_policy(run):
    """Return what a record of a run's ready replicas would hold."""
    return recorded(run.serving, step_seconds=run.step_seconds, start_at=run.start_at)


@pytest.mark.parametrize("slow", [False, True])
def test_what_really_served_serves_in_the_step_it_was_recorded_for(slow):
    """A policy's own pods, given as the record: the same pods, and as many late requests."""
    start_up = StartUp(container=Delay(median_seconds=120, p95_seconds=240))
    service = replace(SERVICE, start_up=start_up) if slow else SERVICE
    seen = {0: recorded(rates(60, instants()))}
    first = backtest(scaled_object(), seen, replicas=None, load=None, service=service)
    both = backtest(
        scaled_object(), seen, replicas=of_policy(first.policy), load=None, service=service
    )
    assert len(np.unique(first.policy.serving)) > 3
    np.testing.assert_array_equal(both.actual.serving, first.policy.serving)
    assert both.scores[1].late == first.scores[0].late > 0


def truth():
    """Return the share of late requests when the same policy meets the load itself."""
    load = load_of(recorded(square(instants())), step_seconds=STEP, seed=0)
    rate = Signal(name="rate", kind=SignalKind.REQUEST_RATE, lag_seconds=0, window_seconds=60)
    subject = subject_of_object(scaled_object(), {"0": TriggerModel(signal="rate")}, [rate])
    tier = TierSpec(
        name="web",
        plant=QUICK.plant,
        autoscaler=subject.autoscaler(),
        signals=(rate,),
        replicas=8,
    )
    return score(replay([tier], load, seed=0)["web"]).violation_ratio


@pytest.mark.parametrize(
    ("load", "load_query"),
    [(None, ""), (15, "sum(rate(http_requests_total[15s]))"), (60, RATE), (15, "recorded:rate")],
)
def test_the_load_is_played_when_it_was(load, load_query):
    """An hour of 100 and one of 400 requests/s: as late as with the load itself.

    Played when its rates could be read, it came half a window late, or a step, and the policy had
    seen each jump before.
    """
    at = instants()
    result = backtest(
        scaled_object(),
        {0: recorded(rates(60, at))},
        replicas=recorded(np.full(DAY_STEPS, 8)),
        load=None if load is None else recorded(rates(load, at)),
        load_query=load_query,
        service=QUICK,
    )
    assert result.scores[0].violation_ratio == pytest.approx(truth(), rel=0.05)
    assert result.load.mean_seconds == (load or 60)
    assert result.load.is_triggers == (load is None)


@pytest.mark.parametrize("lag", [0, 40, 120])
def test_the_run_begins_with_the_first_instant_the_policy_could_read(lag):
    """Nothing is decided blindly; what was asked for earlier ends up before the run."""
    seen = recorded(rates(60, instants()))
    result = backtest(
        scaled_object(),
        {0: seen},
        replicas=None,
        load=None,
        service=replace(SERVICE, lag_seconds=lag),
    )
    assert result.policy.start_at == MIDNIGHT + -(-lag // STEP) * STEP
    assert result.policy.changes[0].step == 0


def test_metrics_that_come_late_make_more_requests_late():
    """Each jump is seen two minutes later, and for two minutes 400 requests/s meet 8 replicas."""
    seen = {0: recorded(rates(60, instants()))}
    at_once, late = (
        backtest(
            scaled_object(),
            seen,
            replicas=None,
            load=None,
            service=replace(SERVICE, lag_seconds=lag),
        )
        for lag in (0.0, 120.0)
    )
    first, then = (
        run.start_at + STEP * next(change.step for change in run.changes if change.step > 200)
        for run in (at_once.policy, late.policy)
    )
    assert then == first + 120
    assert late.scores[0].late > 1.5 * at_once.scores[0].late


def test_the_age_of_metrics_is_asked_for(tmp_path):
    """What late requests depend on is not guessed."""
    path = tmp_path / "service.yaml"
    path.write_text(
        "service: {mean_seconds: 0.2, concurrency: 4}\n"
        "start_up: {container: {median_seconds: 15, p95_seconds: 45}}\n"
        "waiting: {slo_seconds: 0.2}\n"
    )
    with pytest.raises(SimulationError, match=r"service.yaml: .*lag_seconds"):
        read_service(path)
    path.write_text(path.read_text() + "lag_seconds: 5\n")
    assert read_service(path).lag_seconds == 5


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (RATE, 60),
        ('sum(rate(hits{path="/[9h]"}[1m30s]))', 90),
        ("sum(rate(hits[30s])) + sum(rate(more[5m])) # [1h]", 300),
        ("sum(increase(hits[2m])) / 120", 120),
        ("rate(hits[45])", 45),
        ("max_over_time(rate(hits[1m])[10m:15s])", 600),
        ("sum(irate(hits[5m]))", None),
        ("sum(hits:rate1m)", None),
    ],
)
def test_a_query_says_how_long_a_time_its_values_describe(query, seconds):
    """The longest range counts; of irate() it does not matter; text and comments hold none."""
    assert range_seconds(query) == seconds


@pytest.mark.parametrize("is_created_recorded", [True, False])
def test_the_same_pods_cost_the_same_on_both_sides(is_created_recorded):
    """Start-ups are paid for by both, or, where nobody recorded them, by neither; drain by both."""
    start_up = StartUp(container=Delay(median_seconds=120, p95_seconds=240))
    service = replace(
        SERVICE, start_up=start_up, termination=Termination(drain_seconds=30), prices=PRICES
    )
    seen = {0: recorded(rates(60, instants()))}
    alone = backtest(scaled_object(), seen, replicas=None, load=None, service=service)
    pods = replace(of_policy(alone.policy), values=alone.policy.pods.astype(float))
    both = backtest(
        scaled_object(),
        seen,
        replicas=of_policy(alone.policy),
        created=pods if is_created_recorded else None,
        load=None,
        service=service,
    )
    policy, actual = both.scores
    assert both.paid == ("created" if is_created_recorded else "ready")
    assert actual.replica_hours == pytest.approx(policy.replica_hours, rel=1e-12)
    assert policy.cost == pytest.approx(2 * policy.replica_hours)
    assert alone.paid == "created"
    startups = (alone.policy.pods - alone.policy.serving).sum() * STEP / 3600
    assert startups > 5
    left_out = 0 if is_created_recorded else startups
    assert policy.replica_hours == pytest.approx(alone.scores[0].replica_hours - left_out)


def test_without_a_service_pods_serve_at_once():
    """In the step of the decision: nothing of a start-up is in the replica hours."""
    seen = {0: recorded(rates(60, instants()))}
    result = backtest(scaled_object(), seen, replicas=None, load=None, service=None)
    run = result.policy
    assert result.paid == "ready"
    assert len(run.changes) > 20
    np.testing.assert_array_equal(run.serving, run.replicas)
    assert result.scores[0].replica_hours == pytest.approx(run.replicas.sum() * STEP / 3600)


def test_a_gap_in_the_record_of_pods_holds_the_last_ones():
    """Ready ones are among all; before the first record there were as many as it says."""
    ready = np.full(DAY_STEPS, 20.0)
    ready[:5] = np.nan
    created = np.full(DAY_STEPS, 25.0)
    created[10:20] = np.nan
    created[30:] = 10
    result = backtest(
        scaled_object(),
        {0: recorded(rates(60, instants()))},
        replicas=recorded(ready),
        created=recorded(created),
        load=None,
        service=SERVICE,
    )
    assert set(result.actual.serving) == {20}
    assert set(result.actual.pods[:30]) == {25}
    assert set(result.actual.pods[30:]) == {20}


def test_the_days_add_up_to_the_whole():
    """Drain is in both; columns are those of the policy and of what really happened."""
    service = replace(SERVICE, termination=Termination(drain_seconds=300))
    at = instants(3 * DAY_STEPS) + 6 * 3600
    result = backtest(
        scaled_object(),
        {0: recorded(rates(60, at), start_at=MIDNIGHT + 6 * 3600)},
        replicas=recorded(np.ceil(square(at) / 14), start_at=MIDNIGHT + 6 * 3600),
        load=None,
        service=service,
    )
    rows = days_table(result).rows
    assert [row[0] for row in rows] == ["2023-11-15", "2023-11-16", "2023-11-17", "2023-11-18"]
    for column, score_of in zip((1, 2), result.scores, strict=True):
        hours = sum(float(row[column].replace(",", "")) for row in rows)
        assert hours == pytest.approx(score_of.replica_hours, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "metadata", "taken_for"),
    [
        ("keda.sh", {}, 0.0),
        ("keda.sh", {"ignoreNullValues": "false"}, None),
        ("flyball.dev", {}, None),
        ("flyball.dev", {"ignoreNullValues": "true"}, 0.0),
    ],
)
def test_an_empty_result_is_what_the_live_trigger_takes_it_for(kind, metadata, taken_for):
    """Two hours without series: down to the minimum, or, with errors, nothing changes."""
    at = instants()
    seen = rates(60, at)
    gap = slice(8 * 240, 10 * 240)
    seen[gap] = np.nan
    result = backtest(
        scaled_object(kind=kind, **metadata),
        {0: recorded(seen)},
        replicas=None,
        load=None,
        service=SERVICE,
    )
    within = result.policy.replicas[8 * 240 + 40 : 10 * 240]
    assert set(within) == {2} if taken_for == 0 else set(within) == {29}
    (gaps,) = result.gaps
    assert gaps == Gaps(trigger=0, instants=480, of=DAY_STEPS, taken_for=taken_for)
    assert 470 < (~result.policy.known).sum() <= 480
    (said,) = [text for text in remarks_of(result) if "no result" in text]
    assert "480 of 5,760 instants" in said
    assert ("takes for 0" if taken_for == 0 else "takes for an error") in said


def test_what_was_never_asked_for_is_no_empty_result():
    """Before the record begins and after it ends there is no 0, whatever the trigger says."""
    tap = RecordedTap(Recorded(trace=recorded([7.0, 8.0]), lag_seconds=20.0), MIDNIGHT)
    assert [tap.read(at).value for at in (0, 19_999, 20_000, 35_000, 50_000)] == [
        None,
        None,
        7.0,
        8.0,
        None,
    ]
