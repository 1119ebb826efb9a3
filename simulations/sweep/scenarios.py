"""Runs of scenarios, one part per seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import msgspec

from simulations.engine.exact import replay
from simulations.engine.run import Run
from simulations.scenario.model import ScenarioModel
from simulations.scenario.read import Scenario, scenario_of
from simulations.score.score import Score, mean_score, score
from simulations.score.together import total_score, visits_of
from simulations.sweep.executors import Executor
from simulations.workload.trace import Trace


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a scenario; carries everything, so that it can run anywhere.

    Attributes:
        model: As written.
        trace: What arrives.
        folder: Relative paths start here.
        seed: Of the run.
        keep_run: Return the history too, for charts.
    """

    model: ScenarioModel
    trace: Trace
    folder: str
    seed: int
    keep_run: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a run, by tier."""

    seed: int
    scores: dict[str, Score]
    total: Score
    runs: dict[str, Run] = {}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a scenario.

    Attributes:
        scenario: That was run.
        scores: Mean over the seeds, by tier.
        total: Of all tiers as one application.
        by_seed: Scores of each seed, by tier.
        runs: Histories of the first seed, by tier.
    """

    scenario: Scenario
    scores: dict[str, Score]
    total: Score
    by_seed: dict[str, list[Score]]
    runs: dict[str, Run]


def run_scenarios(
    scenarios: Sequence[Scenario],
    executor: Executor,
    *,
    seeds: int | None = None,
    keep_runs: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Run scenarios with all their seeds, as one sweep.

    Args:
        scenarios: What to run.
        executor: Where.
        seeds: How many; each scenario's own when None.
        keep_runs: Return the histories of the first seed.
        progress: Told after each run.
    """
    counts = [seeds or scenario.model.seeds for scenario in scenarios]
    parts = [
        Part(
            model=scenario.model,
            trace=scenario.trace,
            folder=str(scenario.folder),
            seed=seed,
            keep_run=keep_runs and seed == 0,
        )
        for scenario, count in zip(scenarios, counts, strict=True)
        for seed in range(count)
    ]
    outcomes: list[Outcome] = []
    for outcome in executor.map(run_part, parts):
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), len(parts))
    ends = list(accumulate(counts, initial=0))
    return [
        _result(scenario, outcomes[begin:end])
        for scenario, begin, end in zip(scenarios, ends, ends[1:], strict=False)
    ]


def run_scenario(
    scenario: Scenario,
    executor: Executor,
    *,
    seeds: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run one scenario; see :func:`run_scenarios`."""
    return run_scenarios([scenario], executor, seeds=seeds, progress=progress)[0]


def _result(scenario: Scenario, outcomes: Sequence[Outcome]) -> Result:
    by_seed = {name: [outcome.scores[name] for outcome in outcomes] for name in outcomes[0].scores}
    return Result(
        scenario=scenario,
        scores={name: mean_score(scores) for name, scores in by_seed.items()},
        total=mean_score([outcome.total for outcome in outcomes]),
        by_seed=by_seed,
        runs=outcomes[0].runs,
    )


def run_part(part: Part) -> Outcome:
    """Run one seed."""
    scenario = scenario_of(part.model, part.trace, Path(part.folder))
    load = scenario.load(part.seed)
    tiers = scenario.tiers(load)
    runs = replay(tiers, load, seed=part.seed)
    from_step = scenario.score_from_step
    scores = {name: score(run, from_step=from_step) for name, run in runs.items()}
    visits = visits_of({tier.name: tier.upstream for tier in tiers})
    return Outcome(
        seed=part.seed,
        scores=scores,
        total=total_score(part.model.name, scores, runs, visits),
        runs=runs if part.keep_run else {},
    )
