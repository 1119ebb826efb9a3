"""Since when something is known of a job."""

from __future__ import annotations

from autoscaler.controller.jobs.ledger import GONE_JOBS_MAX, JobLedger, Owner
from autoscaler.core.jobs import Job
from autoscaler.kube.codec import OwnerReference, SlimMeta
from autoscaler.kube.jobs import NAME_LABEL, JobView
from autoscaler.kube.store import Store
from autoscaler.runtime.clock import ManualClock

OWNER: Owner = ("shop", "mail")


class Desk:
    """A ledger over a store whose first list has been taken over at 100 s."""

    def __init__(self, *first: JobView) -> None:
        self.store: Store[JobView] = Store()
        self.clock = ManualClock(100.0)
        self.woken: list[Owner] = []
        self.ledger = JobLedger(self.store, self.clock, self.woken.append)
        self.ledger.follow(OWNER)
        items = {f"shop/{view.metadata.name}": view for view in first}
        self.store.replace(items, "10")
        self.version = 10

    def put(self, name: str, *, uid: str = "", of: str = "mail", **fields: object) -> JobView:
        """Let a version of a job arrive, a second after whatever was before."""
        self.clock.advance(1.0)
        self.version += 1
        found = view(name, uid=uid, of=of, version=self.version, **fields)
        self.store.put(found)
        return found

    def job(self, name: str, read_at: float | None = None) -> Job | None:
        """Return what the ledger says of a job."""
        jobs = self.ledger.jobs(OWNER, read_at)
        return next((job for job in jobs if job.name == name), None)


def view(name: str, *, uid: str = "", of: str = "mail", version: int = 1, **fields) -> JobView:
    """Return a job of a ScaledJob."""
    meta = SlimMeta(
        name=name,
        namespace="shop",
        uid=uid or name,
        labels={NAME_LABEL: of},
        resource_version=str(version),
        owner_references=fields.pop("owners", []),
    )
    return JobView(metadata=meta, **fields)


def test_what_the_first_list_says_holds_for_long() -> None:
    """No reading is older than the first list, so nothing in it needs a time."""
    desk = Desk(view("a", has_begun=True), view("b", outcome="Complete"))
    for name in ("a", "b"):
        job = desk.job(name)
        assert job is not None
        assert (job.begun_at, job.ended_at) == (None, None)


def test_later_changes_are_dated_when_they_arrive() -> None:
    """A job begins and ends, for us, when we hear of it."""
    desk = Desk()
    desk.put("a")
    desk.put("a", has_begun=True)
    desk.put("a", has_begun=True)
    desk.put("a", has_begun=True, outcome="Complete", finished_at=50.0)
    job = desk.job("a")
    assert job is not None
    assert (job.begun_at, job.ended_at, job.finished_at) == (102.0, 104.0, 50.0)
    assert desk.woken == [OWNER] * 4


def test_a_job_that_is_gone_counts_until_a_newer_reading() -> None:
    """Readings taken before it went may still contain its work."""
    desk = Desk()
    gone = desk.put("a")
    desk.clock.advance(1.0)
    desk.store.remove(gone)
    job = desk.job("a", 101.5)
    assert job is not None
    assert (job.is_gone, job.ended_at) == (True, 102.0)
    assert desk.job("a", 102.0) is None
    assert desk.ledger.jobs(OWNER) == []


def test_a_finished_job_that_is_deleted_has_ended_when_it_finished() -> None:
    """Deleting what is done says nothing new about the queue."""
    desk = Desk(view("old", outcome="Complete"))
    done = desk.put("a", outcome="Complete")
    desk.clock.advance(5.0)
    for item in (done, view("old", outcome="Complete")):
        desk.store.remove(item)
    job = desk.job("a")
    assert job is not None
    assert job.ended_at == 101.0
    assert desk.job("old") is None


def test_a_name_used_again_is_another_job() -> None:
    """A missed deletion shows in the UID."""
    desk = Desk()
    desk.put("a", uid="first", has_begun=True)
    desk.put("a", uid="second")
    jobs = {job.is_gone: job for job in desk.ledger.jobs(OWNER)}
    assert jobs[True].has_begun
    assert not jobs[False].has_begun


def test_a_job_that_changes_its_label_changes_its_owner() -> None:
    """The one it leaves sees it gone; both are told."""
    desk = Desk()
    desk.put("a")
    desk.woken.clear()
    desk.put("a", of="letters")
    assert sorted(desk.woken) == [("shop", "letters"), ("shop", "mail")]
    job = desk.job("a")
    assert job is not None
    assert job.is_gone
    assert [one.name for one in desk.ledger.jobs(("shop", "letters"))] == ["a"]


def test_jobs_of_other_controllers_are_nobodys_business() -> None:
    """A label that was copied into somebody else's jobs makes them neither count nor deletable."""
    owner = OwnerReference(kind="CronJob", name="mail", uid="u", controller=True)
    desk = Desk(view("a", owners=[owner]))
    assert desk.ledger.jobs(OWNER) == []
    assert desk.ledger.view(OWNER, "a") is None


def test_deleted_jobs_are_leaving() -> None:
    """What we have deleted is not deleted again while it lasts."""
    desk = Desk(view("a", outcome="Complete"))
    found = desk.ledger.view(OWNER, "a")
    assert found is not None
    desk.ledger.deleted(OWNER, found)
    job = desk.job("a")
    assert job is not None
    assert job.is_leaving


def test_memory_is_bounded() -> None:
    """Of the jobs that are gone only the latest stay; nobody's are not kept at all."""
    desk = Desk()
    for number in range(GONE_JOBS_MAX + 5):
        desk.store.remove(desk.put(f"a{number}"))
    assert len(desk.ledger.jobs(OWNER)) == GONE_JOBS_MAX
    assert desk.job("a4") is None
    desk.ledger.forget(OWNER)
    assert desk.ledger.jobs(OWNER) == []
    desk.store.remove(desk.put("b"))
    assert desk.ledger.jobs(OWNER) == []
