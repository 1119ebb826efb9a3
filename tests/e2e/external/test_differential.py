"""KEDA with our server against ``decide()`` on the same readings."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.external.audited import histories
from tests.e2e.external.cases import Case, random_cases
from tests.e2e.external.expected import Expected, batches, policy_of
from tests.e2e.external.installed import external_scaler, shown_average_milli
from tests.e2e.external.manifests import inline, scaled_object
from tests.e2e.external.server import ExternalScaler
from tests.e2e.external.verdict import Result, judge, summary
from tests.e2e.keda.installed import is_ready
from tests.e2e.keda.source import Source
from tests.e2e.objects import Objects, own_namespace, until

SYNCS_MIN = 20
"""Of each case; with fewer, equality would say little."""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_sync_of_the_hpa_ends_where_decide_does(
    cluster: ControlPlane,
    client: KubeClient,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twenty policies on random series, tolerance 0: after each sync the count is decide's."""
    cases, source = random_cases(), Source()
    async with (
        own_namespace(client) as objects,
        source.serving(),
        external_scaler(objects, cluster, client, tmp_path) as server,
    ):
        mark = cluster.audit_mark()
        start_at = await _run(cases, objects, source, server)
        happened = await histories(cluster, objects.namespace, mark)
    polls = batches(source.reads)
    results = []
    for case in cases:
        policy = policy_of(case.name, case.spec(source.url))
        expected = Expected(case.name, policy, polls)
        results.append(judge(case, expected, happened[case.name], start_at))
    with capsys.disabled():
        sys.stdout.write(f"\n{summary(results)}\n")
    wrong = [_table(one) for one in results if one.mismatches]
    assert not wrong, "\n\n".join([summary(results), *wrong])
    assert min(one.syncs for one in results) >= SYNCS_MIN
    assert all(one.plateaus for one in results)


@pytest.mark.slow
async def test_default_tolerance_of_the_hpa_hides_small_steps(
    cluster: ControlPlane, client: KubeClient, tmp_path: Path
) -> None:
    """Without ``tolerance: 0`` the HPA sees a step of a twentieth and ignores it."""
    source, name = Source(), "tolerant"
    source.values[name] = (200.0,)
    (case,) = (case for case in random_cases() if case.name == "plain-1")
    policy = case._replace(name=name).spec
    async with (
        own_namespace(client) as objects,
        source.serving(),
        external_scaler(objects, cluster, client, tmp_path) as server,
    ):
        await objects.deploy(name)
        metadata = inline(policy(source.url))
        await objects.create(scaled_object(name, server.address, metadata, tolerance={}))
        for value, seen_milli, replicas in (
            (200.0, 1000, 20),
            (210.0, 1050, 20),
            (190.0, 950, 20),
            (230.0, 1000, 23),
        ):
            source.values[name] = (value,)

            async def has_seen(seen_milli: int = seen_milli, replicas: int = replicas) -> bool:
                shown = await shown_average_milli(objects, name)
                return shown == seen_milli and await objects.replicas(name) == replicas

            await until(f"the HPA has seen {value:g} and left {replicas}", has_seen, 60.0)


async def _run(
    cases: Sequence[Case], objects: Objects, source: Source, server: ExternalScaler
) -> float:
    """Create everything, drive all series at once; returns when it began, epoch seconds."""
    for case in cases:
        source.values[case.name] = case.series[0].values
        await objects.deploy(case.name)
        metadata = inline(case.spec(source.url))
        body = scaled_object(case.name, server.address, metadata, kind=case.kind)
        await objects.create(body)
    for case in cases:
        await until(f"{case.name} is ready", partial(is_ready, objects, case.name), 60.0)
    start_at = time.time()
    async with asyncio.TaskGroup() as drivers:
        for case in cases:
            drivers.create_task(_drive(case, source))
    return start_at


async def _drive(case: Case, source: Source) -> None:
    for step in case.series:
        source.values[case.name] = step.values
        await asyncio.sleep(step.seconds)


def _table(result: Result) -> str:
    case = result.case
    series = "; ".join(
        f"{' '.join('error' if v is None else f'{v:.1f}' for v in step.values)} {step.seconds:g} s"
        for step in case.series
    )
    return "\n".join(
        [f"{case.name} ({case.kind}): {dict(case.policy)} {dict(case.smoothing)}", series]
        + [f"  {one}" for one in result.mismatches]
        + [result.writes]
    )
