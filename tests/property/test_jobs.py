"""However late news of jobs and queues arrive, there is never a job more than there is work."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.controller.jobs.ledger import JobLedger
from autoscaler.core.jobs import (
    JobMemory,
    JobObservation,
    JobPolicy,
    JobStrategy,
    decide_jobs,
)
from autoscaler.core.model import MetricPolicy, MetricSpec, Reading
from autoscaler.kube.codec import SlimMeta
from autoscaler.kube.jobs import NAME_LABEL, JobView
from autoscaler.kube.store import Store
from autoscaler.runtime.clock import ManualClock

QUEUE = MetricPolicy(spec=MetricSpec(name="s0", target_milli=1000))
OWNER = ("shop", "mail")

ACTIONS = {
    "p": "push",
    "r": "read",
    "d": "deliver",
    "b": "begin",
    "e": "end",
    "n": "notice",
    "x": "delete",
    "g": "restart",
}
"""What may happen, by the letter that says below how often it does."""

actions = st.lists(
    st.tuples(
        st.sampled_from([*"rrddbbbbeennnnnnpxg"]).map(ACTIONS.__getitem__),
        st.integers(0, 3),
    ),
    min_size=10,
    max_size=80,
)


class Life:
    """A queue, its jobs as they really are, and what a service knows of both, later."""

    def __init__(self, strategy: JobStrategy) -> None:
        self.policy = JobPolicy(metrics=(QUEUE,), strategy=strategy)
        self.takes_at_begin = strategy is JobStrategy.ACCURATE
        self.clock = ManualClock()
        self.pushed = self.queue = self.version = 0
        self.real: dict[str, JobView] = {}
        self.names: list[str] = []
        self.sampled: list[Reading] = []
        self.reading: Reading | None = None
        self.start()

    def start(self) -> None:
        """Start a service: it lists the jobs before it reads anything."""
        self.store: Store[JobView] = Store()
        self.ledger = JobLedger(self.store, self.clock, lambda _: None)
        self.ledger.follow(OWNER)
        items = {f"shop/{name}": view for name, view in self.real.items()}
        self.store.replace(items, str(self.version))
        self.sampled, self.reading = [], None

    def step(self, action: str, number: int) -> None:
        """Let one thing happen, a second after the one before."""
        self.clock.advance(1.0)
        match action:
            case "push":
                self.pushed, self.queue = self.pushed + number, self.queue + number
            case "read":
                self.sampled.append(Reading.of("s0", float(self.queue), self.clock.now()))
            case "deliver" if self.sampled:
                self.reading = self.sampled.pop(0)
                self.decide()
            case "restart":
                self.start()
            case "begin" | "end" | "delete" | "notice" if self.names:
                self.happen(action, self.names[number % len(self.names)])

    def happen(self, action: str, name: str) -> None:
        """Let a job go on, or its news arrive."""
        view = self.real.get(name)
        if action == "notice":
            known = self.store.get(f"shop/{name}")
            if view is not None:
                self.store.put(view)
            elif known is not None:
                self.store.remove(known)
            self.decide()
        elif view is None:
            return
        elif action == "begin" and not view.has_begun:
            self.queue -= self.takes_at_begin
            self.real[name] = self.changed(view, has_begun=True)
        elif action == "end" and view.has_begun and not view.outcome:
            self.queue -= not self.takes_at_begin
            self.real[name] = self.changed(view, has_begun=True, outcome="Complete")
        elif action == "delete" and view.outcome:
            del self.real[name]

    def decide(self) -> None:
        """Create what is decided on; the answers are known at once, as a service's own writes are."""
        if self.reading is None:
            return
        now = self.clock.now()
        jobs = tuple(self.ledger.jobs(OWNER, self.reading.sampled_at))
        seen = JobObservation(at=now, readings={"s0": self.reading}, jobs=jobs)
        decision, _ = decide_jobs(self.policy, JobMemory(), seen)
        for _ in range(decision.create):
            name = f"mail-{len(self.names)}"
            self.names.append(name)
            meta = SlimMeta(name=name, namespace="shop", uid=name, labels={NAME_LABEL: "mail"})
            self.real[name] = self.changed(JobView(metadata=meta))
            self.store.put(self.real[name])

    def changed(self, view: JobView, *, has_begun: bool = False, outcome: str = "") -> JobView:
        """Return the next version of a job."""
        self.version += 1
        meta = SlimMeta(
            name=view.metadata.name,
            namespace="shop",
            uid=view.metadata.uid,
            labels=view.metadata.labels,
            resource_version=str(self.version),
        )
        return JobView(metadata=meta, has_begun=has_begun, outcome=outcome)


@settings(max_examples=500)
@given(strategy=st.sampled_from([JobStrategy.DEFAULT, JobStrategy.ACCURATE]), life=actions)
def test_there_are_never_more_jobs_than_items(
    strategy: JobStrategy, life: list[tuple[str, int]]
) -> None:
    """Late watches, late readings, deleted jobs and restarts never make one item worth two jobs."""
    world = Life(strategy)
    world.step("push", 3)
    for action, number in life:
        world.step(action, number)
        assert len(world.names) <= world.pushed


@given(strategy=st.sampled_from([JobStrategy.DEFAULT, JobStrategy.ACCURATE]), life=actions)
def test_all_items_get_their_jobs_in_the_end(
    strategy: JobStrategy, life: list[tuple[str, int]]
) -> None:
    """Once news arrive in time, every item has a job."""
    world = Life(strategy)
    for action, number in life:
        world.step(action, number)
    for _ in range(2):
        for index in range(len(world.names)):
            for action in ("begin", "end", "notice"):
                world.step(action, index)
        world.sampled.clear()
        world.step("read", 0)
        world.step("deliver", 0)
    for index in range(len(world.names)):
        world.step("begin", index)
        world.step("end", index)
    assert world.queue == 0
    assert len(world.names) == world.pushed
