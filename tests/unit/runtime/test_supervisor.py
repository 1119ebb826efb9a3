"""Root tasks and the ordered stop."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.runtime.supervisor import RootTaskEnded, Supervisor
from autoscaler.runtime.workqueue import QueueClosed, WorkQueue

pytestmark = pytest.mark.looptime


class Diary:
    """What happened when, in virtual seconds."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str]] = []

    def note(self, text: str) -> None:
        self.lines.append((round(asyncio.get_running_loop().time(), 3), text))

    async def forever(self, name: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.note(f"{name} cancelled")
            raise


async def test_a_wished_stop_is_ordered(looptime: Any) -> None:
    """Work stops coming, draining tasks finish, others are cancelled, closers run in reverse."""
    diary, queue = Diary(), WorkQueue[str]()
    supervisor = Supervisor(grace_seconds=10.0)

    async def work() -> None:
        while True:
            try:
                key = await queue.get()
            except QueueClosed:
                diary.note("worker ends")
                return
            await asyncio.sleep(3.0)
            diary.note(f"{key} done")
            queue.done(key)

    async def close(name: str) -> None:
        diary.note(f"{name} closed")

    supervisor.add("watch", lambda: diary.forever("watch"))
    supervisor.add("worker", work, drains=True)
    supervisor.on_stop(queue.close)
    supervisor.on_close("client", lambda: close("client"))
    supervisor.on_close("recorder", lambda: close("recorder"))
    queue.add("shop/web")
    asyncio.get_running_loop().call_later(1.0, supervisor.stop)
    await supervisor.run(signals=())
    assert diary.lines == [
        (3.0, "shop/web done"),
        (3.0, "worker ends"),
        (3.0, "watch cancelled"),
        (3.0, "recorder closed"),
        (3.0, "client closed"),
    ]


async def test_the_grace_ends(looptime: Any) -> None:
    """A draining task that takes too long is cancelled after the grace, and named."""
    diary = Diary()
    supervisor = Supervisor(grace_seconds=10.0)
    supervisor.add("worker", lambda: diary.forever("worker"), drains=True)
    supervisor.stop()
    with capture_logs() as logs:
        await supervisor.run(signals=())
    assert diary.lines == [(10.0, "worker cancelled")]
    assert [line["task"] for line in logs if line["event"] == "grace_over"] == ["worker"]


async def test_a_second_wish_cuts_the_grace_short(looptime: Any) -> None:
    """Whoever presses Ctrl-C twice does not wait for the grace."""
    diary = Diary()
    supervisor = Supervisor(grace_seconds=60.0)
    supervisor.add("worker", lambda: diary.forever("worker"), drains=True)
    for at in (1.0, 2.0):
        asyncio.get_running_loop().call_later(at, supervisor.stop)
    await supervisor.run(signals=())
    assert diary.lines == [(2.0, "worker cancelled")]


async def test_a_root_task_that_fails_ends_everything(looptime: Any) -> None:
    """The others are stopped and closed, and the failure is raised with its cause."""
    diary = Diary()
    supervisor = Supervisor(grace_seconds=60.0)

    async def broken() -> None:
        await asyncio.sleep(5.0)
        raise ValueError("the poll loop broke")

    async def close() -> None:
        diary.note("closed")

    supervisor.add("poll", broken)
    supervisor.add("watch", lambda: diary.forever("watch"))
    supervisor.add("worker", lambda: diary.forever("worker"), drains=True)
    supervisor.on_close("client", close)
    with pytest.raises(RootTaskEnded, match=r"'poll' failed: ValueError.*poll loop") as caught:
        await supervisor.run(signals=())
    assert isinstance(caught.value.__cause__, ValueError)
    assert sorted(diary.lines) == [
        (5.0, "closed"),
        (5.0, "watch cancelled"),
        (5.0, "worker cancelled"),
    ]


async def test_a_root_task_that_just_returns_ends_everything() -> None:
    """A loop that ends quietly is as fatal as one that fails."""
    supervisor = Supervisor()
    supervisor.add("watch", lambda: asyncio.sleep(2.0))
    with pytest.raises(RootTaskEnded, match="'watch' ended"):
        await supervisor.run(signals=())


async def test_a_stuck_task_is_reported_and_left(looptime: Any) -> None:
    """A task that does not obey its cancellation is named with its place and not waited for."""
    supervisor = Supervisor(cancel_seconds=5.0)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    supervisor.add("stubborn", stubborn)
    asyncio.get_running_loop().call_later(1.0, supervisor.stop)
    with capture_logs() as logs:
        await supervisor.run(signals=())
    assert looptime == 6.0
    stuck = [line for line in logs if line["event"] == "root_task_stuck"]
    assert [line["task"] for line in stuck] == ["stubborn"]
    assert "stubborn" in stuck[0]["at"]
    release.set()
    await asyncio.sleep(0)


async def test_a_failing_or_hanging_closer_does_not_keep_others_from_closing(looptime: Any) -> None:
    """Every closer has its turn, whatever the ones before it do."""
    diary = Diary()
    supervisor = Supervisor(cancel_seconds=5.0)

    async def close(name: str, seconds: float = 0.0, error: Exception | None = None) -> None:
        await asyncio.sleep(seconds)
        if error:
            raise error
        diary.note(name)

    supervisor.on_close("last", lambda: close("last"))
    supervisor.on_close("broken", lambda: close("broken", error=ValueError("no")))
    supervisor.on_close("hanging", lambda: close("hanging", seconds=3600))
    supervisor.stop()
    with capture_logs() as logs:
        await supervisor.run(signals=())
    assert diary.lines == [(5.0, "last")]
    assert [line["resource"] for line in logs if line["event"] == "close_failed"] == [
        "hanging",
        "broken",
    ]


async def test_a_failing_stop_callback_does_not_keep_others_from_stopping() -> None:
    """A callback that raises is logged, and the next one is still called."""
    supervisor, called = Supervisor(), []
    supervisor.on_stop(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    supervisor.on_stop(lambda: called.append("second"))
    supervisor.stop()
    with capture_logs() as logs:
        await supervisor.run(signals=())
    assert called == ["second"]
    assert any(line["event"] == "stop_callback_failed" for line in logs)


async def test_sigterm_stops_in_order() -> None:
    """The signal of the kubelet leads to the ordered stop, and the handler is removed again."""
    diary, supervisor = Diary(), Supervisor()
    supervisor.add("watch", lambda: diary.forever("watch"))

    async def shoot() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    supervisor.add("shoot", shoot)
    with capture_logs() as logs:
        await supervisor.run(signals=(signal.SIGTERM,))
    assert [line["cause"] for line in logs if line["event"] == "stopping"] == ["received SIGTERM"]
    assert [text for _, text in diary.lines] == ["watch cancelled"]
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def test_a_task_added_while_running_is_supervised_too() -> None:
    """A late root task counts like the first ones; after the stop nothing is started."""
    supervisor = Supervisor()

    async def starter() -> None:
        supervisor.add("late", lambda: asyncio.sleep(1.0))
        await asyncio.Event().wait()

    supervisor.add("starter", starter)
    with pytest.raises(RootTaskEnded, match="'late'"):
        await supervisor.run(signals=())
    supervisor.add("too late", lambda: pytest.fail("must not run"))
    assert supervisor.is_stopping


async def test_cancelling_run_itself_leaves_no_task_behind() -> None:
    """An embedding program that gives up on the service gets all its tasks stopped."""
    diary, supervisor = Diary(), Supervisor()
    supervisor.add("watch", lambda: diary.forever("watch"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3.0):
            await supervisor.run(signals=())
    assert diary.lines == [(3.0, "watch cancelled")]


async def test_an_error_during_the_stop_is_logged() -> None:
    """A task that fails while it is being stopped does not turn a wished stop into a failure."""
    supervisor = Supervisor()

    async def clumsy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("tripped")

    supervisor.add("clumsy", clumsy)
    asyncio.get_running_loop().call_later(1.0, supervisor.stop)
    with capture_logs() as logs:
        await supervisor.run(signals=())
    assert any(line["event"] == "root_task_failed_while_stopping" for line in logs)
