"""What trigger metadata asks for, in each of its forms."""

from __future__ import annotations

import pytest

from autoscaler.errors import ConfigError
from autoscaler.external.asks import Ask, InlinePolicy, NamedPolicy, ask_of, intent_of


def ask(**metadata: str) -> Ask:
    """Return what an object of KEDA's asks."""
    return ask_of("shop", "web", {"scalerAddress": "flyball:6000", **metadata}.items())


def test_equal_metadata_in_another_order_is_the_same_ask():
    """KEDA's client sends the map in any order."""
    entries = [("type", "cron"), ("scalerAddress", "x"), ("start", "a")]
    assert ask_of("ns", "n", entries) == ask_of("ns", "n", reversed(entries))


def test_a_name_without_a_namespace_is_in_that_of_kedas_object():
    """As everywhere in Kubernetes."""
    assert intent_of(ask(scaledObject="jobs")) == NamedPolicy("shop", "jobs")
    assert intent_of(ask(scaledObject=" other/jobs ")) == NamedPolicy("other", "jobs")


def test_equal_policies_have_the_same_digest_whoever_asks():
    """So that they are built once; another address of ours makes no difference."""
    text = "triggers: []"
    one = intent_of(ask_of("shop", "a", [("policy", text), ("scalerAddress", "x:1")]))
    other = intent_of(ask_of("shop", "b", [("policy", text), ("scalerAddress", "y:2")]))
    changed = intent_of(ask_of("shop", "b", [("policy", text + " ")]))
    assert one.digest == other.digest
    assert one.digest != changed.digest


def test_a_whole_object_is_taken_as_its_spec():
    """A file that exists can be pasted; KEDA's own group keeps KEDA's defaults."""
    found = intent_of(
        ask(
            policy="apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: x}\n"
            "spec: {triggers: []}"
        )
    )
    assert isinstance(found, InlinePolicy)
    assert found.raw["apiVersion"] == "keda.sh/v1alpha1"
    assert found.raw["spec"] == {"triggers": []}


def test_flat_keys_are_sorted_into_object_and_trigger():
    """Those of the object are numbers, everything else is the trigger's."""
    found = intent_of(
        ask(
            type="redis",
            address="redis:6379",
            maxReplicaCount="7",
            metricType="Value",
            authenticationRef="login",
            passwordFromEnv="hidden",
        )
    )
    assert isinstance(found, InlinePolicy)
    assert found.raw["spec"] == {
        "maxReplicaCount": 7,
        "triggers": [
            {
                "type": "redis",
                "metricType": "Value",
                "authenticationRef": {"name": "login"},
                "metadata": {"address": "redis:6379", "passwordFromEnv": "passwordFromEnv"},
            }
        ],
    }
    assert found.environment == {"passwordFromEnv": "hidden"}


@pytest.mark.parametrize("value", ["1.5", "true", "", "[1]", "{", "0x1", "1:30"])
def test_counts_must_be_whole_numbers(value: str):
    """With the key, the value and the accepted form."""
    with pytest.raises(ConfigError, match=r"maxReplicaCount: .* must be a whole number"):
        intent_of(ask(type="cron", maxReplicaCount=value))


def test_an_object_without_a_name_is_refused():
    """Its memory would be shared with every other nameless one."""
    with pytest.raises(ConfigError, match="name and namespace must be given"):
        intent_of(ask_of("", "web", [("type", "cron")]))
    with pytest.raises(ConfigError, match="longer than 253"):
        intent_of(ask_of("shop", "x" * 254, [("type", "cron")]))
