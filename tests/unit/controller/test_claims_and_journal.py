"""Claims on targets, and the journal of decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from autoscaler.controller.claims import Claims, claimed
from autoscaler.controller.journal import Entry, Journal, Outcome
from autoscaler.core.model import Decision, Step
from autoscaler.kube.codec import CustomObject, ObjectMeta

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def item(name: str, target: Any = "web", *, age: int = 0, going: bool = False) -> CustomObject:
    """Return a ScaledObject created ``age`` seconds after the others."""
    ref = {"name": target} if isinstance(target, str) else target
    return CustomObject(
        metadata=ObjectMeta(
            name=name,
            namespace="shop",
            creation_timestamp=CREATED + timedelta(seconds=age),
            deletion_timestamp=CREATED if going else None,
        ),
        raw={"spec": {"scaleTargetRef": ref}},
    )


def test_oldest_object_holds_its_target() -> None:
    """Age decides, then the name; whoever is affected by a change is told."""
    claims = Claims()
    assert claims.update("shop/young", item("young", age=5)) == set()
    assert claims.holder("shop/young") == "shop/young"
    assert claims.update("shop/old", item("old")) == {"shop/young"}
    assert claims.holder("shop/young") == "shop/old"
    assert claims.update("shop/also", item("also")) == {"shop/young", "shop/old"}
    assert claims.holder("shop/old") == "shop/also"
    assert claims.claimants("apps", "Deployment", "shop", "web") == [
        "shop/young",
        "shop/old",
        "shop/also",
    ]


def test_a_claim_ends_with_its_object_or_its_reference() -> None:
    """Deleting, marking for deletion and pointing elsewhere all free the target."""
    claims = Claims()
    for name in ("a", "b", "c", "d"):
        claims.update(f"shop/{name}", item(name))
    assert claims.update("shop/a", None) == {"shop/b", "shop/c", "shop/d"}
    assert claims.update("shop/b", item("b", going=True)) == {"shop/c", "shop/d"}
    assert claims.update("shop/c", item("c", "other")) == {"shop/d"}
    assert claims.update("shop/c", item("c", "other")) == set()
    assert claims.holder("shop/d") == "shop/d"
    assert claims.holder("shop/unknown") == "shop/unknown"


def test_versions_of_a_group_are_one_target() -> None:
    """``apps/v1`` is the default and differs from other groups, not from other versions."""
    plain = claimed(item("a"))
    assert plain == ("apps", "Deployment", "shop", "web")
    assert claimed(item("a", {"name": "web", "apiVersion": "apps/v1beta2"})) == plain
    assert claimed(item("a", {"name": "web", "kind": "StatefulSet"})) != plain
    assert claimed(item("a", {"name": "web", "apiVersion": "v1"})) == (
        "",
        "Deployment",
        "shop",
        "web",
    )


def test_nonsense_claims_nothing() -> None:
    """An object whose reference cannot be read claims no target."""
    for ref in (None, 5, {}, {"name": 5}):
        assert claimed(item("a", ref)) is None
    assert claimed(CustomObject(metadata=ObjectMeta(), raw={})) is None


def decision(at: float, before: int, after: int, code: str = "Proposal") -> Entry:
    """Return a journal entry."""
    steps = (Step("combine", before, after, code),)
    made = Decision(at=at, current_replicas=before, desired_replicas=after, steps=steps)
    return Entry(decision=made, outcome=Outcome.WRITTEN if before != after else Outcome.UNCHANGED)


def test_journal_keeps_changes_and_only_the_last_of_repetitions() -> None:
    """A thousand equal decisions take one place; changes stay up to the bound."""
    journal = Journal(4)
    assert journal.latest is None
    journal.add(decision(1, 0, 5))
    for at in range(2, 1000):
        journal.add(decision(at, 5, 5))
    assert [e.decision.at for e in journal.entries()] == [1, 999]
    journal.add(decision(1000, 5, 5, "Window"))
    journal.add(decision(1001, 5, 3))
    journal.add(decision(1002, 3, 2))
    assert [e.decision.at for e in journal.entries()] == [999, 1000, 1001, 1002]
    assert journal.latest is not None
    assert journal.latest.decision.at == 1002
