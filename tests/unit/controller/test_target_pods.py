"""What a target's pods are worth while they cannot be listed or watched."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from autoscaler.controller.target_pods import GRACE_SECONDS, TargetPods, look_at
from autoscaler.controller.watches import Watches
from autoscaler.errors import Forbidden, Unreachable
from autoscaler.kube.pods import PodView
from autoscaler.kube.reflector import ReflectorStats
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient
from tests.doubles.scripted_api import Cut, Hang, ScriptedApi, refusal, reply, watch

BUSY = Unreachable("503: busy", status=503)
EMPTY_LIST = reply({"kind": "PodList", "metadata": {"resourceVersion": "9"}, "items": []})


def seen(stats: ReflectorStats, *, has_synced: bool, now: float) -> TargetPods:
    """Return what is known at an instant of pods that are wanted since 100."""
    store = Store[PodView]()
    if has_synced:
        store.replace({}, "7")
    return look_at(store, stats, wanted_at=100.0, now=now)


def failing(error: Unreachable | Forbidden, since: float) -> ReflectorStats:
    """Return the state of a watch that fails."""
    return ReflectorStats(failing=str(error), failing_since=since, last_failure=error)


def test_pods_that_are_watched_are_facts() -> None:
    """Neither age nor a failure of the past counts against them."""
    pods = seen(ReflectorStats(last_failure=BUSY), has_synced=True, now=10_000.0)
    assert (pods.error, pods.is_awaited, pods.is_doubtful) == (None, False, False)
    assert pods.look_again_seconds is None
    pods.check_allowed()


def test_pods_not_listed_yet_are_waited_for_and_then_missing() -> None:
    """A list takes a moment; one that does not end is an error, answered or not."""
    early = seen(ReflectorStats(), has_synced=False, now=100.0 + GRACE_SECONDS - 1)
    assert (early.error, early.is_awaited, early.is_doubtful) == (None, True, False)
    late = seen(ReflectorStats(), has_synced=False, now=100.0 + GRACE_SECONDS)
    assert late.error == "the pods of the target cannot be listed: no answer"
    assert (late.is_awaited, late.is_doubtful) == (False, False)
    assert late.look_again_seconds is not None
    refused = seen(failing(BUSY, 109.0), has_synced=False, now=100.0 + GRACE_SECONDS)
    assert refused.error == "the pods of the target cannot be listed: 503: busy"


def test_pods_that_were_known_are_doubtful_and_then_unknown() -> None:
    """Since when the watch fails counts, not since when the pods are wanted."""
    early = seen(failing(BUSY, 500.0), has_synced=True, now=500.0 + GRACE_SECONDS - 1)
    assert (early.error, early.is_awaited, early.is_doubtful) == (None, False, True)
    assert early.look_again_seconds is not None
    late = seen(failing(BUSY, 500.0), has_synced=True, now=500.0 + GRACE_SECONDS)
    assert late.error == "the pods of the target cannot be watched: 503: busy"
    assert (late.is_awaited, late.is_doubtful) == (False, False)


def test_a_missing_right_is_raised_once_it_has_lasted() -> None:
    """Listed or not; other failures never are."""
    denied = Forbidden('cannot list resource "pods"', status=403)
    for has_synced in (False, True):
        pods = seen(failing(denied, 100.0), has_synced=has_synced, now=102.0)
        with pytest.raises(Forbidden, match='cannot list resource "pods"'):
            pods.check_allowed()
        pods.check_allowed(patience_seconds=3.0)
        seen(failing(BUSY, 100.0), has_synced=has_synced, now=102.0).check_allowed()


@pytest.mark.looptime
async def test_pods_are_unknown_while_their_watch_fails_and_known_again_after() -> None:
    """The grace begins with the first failure; the first watch that opens ends the trouble."""
    broken = refusal(503, "ServiceUnavailable", "busy")
    api = ScriptedApi(EMPTY_LIST, watch(1.0, Cut()), broken)
    async with api.serve():
        client = KubeClient.for_url(api.url)
        watches = Watches(client, namespace=None, rng=Random(1))
        task = asyncio.ensure_future(watches.run())
        try:
            await asyncio.sleep(0.1)
            assert watches.pods("shop/web", "shop", "app=web").is_awaited
            await asyncio.sleep(0.5)
            assert watches.pods("shop/web", "shop", "app=web").look_again_seconds is None
            await asyncio.sleep(5)
            assert watches.pods("shop/web", "shop", "app=web").is_doubtful
            await asyncio.sleep(GRACE_SECONDS)
            error = watches.pods("shop/web", "shop", "app=web").error
            assert error is not None
            assert "cannot be watched: GET /api/v1/namespaces/shop/pods" in error
            api.answers[:] = [EMPTY_LIST, watch(Hang())]
            await asyncio.sleep(20)
            known = watches.pods("shop/web", "shop", "app=web")
            assert (known.error, known.failure, known.hidden_seconds) == (None, None, 0.0)
        finally:
            task.cancel()
            await asyncio.wait((task,))
            await client.close()
