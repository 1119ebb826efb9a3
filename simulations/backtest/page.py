"""What a backtest shows: tables, the page, and what one has to know to read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from autoscaler import __version__
from simulations.backtest.result import ACTUAL, POLICY, Backtest, Gaps, Paid
from simulations.report.charts import comparison_chart, run_chart
from simulations.report.html import Chart, Page
from simulations.report.tables import (
    FIGURES,
    LATE_NOTE,
    REPLICAS_NOTE,
    Table,
    changes_table,
    figures_beside,
    percent,
)
from simulations.score.score import late_per_step, utc_days

UNKNOWN: Final = (
    "The service is not known (--service): pods serve at once, metrics are read at once, and of "
    "late requests nothing is known."
)
_PAID: Final = {
    Paid.CREATED: "Pods are paid for from their creation until they have drained",
    Paid.READY: "Pods are paid for without their start-up, until they have drained",
}


def remarks_of(result: Backtest) -> list[str]:
    """Return sentences on what the figures of a backtest rest on."""
    unknown = [] if result.knows_service else [UNKNOWN]
    gaps = [_gaps_remark(gap) for gap in result.gaps]
    return [_load_remark(result), _paid_remark(result), *gaps, *unknown]


def _gaps_remark(gap: Gaps) -> str:
    taken = "an error" if gap.taken_for is None else f"{gap.taken_for:g}"
    return (
        f"The query of spec.triggers[{gap.trigger}] gave no result at {gap.instants:,} of "
        f"{gap.of:,} instants, which its ignoreNullValues takes for {taken}. Where the Prometheus "
        "itself was down the record looks the same, but the policy would have seen errors."
    )


def _paid_remark(result: Backtest) -> str:
    return f"{_PAID[result.paid]}{'' if result.actual is None else ', on both sides'}."


def _load_remark(result: Backtest) -> str:
    load = result.load
    source = "The load is the query of the first trigger" if load.is_triggers else "The load is"
    given = f" {load.query}" if load.query and not load.is_triggers else ""
    hint = "; --load-query with a shorter range shows them" if load.is_triggers else ""
    return (
        f"{source}{given}, each value a mean over {load.mean_seconds:g} s: shorter bursts are not "
        f"in it{hint}."
    )


def scores_table(result: Backtest, title: str) -> Table:
    """Return the figures of both sides, those of requests only where the service is known."""
    base = result.scores[0].cost
    header = ["", *FIGURES]
    rows = [
        ["really" if score.name == ACTUAL else score.name, *figures_beside(score, base)]
        for score in result.scores
    ]
    note = f"{LATE_NOTE}; {REPLICAS_NOTE}"
    if not result.knows_service:
        note = REPLICAS_NOTE
        for cells in (header, *rows):
            del cells[3:5]
    return Table(
        title=title,
        header=tuple(header),
        rows=tuple(tuple(cells) for cells in rows),
        note=note,
    )


def days_table(result: Backtest) -> Table:
    """Return the replica hours of each day; they add up to those of the whole time."""
    mine = utc_days(result.policy)
    past = None if result.actual is None else utc_days(result.actual)
    rows = []
    for at, day in enumerate(mine):
        hours, really, difference = day.replica_hours, "-", "-"
        if past is not None:
            really = f"{past[at].replica_hours:,.2f}"
            difference = f"{hours - past[at].replica_hours:+,.2f}"
        date = datetime.fromtimestamp(day.begin_at, UTC)
        rows.append((f"{date:%Y-%m-%d}", f"{hours:,.2f}", really, difference))
    return Table(
        title="Replica hours per day (UTC)",
        header=("day", "policy", "really", "difference"),
        rows=tuple(rows),
        note="the first and the last day may not be whole",
    )


def files_of(result: Backtest) -> dict[str, bytes]:
    """Return what lies beside the page."""
    run = result.policy
    if not result.knows_service:
        return {"policy.png": comparison_chart([(POLICY, run)], kind="png")}
    return {"policy.png": run_chart(run, late_per_step(run), kind="png")}


def page_of(result: Backtest, name: str, tables: list[Table], failed: list[str], url: str) -> Page:
    """Return the page.

    Args:
        result: What came out.
        name: Of the object.
        tables: The figures first.
        failed: Sentences of failed criteria.
        url: Of the Prometheus.
    """
    runs = [(POLICY, result.policy)]
    mine = result.scores[0]
    lead = [f"The policy would have used {mine.replica_hours:,.1f} replica hours."]
    if result.actual is not None:
        runs.append(("really", result.actual))
        past = result.scores[1]
        share = f": {mine.cost / past.cost:.3f} of the cost" if past.cost else ""
        lead.append(f"Really used were {past.replica_hours:,.1f}{share}.")
    if result.knows_service:
        late = [percent(score.violation_ratio) for score in result.scores]
        lead.append(f"Late requests: {' against '.join(late)}.")
    else:
        lead.append(UNKNOWN)
    run = result.policy
    details = []
    if result.knows_service:
        svg = run_chart(run, late_per_step(run))
        details.append(Chart(title="The policy in detail", svg=svg))
    return Page(
        title=f"Backtest of {name}",
        lead=tuple(lead),
        failures=tuple(failed),
        parts=(
            tables[0],
            Chart(title="Serving replicas", svg=comparison_chart(runs)),
            *details,
            *tables[1:],
            changes_table(run),
        ),
        facts=(
            ("recorded by", url),
            ("open loop", "what the policy decides does not change what its queries gave"),
            ("load", _load_remark(result)),
            ("paid", _paid_remark(result)),
            *(("no result", _gaps_remark(gap)) for gap in result.gaps),
            ("step", f"{run.step_seconds:g} s"),
            ("version", __version__),
        ),
    )
