"""The benchmark's page: Markdown tables, all of them made from the results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Final

from simulations.benchmark import protocol
from simulations.benchmark.cells import Cells, geometric_mean, mean
from simulations.benchmark.compare import COST_ALLOWED, LEAST_DAYS, Outcome, count_outcomes, harms
from simulations.benchmark.result import Results
from simulations.benchmark.run import ORACLE, STATIC_PAST, STATIC_PEAK
from simulations.benchmark.sensitivity import shifts, unstable_pairs
from simulations.policies.catalogue import BASELINES

TITLES: Final = {
    ORACLE: "perfect foresight",
    STATIC_PEAK: "static, peak in hindsight",
    STATIC_PAST: "static, peak of the past",
    **{name: entry.title for name, entry in BASELINES.items()},
}
OURS: Final = tuple(name for name, entry in BASELINES.items() if entry.is_ours)

WIDTH: Final = 128

INTRODUCTION: Final = """
Written by `make simulate`; every figure on this page is computed from [results.json](results.json).
What the autoscalers are, and where their defaults come from:
[baselines](../reference/baselines.md).

**Cost** is replica-hours (start-up and drain paid) as a multiple of perfect foresight's on the same
trace; over traces the geometric mean. **Late** is the share of requests that waited longer than
{slo:g} s or gave up; over traces the mean. **In budget** counts the traces on which at most
{budget:.1%} were late. Cheaper and later is a different choice, not a better one: read both
columns.
"""

DUELS: Final = """
Traces won, traded (better at one of cost and lateness, worse at the other), tied and lost, by a
paired bootstrap over the scored days (95 % of the draws; differences below 1 % of cost and 0.05
points of lateness are ties). Traces with fewer than {days} scored days are left out.
"""

GATE: Final = """
On every trace, start-up and seed: at most {allowed:g} times the cost of the best reactive default
(HPA, KEDA, KPA) and within the budget or no later than that one; or less late at no higher cost.
"""

SENSITIVITY: Final = """
Cost and lateness when the world is different and nobody was told (one seed; but for the longer
start-up, the first scored day), beside the same days of the world as it is. A rank is not stable
when a variant turns the order of two autoscalers round by more than 1 % of cost, or 0.05 points of
lateness, either way.
"""

PROTOCOL: Final = """
- Loads: {traces} shipped traces ([their sources](../../simulations/traces/README.md)). The first
  {warm_up:.0%} of each are the past, which learners have read as metrics showed it; the rest is
  scored. Of traces longer than {window:g} days the {learned:g} days before that point and the
  {scored:g} after it are used.

- Rates are scaled so that the 99.9th percentile needs {peak} replicas; traces of small counts are
  smoothed first.

- Service: {mean:g} s exponential, {concurrency} at a time per replica, SLO {slo:g} s of waiting,
  given up after {timeout:g} s. Bounds {minimum} to {maximum} replicas. Steps of {step:g} s.

- Start-up, median and 95th percentile: {profiles}.

- {seeds} seeds of start-up delays; all autoscalers meet the same arrivals, and the same delay of
  the n-th pod.

- Perfect foresight wants, at every step, what serves the highest load of the time a pod takes to
  start (95th percentile) with {alpha:.1%} late at most.

- Everybody aims at {target:.0%} utilisation unless its own rules say otherwise; nobody was tuned,
  ours neither.
