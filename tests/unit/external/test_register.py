"""Which policies are served, and which of them others may take the place of."""

from __future__ import annotations

from autoscaler.controller.tracked import Tracked
from autoscaler.external.asks import NamedPolicy, ask_of
from autoscaler.external.register import Register
from autoscaler.external.served import Served
from autoscaler.kube.codec import CustomObject, ObjectMeta


def served(key: str, name: str = "web", *, asked_at: float = 0.0) -> Served:
    """Return a policy asked for about an object of KEDA's."""
    ask = ask_of("shop", name, [("scaledObject", f"shop/{key}")])
    tracked = Tracked(CustomObject(metadata=ObjectMeta(name=name), raw={}), 1)
    policy = Served(key, ask, NamedPolicy("shop", key), tracked)
    policy.asked_at = asked_at
    return policy


def test_a_policy_is_found_by_key_ask_and_object_until_it_is_removed():
    """The newest of an object is the one asked for last; nothing of a removed one stays."""
    register = Register()
    old, new = served("old", asked_at=1), served("new", asked_at=2)
    register.add(new)
    register.add(old)
    assert register.get("old") is old
    assert register.asked(new.ask) is new
    assert register.newest("shop", "web") is new
    register.remove(new)
    assert register.newest("shop", "web") is old
    register.remove(old)
    assert (len(register), register.get("old"), register.asked(new.ask)) == (0, None, None)
    assert register.newest("shop", "web") is None


def test_a_policy_of_the_same_key_is_not_the_same_policy():
    """Whoever still holds one that was removed can tell."""
    register = Register()
    before, after = served("one"), served("one")
    register.add(before)
    register.remove(before)
    register.add(after)
    assert not register.is_served(before)
    assert register.is_served(after)


def test_the_oldest_useless_policy_nobody_waits_for_is_the_one_to_go():
    """One that works again, or was removed, is not among them."""
    register = Register()
    policies = [served(key) for key in ("waited", "mended", "gone", "first", "second")]
    for policy in policies:
        register.add(policy)
        register.mark(policy, is_useless=True)
    waited, mended, gone, first, _ = policies
    waited.streams = 1
    register.mark(mended, is_useless=False)
    register.remove(gone)
    register.mark(gone, is_useless=True)
    assert register.idle_useless() is first
