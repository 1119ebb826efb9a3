"""What `flyball tune` saves on three traces, on days it did not search on.

    python benchmarks/tuning.py [--candidates N] [--trace NAME]...

Baseline: KEDA's defaults (`simulations/scenarios/web.yaml`) in the world of
`simulations/scenarios/tuning-world.yaml`, each trace in its turn. Searched are the first 60 % of
six days; both objects are then run on the rest, by exact replay.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import msgspec
import yaml

from simulations.errors import SimulationError
from simulations.scenario.read import read_model, scenario_of
from simulations.sweep.executors import Serial
from simulations.tune.plan import tuned
from simulations.workload.model import build_trace, workload_of

FOLDER = Path(__file__).parent.parent / "simulations" / "scenarios"
TRACES = ("elb", "ingress-04", "tweets-aapl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=400)
    parser.add_argument("--trace", action="append")
    chosen = parser.parse_args()
    base = yaml.safe_load((FOLDER / "web.yaml").read_text())
    raw = yaml.safe_load((FOLDER / "web-fast.yaml").read_text())
    model = read_model(FOLDER / "tuning-world.yaml")
    for name in chosen.trace or TRACES:
        world = msgspec.structs.replace(model, workload={**model.workload, "trace": name})
        trace = build_trace(workload_of(world.workload), FOLDER, now=0.0)
        begin = time.perf_counter()
        try:
            result = tuned(
                raw,
                scenario_of(world, trace, FOLDER),
                Serial(),
                against=base,
                candidates=chosen.candidates,
            )
        except SimulationError as error:
            print(f"{name:<14}{error}")
            continue
        before, after = result.base, result.best
        print(
            f"{name:<14}baseline {before.cost:8.1f} replica-hours, "
            f"{before.violation_ratio:.3%} late"
            f"   tuned {after.cost:8.1f}, {after.violation_ratio:.3%}   saved {result.saving:6.1%}"
            f"   ({time.perf_counter() - begin:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