"""


def write_readme(results: Results, folder: Path) -> None:
    """Write the page into a folder."""
    cells = Cells(results.runs)
    sections = [
        "# The standard benchmark\n",
        _text(INTRODUCTION, slo=protocol.WAITING.slo_seconds, budget=protocol.BUDGET),
        _overview(cells),
        _duels(cells),
        _gate(cells),
        _sensitivity(cells),
        _traces(cells),
        _protocol(cells),
    ]
    (folder / "README.md").write_text("\n".join(sections))


def _overview(cells: Cells) -> str:
    lines = ["## Overview", ""]
    for profile in cells.profiles:
        by_cost, by_late = unstable_pairs(cells, profile)
        rows = []
        for policy in cells.policies:
            row = cells.row(profile, policy)
            worst = max(row, key=lambda cell: cell.violation_ratio)
            kept = sum(cell.violation_ratio <= protocol.BUDGET for cell in row)
            rows.append(
                (
                    _title(policy),
                    f"{geometric_mean([c.cost for c in row]):.2f}{'~' * (policy in by_cost)}",
                    f"{max(c.cost for c in row):.2f}",
                    _percent(mean([c.violation_ratio for c in row])) + "~" * (policy in by_late),
                    f"{_percent(worst.violation_ratio)} {cells.traces[row.index(worst)]}",
                    f"{kept}/{len(row)}",
                    f"{mean([c.actions_per_hour for c in row]):.1f}",
                )
            )
        header = (
            "autoscaler",
            "cost",
            "worst cost",
            "late",
            "worst trace",
            "in budget",
            "changes/h",
        )
        lines += [f"### {profile} start-up", "", *_table(header, rows), ""]
    lines.append("~ The rank is not [stable](#sensitivity).\n")
    return "\n".join(lines)


def _duels(cells: Cells) -> str:
    lines = ["## Ours against each\n", _text(DUELS, days=LEAST_DAYS)]
    for ours in OURS:
        rows = []
        for theirs in cells.policies:
            if theirs == ours:
                continue
            counts = [count_outcomes(cells, profile, ours, theirs) for profile in cells.profiles]
            rows.append(
                (
                    _title(theirs),
                    *(
                        " / ".join(
                            str(count[outcome])
                            for outcome in (Outcome.WIN, Outcome.TRADE, Outcome.TIE, Outcome.LOSS)
                        )
                        for count in counts
                    ),
                )
            )
        header = ("win / trade / tie / loss", *cells.profiles)
        lines += [f"### {TITLES[ours]}", "", *_table(header, rows), ""]
    return "\n".join(lines)


def _gate(cells: Cells) -> str:
    total = len(cells.profiles) * len(cells.traces)
    lines = ["## Do no harm\n", _text(GATE, allowed=COST_ALLOWED)]
    for ours in OURS:
        found = harms(cells, ours)
        lines.append(f"- **{TITLES[ours]}**: passes {total - len(found)} of {total}.")
        for profile in cells.profiles:
            failed = [f"{trace} ({best})" for where, trace, best in found if where == profile]
            if failed:
                lines.append(f"  - {profile}, does harm beside: {', '.join(failed)}")
    return "\n".join([*lines, ""])


def _sensitivity(cells: Cells) -> str:
    lines = ["## Sensitivity\n", _text(SENSITIVITY)]
    for profile in cells.profiles:
        rows = []
        for policy in cells.policies:
            known = shifts(cells, profile, policy)
            rows.append(
                (
                    _title(policy),
                    *(
                        f"{before.cost:.2f} → {after.cost:.2f}, "
                        f"{_percent(before.violation_ratio)} → {_percent(after.violation_ratio)}"
                        for before, after in known.values()
                    ),
                )
            )
        header = ("cost, late", *(variant for variant in cells.variants if variant))
        by_cost, by_late = unstable_pairs(cells, profile)
        lines += [f"### {profile} start-up, sensitivity", "", *_table(header, rows), ""]
        listed = _listed(by_cost, cells), _listed(by_late, cells)
        lines.append("Unstable in cost: {}. In lateness: {}.\n".format(*listed))
    return "\n".join(lines)


def _traces(cells: Cells) -> str:
    lines = ["## By trace", "", "Cost, late.", ""]
    for profile in cells.profiles:
        shown = [policy for policy in cells.policies if policy != ORACLE]
        rows = [
            (
                trace,
                _percent(cells.of(profile, trace, ORACLE).violation_ratio),
                *(
                    f"{cell.cost:.2f}, {_percent(cell.violation_ratio)}"
                    for cell in (cells.of(profile, trace, policy) for policy in shown)
                ),
            )
            for trace in cells.traces
        ]
        header = ("trace", "oracle late", *shown)
        lines += [f"### {profile} start-up, by trace", "", *_table(header, rows), ""]
    return "\n".join(lines)


def _protocol(cells: Cells) -> str:
    profiles = ", ".join(f"{p.name} {p.median:g}/{p.p95:g} s" for p in protocol.PROFILES)
    return "## Protocol\n\n" + _text(
        PROTOCOL,
        traces=len(cells.traces),
        warm_up=protocol.WARM_UP_RATIO,
        window=protocol.LEARNED_DAYS + protocol.SCORED_DAYS,
        learned=protocol.LEARNED_DAYS,
        scored=protocol.SCORED_DAYS,
        peak=protocol.PEAK_REPLICAS,
        mean=protocol.SERVICE.mean_seconds,
        concurrency=protocol.SERVICE.concurrency,
        slo=protocol.WAITING.slo_seconds,
        timeout=protocol.WAITING.timeout_seconds,
        minimum=protocol.FACTS.minimum,
        maximum=protocol.FACTS.maximum,
        step=protocol.STEP_SECONDS,
        profiles=profiles,
        seeds=protocol.SEEDS,
        alpha=protocol.LATE_RATIO,
        target=protocol.FACTS.target_ratio,
    )


def _text(text: str, **values: float | str) -> str:
    """Return paragraphs filled in and wrapped as the documentation is."""
    paragraphs = text.format(**values).strip().split("\n\n")
    wrapped = [
        fill(" ".join(paragraph.split()), WIDTH, subsequent_indent="  " * paragraph.startswith("-"))
        for paragraph in paragraphs
    ]
    return "\n\n".join(wrapped) + "\n"


def _title(policy: str) -> str:
    title = TITLES.get(policy, policy)
    return f"**{title}**" if policy in OURS else title


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.2f} %"


def _listed(policies: set[str], cells: Cells) -> str:
    return ", ".join(TITLES[name] for name in cells.policies if name in policies) or "none"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
