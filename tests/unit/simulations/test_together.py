"""Several tiers as one application."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.score.score import late_per_step, score
from simulations.score.together import total_score, visits_of
from tests.unit.simulations.made_runs import made_run

SHOP = {"web": {}, "api": {"web": 1.0}, "db": {"web": 0.5, "api": 3.0}}


def test_visits_multiply_along_every_way():
    """Half a request from the outermost, three from what it calls."""
    assert visits_of(SHOP) == {"web": 1.0, "api": 1.0, "db": 3.5}


def test_a_request_of_a_user_is_late_when_any_that_it_makes_is():
    """Costs add up; shares of what is on time multiply, once for each request made."""
    web = made_run(per_second=[1.6, 1.6], serving=[1, 1], dropped=[0.0, 12.0])
    db = made_run(per_second=[3.2, 3.2], serving=[2, 4], dropped=[24.0, 0.0])
    runs = {"web": web, "db": db}
    scores = {name: score(run) for name, run in runs.items()}
    late = {name: late_per_step(run) / run.arrivals for name, run in runs.items()}
    assert all(0 < ratios.max() < 1 for ratios in late.values())

    total = total_score("shop", scores, runs, visits_of({"web": {}, "db": {"web": 2.0}}))

    expected = 96 * (1 - (1 - late["web"]) * (1 - late["db"]) ** 2)
    assert total.name == "shop"
    assert total.requests == scores["web"].requests == pytest.approx(192)
    assert total.late == pytest.approx(expected.sum())
    assert total.dropped == pytest.approx(96 * (1 - (1 - 24 / 192) ** 2) + 12)
    assert total.worst_ratio == pytest.approx(total.violation_ratio)
    assert total.late > max(one.violation_ratio for one in scores.values()) * total.requests
    assert total.cost == scores["web"].cost + scores["db"].cost
    assert [day.late for day in total.days] == [pytest.approx(total.late)]
    assert np.isclose(total.days[0].cost, total.cost)


def test_one_tier_is_its_own_total():
    """Only the name is another."""
    web = made_run(per_second=[1.6], serving=[1])
    found = score(web)

    total = total_score("day", {"web": found}, {"web": web}, visits_of({"web": {}}))

    assert (total.name, total.late, total.days) == ("day", found.late, found.days)
