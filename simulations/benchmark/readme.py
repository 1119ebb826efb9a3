"""The benchmark's page: Markdown tables, all of them made from the results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import fill
from typing import Final

from simulations.benchmark import protocol, tables
from simulations.benchmark.cells import Cells, cells_of_sets
from simulations.benchmark.compare import COST_ALLOWED, LEAST_DAYS
from simulations.benchmark.findings import Findings
from simulations.benchmark.tuned import RATIOS, at_budgets
from simulations.benchmark.worlds import world_tables
from simulations.report.tables import Table

WIDTH: Final = 128

INTRODUCTION: Final = """
Written by `make simulate`; every figure on this page is computed from
[results.json.gz](results.json.gz), [tuned.json.gz](tuned.json.gz) and
[sets.json.gz](sets.json.gz), [worlds.json](worlds.json). What the autoscalers are, and
where their defaults come from: [baselines](../reference/baselines.md).

**Cost** is replica-hours (start-up and drain paid) as a multiple of perfect foresight's on the same
trace; over traces the geometric mean. **Late** is the share of requests that waited longer than
{slo:g} s or gave up; over traces the mean. **In budget** counts the traces on which at most
{budget:.1%} were late. Cheaper and later is a different choice, not a better one: read both
columns.
"""

DUELS: Final = """
Traces won, traded (better at one of cost and lateness, worse at the other), tied and lost, by a
paired bootstrap over the scored days (95 % of the draws; differences below 1 % of cost and 0.05
points of lateness are ties). Traces with fewer than {days} scored days are left out. ~ marks an
order that does not [hold](#orders-that-do-not-hold) when the world is a little different.
"""

TUNED: Final = """
The same autoscalers with their utilisation to aim at ({ratios}) chosen per trace and in hindsight,
for all alike: the cost at which at most so many requests are late, interpolated on the frontier;
the geometric mean of the traces on which all of them can do it. The last row of a start-up is the
mean over all budgets in between, the area under the frontier. In brackets, on how many of all
traces each can.
"""

GATE: Final = """
On every trace, start-up and seed: at most {allowed:g} times the cost of the best reactive default
(HPA, KEDA, KPA) and within the budget or no later than that one; or less late at no higher cost.
"""

SENSITIVITY: Final = """
Cost and lateness when the world is different and nobody was told (one seed; but for the longer
start-up, the first scored day), beside the same days of the world as it is. The order of two
autoscalers does not hold when a variant turns it round by more than 1 % of cost, or 0.05 points of
lateness, either way.
"""

SETS: Final = """
The first scored day of the same traces with slow start-up and one seed, scaled to another number of
replicas at the peak (bounds 15 and 1,000), or served by another service: 20 s per request, one at a
time per replica, late after 20 s of waiting and given up after 300 s.
"""

WORLDS: Final = """
What only exact replay can do, in small: [scenarios](../../simulations/scenarios) with three seeds
each, the same object in several forms.
"""

PROTOCOL: Final = """
- Loads: {traces} shipped traces ([their sources](../../simulations/traces/README.md)). The first
  {warm_up:.0%} of each are the past, which learners have read as metrics showed it; the rest is
  scored. Of traces longer than {window:g} days the {learned:g} days before that point and the
  {scored:g} after it are used.

- Rates are scaled so that the 99.9th percentile needs {peak} replicas; traces of small counts are
  smoothed first.

- Service: {mean:g} s exponential, {concurrency} at a time per replica, SLO {slo:g} s of waiting,
  given up after {timeout:g} s. Bounds {minimum} to {maximum} replicas; where a trace needs more
  than that for a while, perfect foresight is late too. Steps of {step:g} s.

- Start-up, median and 95th percentile: {profiles}.

- {seeds} seeds, each with its own start-up delays and its own arrivals as metrics count them; in
  one seed all autoscalers meet the same arrivals, and the same delay of the n-th pod. What queues
  is what is expected to arrive; what chance adds to the waits is computed, not drawn.

- Perfect foresight wants, at every step, what serves the highest load of the time a pod takes to
  start (95th percentile) with {alpha:.1%} late at most.

- Everybody aims at {target:.0%} utilisation unless its own rules say otherwise; on the default
  track nobody was tuned, ours neither.

- Two processes on two cores that did other work too: 26.3 minutes in all (39.6 minutes of processor
  time): 17.6 for the default track, 4.5 for the tuned one, 3.6 for other sizes and services.
"""


def write_readme(findings: Findings, folder: Path) -> None:
    """Write the page into a folder.

    Args:
        findings: Of all tracks.
        folder: Exists.
    """
    cells = Cells(findings.default.runs)
    profiles = cells.profiles
    sections = [
        "# The standard benchmark",
        _text(INTRODUCTION, slo=protocol.WAITING.slo_seconds, budget=protocol.BUDGET),
        "## Overview",
        *_overviews(cells),
        "## Ours against each",
        _text(DUELS, days=LEAST_DAYS),
        *_shown(tables.duels(cells, ours) for ours in tables.OURS),
        "## Tuned",
        _text(TUNED, ratios=", ".join(f"{ratio:g}" for ratio in RATIOS)),
        _markdown(at_budgets(findings.tuned, cells)),
        "## Do no harm",
        _text(GATE, allowed=COST_ALLOWED),
        _markdown(tables.gate(cells)),
        "## Sensitivity",
        _text(SENSITIVITY),
        *_shown(tables.sensitivity(cells, profile) for profile in profiles),
        *_shown([tables.unstable(cells)]),
        "## Other sizes and services",
        _text(SETS),
        *_shown(tables.of_set(found, name) for name, found in cells_of_sets(findings.sets).items()),
        "## To zero, and on nodes",
        _text(WORLDS),
        *_shown(world_tables(findings.worlds)),
        "## By trace",
        *_shown(tables.by_trace(cells, profile) for profile in profiles),
        "## Protocol",
        _text(PROTOCOL, **protocol_facts(len(cells.traces))),
    ]
    (folder / "README.md").write_text("\n\n".join(sections) + "\n")


def _overviews(cells: Cells) -> Iterable[str]:
    for profile in cells.profiles:
        yield from _shown([tables.overview(cells, profile)])
        yield f"![Cost and lateness, {profile} start-up]({tables.chart_name(profile)})"


def protocol_facts(traces: int) -> dict[str, float | str]:
    """Return the numbers of the protocol by name."""
    profiles = ", ".join(f"{p.name} {p.median:g}/{p.p95:g} s" for p in protocol.PROFILES)
    return {
        "traces": traces,
        "warm_up": protocol.WARM_UP_RATIO,
        "window": protocol.LEARNED_DAYS + protocol.SCORED_DAYS,
        "learned": protocol.LEARNED_DAYS,
        "scored": protocol.SCORED_DAYS,
        "peak": protocol.PEAK_REPLICAS,
        "mean": protocol.SERVICE.mean_seconds,
        "concurrency": protocol.SERVICE.concurrency,
        "slo": protocol.WAITING.slo_seconds,
        "timeout": protocol.WAITING.timeout_seconds,
        "minimum": protocol.FACTS.minimum,
        "maximum": protocol.FACTS.maximum,
        "step": protocol.STEP_SECONDS,
        "profiles": profiles,
        "seeds": protocol.SEEDS,
        "alpha": protocol.LATE_RATIO,
        "target": protocol.FACTS.target_ratio,
    }


def _shown(all_tables: Iterable[Table]) -> Iterable[str]:
    for table in all_tables:
        yield f"### {table.title}"
        yield _markdown(table)
        if table.note:
            yield table.note


def _markdown(table: Table) -> str:
    rows = [
        (f"**{row[0]}**" if at in table.marked else row[0], *row[1:])
        for at, row in enumerate(table.rows)
    ]
    lines = [
        f"| {' | '.join(table.header)} |",
        f"|{'---|' * len(table.header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines)


def _text(text: str, **values: float | str) -> str:
    """Return paragraphs filled in and wrapped as the documentation is."""
    paragraphs = text.format(**values).strip().split("\n\n")
    wrapped = [
        fill(" ".join(paragraph.split()), WIDTH, subsequent_indent="  " * paragraph.startswith("-"))
        for paragraph in paragraphs
    ]
    return "\n\n".join(wrapped)
