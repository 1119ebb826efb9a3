"""What `flyball tune` saves on recorded loads, on days it did not search on.

    python benchmarks/tuning.py [--candidates N] [--trace NAME]...

Baseline: KEDA's defaults (`simulations/scenarios/web.yaml`) in the world of
`simulations/scenarios/tuning-world.yaml`, each trace in its turn; the tuned object starts from
`web-fast.yaml`. Searched are the first 60 % of six days; both objects are then run on the rest, by
exact replay. The settings are those of the command, the same for all traces.

Without --trace all shipped traces are taken that show what the command is for: a week or more, so
that there are days to search on and others, at steps of five minutes or less, as coarser ones are
straight lines to an autoscaler. Both sides are printed whatever comes out. About three minutes per
trace on one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import msgspec
import yaml

from simulations.errors import SimulationError
from simulations.scenario.read import read_model, scenario_of
from simulations.sweep.executors import Serial
from simulations.tune.plan import DAY_SECONDS, Tuned, tuned
from simulations.workload.catalogue import TRACES, load_trace
from simulations.workload.model import build_trace, workload_of

FOLDER: Final = Path(__file__).parent.parent / "simulations" / "scenarios"
LEAST_DAYS: Final = 7
LONGEST_STEP_SECONDS: Final = 300
GOAL: Final = 0.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--trace", action="append")
    chosen = parser.parse_args()
    names = chosen.trace or suitable_traces()
    reached = 0
    for name in names:
        begin = time.perf_counter()
        try:
            result = tune_on(name, chosen.candidates)
        except SimulationError as error:
            print(f"{name:<14}{error}", flush=True)
            continue
        before, after = result.base, result.best
        print(
            f"{name:<14}KEDA {before.cost:7.1f} replica-hours, {before.violation_ratio:.4%} late"
            f"   tuned {after.cost:7.1f}, {after.violation_ratio:.4%}"
            f"   saved {result.saving:6.1%}   ({time.perf_counter() - begin:.0f} s)",
            flush=True,
        )
        reached += result.saving >= GOAL and after.violation_ratio <= before.violation_ratio
    print(f"{reached} of {len(names)} traces: {GOAL:.0%} cheaper or more, no more late requests")


def suitable_traces() -> list[str]:
    """Return the traces of the catalogue that are long and fine enough."""
    return [
        name
        for name, listed in TRACES.items()
        if listed.step_seconds <= LONGEST_STEP_SECONDS
        and load_trace(name).duration_seconds >= LEAST_DAYS * DAY_SECONDS
    ]


def tune_on(name: str, candidates: int) -> Tuned:
    """Return what tuning finds under a trace."""
    base = yaml.safe_load((FOLDER / "web.yaml").read_text())
    raw = yaml.safe_load((FOLDER / "web-fast.yaml").read_text())
    model = read_model(FOLDER / "tuning-world.yaml")
    world = msgspec.structs.replace(model, workload={**model.workload, "trace": name})
    trace = build_trace(workload_of(world.workload), FOLDER, now=0.0)
    scenario = scenario_of(world, trace, FOLDER)
    return tuned(raw, scenario, Serial(), against=base, candidates=candidates)


if __name__ == "__main__":
    main()
