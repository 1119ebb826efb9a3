"""What a backtest shows: tables, the page, and what one has to know to read them."""

from __future__ import annotations

from typing import Final

from autoscaler import __version__
from simulations.backtest.run import Backtest, days_of
from simulations.report.charts import comparison_chart, run_chart
from simulations.report.html import Chart, Page
from simulations.report.tables import Table, changes_table, percent
from simulations.score.score import late_per_step

UNKNOWN: Final = (
    "The service is not known (--service): pods serve at once, metrics are read at once, and late "
    "requests mean nothing."
)


def remarks_of(result: Backtest) -> list[str]:
    """Return sentences on what the figures of a backtest rest on."""
    return [_load_remark(result), *([] if result.knows_service else [UNKNOWN])]


def _load_remark(result: Backtest) -> str:
    load = result.load
    source = "The load is the query of the first trigger" if load.is_triggers else "The load is"
    given = f" {load.query}" if load.query and not load.is_triggers else ""
    hint = "; --load-query with a shorter range shows them" if load.is_triggers else ""
    return (
        f"{source}{given}, each value a mean over {load.mean_seconds:g} s: shorter bursts are not "
        f"in it{hint}."
    )


def days_table(result: Backtest) -> Table:
    """Return the replica hours of each day."""
    mine = days_of(result.policy)
    past = dict(days_of(result.actual)) if result.actual is not None else {}
    return Table(
        title="Replica hours per day (UTC)",
        header=("day", "policy", "really", "difference"),
        rows=tuple(
            (
                day,
                f"{hours:,.2f}",
                f"{past[day]:,.2f}" if day in past else "-",
                f"{hours - past[day]:+,.2f}" if day in past else "-",
            )
            for day, hours in mine
        ),
    )


def files_of(result: Backtest) -> dict[str, bytes]:
    """Return what lies beside the page."""
    return {"policy.png": run_chart(result.policy, late_per_step(result.policy), kind="png")}


def page_of(result: Backtest, name: str, tables: list[Table], failed: list[str], url: str) -> Page:
    """Return the page.

    Args:
        result: What came out.
        name: Of the object.
        tables: The figures first.
        failed: Sentences of failed criteria.
        url: Of the Prometheus.
    """
    runs = [("policy", result.policy)]
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
        lead.append("The service is not known, so late requests mean nothing here.")
    run = result.policy
    return Page(
        title=f"Backtest of {name}",
        lead=tuple(lead),
        failures=tuple(failed),
        parts=(
            tables[0],
            Chart(title="Serving replicas", svg=comparison_chart(runs)),
            Chart(title="The policy in detail", svg=run_chart(run, late_per_step(run))),
            *tables[1:],
            changes_table(run),
        ),
        facts=(
            ("recorded by", url),
            ("open loop", "what the policy decides does not change what its queries gave"),
            ("load", _load_remark(result)),
            ("step", f"{run.step_seconds:g} s"),
            ("version", __version__),
        ),
    )
