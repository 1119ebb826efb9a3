"""Baselines that our core decides: what they are made of, and that learned windows are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from autoscaler.core.model import Activation, TargetType
from simulations.policies.flyball import flyball, flyball_fast, flyball_fast_manifest
from simulations.policies.hpa import hpa
from simulations.policies.keda import keda_queue, keda_rate
from simulations.policies.keda_cron import Window, keda_cron, learn_windows
from simulations.policies.past import Past
from simulations.policies.service import ServiceFacts
from tests.simulation.policies.views import view_of

FACTS = ServiceFacts(requests_per_second=20.0, concurrency=4, maximum=100)
DAY = 86_400.0
MONDAY = 4 * DAY


def test_hpa_is_the_default_one():
    """70 % CPU every 15 s, no behavior, 300 s stabilisation, 10 % tolerance, at most doubling."""
    decided = hpa(FACTS).decided
    policy = decided.policy
    assert decided.tick_seconds == 15.0
    assert policy.metrics[0].spec.target_milli == 70
    assert policy.behavior is None
    assert (policy.hpa.tolerance, policy.hpa.downscale_stabilization_seconds) == (0.1, 300.0)
    assert policy.hpa.default_scale_up_limit
    assert (policy.min_replicas, policy.max_replicas) == (1, 100)


@pytest.mark.parametrize(("make", "target"), [(keda_rate, 14_000), (keda_queue, 5_000)])
def test_keda_is_the_default_one(make, target):
    """Polling 30 s, HPA sync 15 s, cooldown 300 s, average value per replica."""
    decided = make(FACTS).decided
    policy = decided.policy
    assert (decided.tick_seconds, decided.wake_seconds) == (15.0, 30.0)
    assert policy.cooldown_seconds == 300.0
    assert policy.activation is Activation.MINIMUM
    [metric] = policy.metrics
    assert metric.spec.target_milli == target
    assert metric.spec.target_type is TargetType.AVERAGE_VALUE


def test_flyball_default_is_one_loop_of_five_seconds():
    """The group's defaults: straight to what is needed, no doubling limit, decided as polled."""
    decided = flyball(FACTS).decided
    policy = decided.policy
    assert decided.tick_seconds == 5.0
    assert policy.activation is Activation.DIRECT
    assert not policy.hpa.default_scale_up_limit
    assert policy.hpa.sync_period_seconds == 0.0


def test_flyball_fast_is_what_its_manifest_says():
    """75 % of the fast rate, ten seconds of queue, a minute of stabilisation, no tolerance up."""
    policy = flyball_fast(FACTS).decided.policy
    assert [metric.spec.target_milli for metric in policy.metrics] == [15_000, 200_000]
    assert policy.behavior is not None
    assert policy.behavior.scale_down.stabilization_window_seconds == 60
    assert policy.behavior.scale_up.tolerance == 0.0


def test_documented_preset_is_the_one_that_runs():
    """The manifest in the reference page is that of the benchmark, up to its namespace."""
    page = (Path(__file__).parents[3] / "docs/reference/baselines.md").read_text()
    written = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    raw, _ = flyball_fast_manifest(FACTS)

    assert written["spec"] == raw["spec"]
    assert written["apiVersion"] == raw["apiVersion"]


def business_days(days, busy=280.0, quiet=28.0, *, weekend=28.0):
    """Return minutes from a Monday on: busy from 9 to 17 on weekdays."""
    minutes = np.arange(days * 1440)
    hours = minutes // 60 % 24
    rates = np.where((hours >= 9) & (hours < 17), busy, quiet)
    is_weekend = minutes // 1440 % 7 >= 5
    return Past(start_at=MONDAY, rates=np.where(is_weekend, weekend, rates))


def test_busy_hours_become_a_window():
    """280 requests/s at 14 per replica from 9 to 17 are 20 replicas, every day of a short past."""
    assert learn_windows(business_days(3), FACTS) == [Window(begin=9, end=17, replicas=20)]


def test_weekends_have_windows_of_their_own():
    """Two weeks: the weekday window, and a flat weekend as a window of all day."""
    windows = learn_windows(business_days(14), FACTS)

    assert windows[0] == Window(begin=9, end=17, replicas=20, days="1-5")
    assert windows[1:] == [Window(begin=0, end=24, replicas=2, days="0,6")]


def test_one_busy_day_does_not_make_a_window():
    """The median of the days counts, not the highest of them."""
    rates = business_days(5).rates.copy()
    rates[1440:2880] *= 3

    assert learn_windows(Past(start_at=MONDAY, rates=rates), FACTS) == [
        Window(begin=9, end=17, replicas=20)
    ]


def test_last_two_weeks_count():
    """Three weeks of which the first was busier: the first does not matter."""
    busier = business_days(7, busy=900.0)
    rates = np.concatenate([busier.rates, business_days(14).rates])
    windows = learn_windows(Past(start_at=MONDAY - 7 * DAY, rates=rates), FACTS)

    assert windows[0].replicas == 20


def test_past_without_values_teaches_nothing():
    """No rates, no windows."""
    assert learn_windows(Past(start_at=MONDAY, rates=np.full(60, np.nan)), FACTS) == []
    assert learn_windows(Past(start_at=MONDAY, rates=np.zeros(0)), FACTS) == []


def test_window_raises_the_scale_ten_minutes_early():
    """At 8:49 the rate decides, at 8:50 the window does, and at 17:00 the rate again."""
    autoscaler = keda_cron(FACTS, business_days(3))
    autoscaler.start(1)
    start_at = MONDAY + 3 * DAY + 8 * 3600

    def wanted(minute, replicas):
        at = start_at + 60 * minute
        return autoscaler.decide(view_of(at, [replicas], rate=28.0, start_at=start_at)).tolist()[0]

    assert wanted(49, 2) == 2
    assert wanted(50, 2) == 4
    assert wanted(50.25, 4) == 8
    assert wanted(51, 20) == 20
    assert wanted(9 * 60 - 0.25, 20) == 20
    after = [wanted(9 * 60 + tick / 4, 20) for tick in range(22)]
    assert after[-1] == 2
