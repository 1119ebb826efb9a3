"""``flyball backtest``: what a policy would have done in the days a Prometheus remembers."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.commands.running import (
    criteria_of,
    deliver,
    now,
    object_of,
    report_folder,
    seconds_of,
    with_errors,
)
from simulations.commands.simulate import FailOn, Json, Junit, Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from simulations.score.criteria import Criterion
    from simulations.workload.importers.prometheus import Access
    from simulations.workload.trace import Trace


@with_errors
def backtest(
    manifest: Annotated[
        Path, typer.Option("--filename", "-f", help="Manifest with the ScaledObject.")
    ],
    prometheus: Annotated[str, typer.Option(help="URL of the Prometheus to ask.")],
    since: Annotated[str, typer.Option(help="How far back, such as 14d or 36h.")] = "14d",
    until: Annotated[str, typer.Option(help="How long ago the end is, such as 1h.")] = "",
    step: Annotated[
        str, typer.Option(help="Between instants (default: how often the policy decides).")
    ] = "",
    service: Annotated[
        Path | None,
        typer.Option(
            help="YAML: service, start_up, waiting, lag_seconds, prices; for late requests."
        ),
    ] = None,
    load_query: Annotated[
        str,
        typer.Option(
            help="PromQL: requests/s, best over a short range (default: the first trigger's)."
        ),
    ] = "",
    replicas_query: Annotated[
        str,
        typer.Option(help="PromQL: ready replicas (default: kube-state-metrics of the target)."),
    ] = "",
    created_query: Annotated[
        str,
        typer.Option(
            help="PromQL: pods, ready or not (default: kube-state-metrics of the target, unless "
            "there is a --replicas-query)."
        ),
    ] = "",
    exogenous: Annotated[
        bool, typer.Option(help="All queries measure load alone, even without rate().")
    ] = False,
    controller: Annotated[
        str, typer.Option(help="Whose loop runs a keda.sh object: keda or flyball.")
    ] = "",
    token_env: Annotated[
        str, typer.Option(help="Environment variable that holds a bearer token.")
    ] = "",
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME: VALUE", help="Sent with every request.")
    ] = None,
    ca_file: Annotated[str, typer.Option(help="Certificates to trust.")] = "",
    insecure_skip_verify: Annotated[bool, typer.Option(help="Check no certificate.")] = False,
    output: Output = None,
    fail_on: FailOn = None,
    junit: Junit = None,
    json: Json = False,
) -> None:
    """Show a policy what its queries gave in the past, and compare with what really happened."""
    from rich.console import Console

    from simulations.backtest.model import read_service
    from simulations.backtest.page import days_table, files_of, page_of, remarks_of, scores_table
    from simulations.backtest.queries import queries_of
    from simulations.backtest.run import backtest as run_backtest
    from simulations.report.console import progress
    from simulations.workload.importers.prometheus import Access

    errors = Console(stderr=True)
    criteria = criteria_of(fail_on or [])
    raw = object_of(manifest)
    name = raw["metadata"]["name"]
    known = None if service is None else read_service(service)
    if known is None:
        _check_needless_of_service(criteria)
    queries = queries_of(raw, exogenous=exogenous)
    every = _finite(step, "--step") if step else _default_step(raw)
    to_at = now() - (_finite(until, "--until") if until else 0.0)
    from_at = to_at - _finite(since, "--since")
    access = Access(
        url=prometheus,
        bearer_token=_token(token_env),
        headers=_headers(header or []),
        ca_file=ca_file,
        insecure_skip_verify=insecure_skip_verify,
    )

    def ask(query: str, *, before: float = 0.0) -> Trace:
        return _ask(access, query, from_at - before, to_at, every)

    folder = report_folder(f"backtest-{name}", output, junit)
    with progress(errors, "asking the Prometheus") as tell:
        recorded = {}
        for number, item in enumerate(queries):
            # What the policy reads first was recorded as long before as it takes to be read.
            age = 0.0 if known is None else known.lag_seconds
            recorded[item.trigger] = ask(item.query, before=age)
            tell(number + 1, len(queries) + 1)
        load = ask(load_query) if load_query else None
        replicas, created = _really(raw, replicas_query, created_query, ask, errors)
    with progress(errors, "replaying") as tell:
        result = run_backtest(
            raw,
            recorded,
            replicas=replicas,
            created=created,
            load=load,
            load_query=load_query,
            service=known,
            controller=controller,
            progress=tell,
        )
    tables = [scores_table(result, f"Backtest of {name}"), days_table(result)]
    deliver(
        f"backtest-{name}",
        tables=tables,
        scores=result.scores,
        judged=result.scores[:1],
        criteria=criteria,
        page=lambda failed: page_of(result, name, tables, failed, access.shown_url),
        files=files_of(result),
        remark="\n".join(remarks_of(result)),
        folder=folder,
        junit=junit,
        json=json,
        object=name,
        from_at=result.policy.start_at,
        knows_service=result.knows_service,
        load=result.load,
        paid=result.paid,
        gaps=result.gaps,
    )


def _finite(text: str, option: str) -> float:
    """Return a duration that has an end, seconds."""
    from simulations.errors import SimulationError

    seconds = seconds_of(text, option)
    if not math.isfinite(seconds):
        raise SimulationError(f'{option} is "{text}", must have an end')
    return seconds


def _check_needless_of_service(criteria: list[Criterion]) -> None:
    from simulations.errors import SimulationError
    from simulations.score.criteria import REQUESTS

    for criterion in criteria:
        if criterion.field in REQUESTS:
            raise SimulationError(
                f'criterion "{criterion.text}" is about requests, of which nothing is known '
                "without --service",
                field="fail_on",
            )


def _ask(access: Access, query: str, from_at: float, to_at: float, step: float) -> Trace:
    from simulations.workload.importers.prometheus import query_range

    return query_range(access, query, from_at=from_at, to_at=to_at, step_seconds=step)


def _really(
    raw: Any, ready: str, created: str, ask: Callable[[str], Trace], errors: Console
) -> tuple[Trace | None, Trace | None]:
    """Return the ready pods the workload really had, and all; say what is not recorded, and go on.

    Pods other than the ready ones are only asked for where the queries measure the same workload.
    """
    spec, namespace = raw["spec"], raw["metadata"].get("namespace", "default")
    reference = spec["scaleTargetRef"]
    kind = str(reference.get("kind", "Deployment")).lower()
    measured = "ready_replicas" if kind == "replicaset" else "replicas_ready"
    found = []
    for query, default, what in (
        (ready, measured, "What really happened"),
        (created, "" if ready else "replicas", "How long start-ups were really paid for"),
    ):
        labels = f'{{namespace="{namespace}",{kind}="{reference["name"]}"}}'
        asked = query or (f"sum(kube_{kind}_status_{default}{labels})" if default else "")
        found.append(_recorded(ask, asked, what, errors, is_needed=bool(query)))
        if found[0] is None:
            return None, None
    return found[0], found[1]


def _recorded(
    ask: Callable[[str], Trace], query: str, what: str, errors: Console, *, is_needed: bool
) -> Trace | None:
    from simulations.errors import SimulationError

    if not query:
        return None
    try:
        return ask(query)
    except SimulationError as error:
        if is_needed:
            raise
        errors.print(f"{what} is not recorded: {error}")
        return None


def _default_step(raw: Any) -> float:
    polling = float(raw["spec"].get("pollingInterval", 30))
    return polling if raw["apiVersion"].startswith("flyball.dev") else 15.0


def _token(variable: str) -> str:
    from simulations.errors import SimulationError

    if variable and variable not in os.environ:
        raise SimulationError(f"environment variable {variable} is not set", field="token_env")
    return os.environ.get(variable, "") if variable else ""


def _headers(texts: list[str]) -> dict[str, str]:
    from simulations.errors import SimulationError

    headers = {}
    for text in texts:
        name, separator, value = text.partition(":")
        if not separator:
            raise SimulationError(f'header "{text}" must be "NAME: VALUE"', field="header")
        headers[name.strip()] = value.strip()
    return headers
