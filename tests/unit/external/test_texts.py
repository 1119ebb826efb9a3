"""What the text of an inline policy tells before anything is looked up for it."""

from __future__ import annotations

import pytest

from autoscaler.errors import ConfigError
from autoscaler.external.asks import InlinePolicy, ask_of, intent_of
from autoscaler.external.texts import NeverValid, PolicyTexts
from autoscaler.plugins import ScalerRegistry

REDIS = {"type": "redis", "address": "redis:6379", "listName": "jobs"}
CRON = {
    "type": "cron",
    "timezone": "UTC",
    "start": "0 0 * * *",
    "end": "59 23 * * *",
    "desiredReplicas": "3",
}


def inline(**metadata: str) -> InlinePolicy:
    """Return the policy in some trigger metadata, as KEDA sends it."""
    ask = ask_of("shop", "web", {"scalerAddress": "flyball:6000", **metadata}.items())
    intent = intent_of(ask)
    assert isinstance(intent, InlinePolicy)
    return intent


async def check(**metadata: str) -> None:
    """Check the text of a policy."""
    intent = inline(**metadata)
    names = {"name": "web", "namespace": "shop"}
    spec = {**intent.raw["spec"], "scaleTargetRef": {"name": "web"}}
    raw = {**intent.raw, "metadata": {**intent.raw["metadata"], **names}, "spec": spec}
    await PolicyTexts(ScalerRegistry()).check(intent, raw)


def policy(parameters: str, kind: str = "redis") -> str:
    """Return a policy with one trigger."""
    given = "address: 'redis:6379', listName: jobs" if kind == "redis" else "scalerAddress: 'x:1'"
    return f"triggers: [{{type: {kind}, metadata: {{{given}{parameters}}}}}]"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("maxReplicacount", "maxReplicaCount"),
        ("cooldown", "cooldownPeriod"),
        ("PollingInterval", "pollingInterval"),
        ("metrictype", "metricType"),
        ("listLenght", "listLength"),
        ("adress", "address"),
    ],
)
async def test_a_misspelt_key_beside_a_type_is_an_error_that_names_the_right_one(
    key: str, meant: str
):
    """Whether it is the object's or the trigger's: it would do nothing, and nobody would tell."""
    with pytest.raises(NeverValid, match=rf'^trigger metadata: {key}: .*\(did you mean "{meant}"'):
        await check(**REDIS, **{key: "3"})


async def test_every_misspelt_key_is_named_at_once():
    """So that they are corrected in one round."""
    with pytest.raises(NeverValid, match=r"cooldown: .*; maxReplicacount: "):
        await check(**REDIS, maxReplicacount="3", cooldown="9")


async def test_keys_without_a_near_one_are_errors_too():
    """Such as a variable of a parameter there is not."""
    with pytest.raises(NeverValid, match=r"secretFromEnv: is not known$"):
        await check(**REDIS, secretFromEnv="hidden")


async def test_an_unknown_parameter_inside_a_policy_is_an_error():
    """With the trigger it belongs to."""
    expected = r'spec.triggers\[0\].metadata: parameter "listLenght" is not known.* "listLength"'
    with pytest.raises(NeverValid, match=expected):
        await check(policy=policy(", listLenght: '3'"))


async def test_what_a_vendors_scaler_may_read_is_accepted():
    """The keys of an external trigger are the server's business."""
    await check(policy=policy(", anything: goes", "external"))


@pytest.mark.parametrize("metadata", [REDIS, CRON])
@pytest.mark.parametrize("value", ["", "false", "False"])
async def test_keys_keda_sends_for_its_own_connection_are_accepted(
    metadata: dict[str, str], value: str
):
    """KEDA sends on what was written for it, and adds nothing."""
    await check(**metadata, enableTLS=value, unsafeSsl=value)
    await check(policy=policy(""), enableTLS="true", unsafeSsl="true")


@pytest.mark.parametrize("key", ["enableTLS", "unsafeSsl"])
async def test_tls_beside_a_trigger_that_has_it_too_is_refused(key: str):
    """It would secure the way to us only, and leave Redis in plain text without a word."""
    with pytest.raises(NeverValid, match=rf"{key}: is for KEDA's connection .* policy \(YAML\)"):
        await check(**REDIS, **{key: "true"})
    await check(**CRON, **{key: "true"})


@pytest.mark.parametrize("kind", ["external", "external-push"])
async def test_an_external_trigger_has_no_flat_form(kind: str):
    """Its scalerAddress would be ours."""
    with pytest.raises(NeverValid, match=r"scalerAddress: is for .* policy \(YAML\) instead"):
        await check(type=kind)


def test_asks_that_differ_in_tls_share_nothing():
    """One of them may have to be refused."""
    assert inline(**REDIS).digest != inline(**REDIS, enableTLS="true").digest
    assert inline(**REDIS).digest == inline(**REDIS, enableTLS="false", unsafeSsl="").digest


def test_misspelt_keys_beside_a_policy_are_errors():
    """Nothing else than the connection is read there."""
    with pytest.raises(ConfigError, match="has maxReplicaCount beside policy"):
        inline(policy="triggers: []", maxReplicaCount="3")


async def test_policies_of_one_object_are_told_by_their_triggers():
    """Those that ask by name, or look into the target or an authentication."""
    texts = PolicyTexts(ScalerRegistry())
    with_login = "triggers: [{type: cron, authenticationRef: {name: x}, metadata: {}}]"
    assert not await texts.is_for_one_object(inline(**REDIS))
    assert not await texts.is_for_one_object(inline(**REDIS, passwordFromEnv="hidden"))
    assert not await texts.is_for_one_object(inline(policy="triggers: [1, {type: [x]}, {}]"))
    assert await texts.is_for_one_object(inline(policy=policy(", passwordFromEnv: PASSWORD")))
    assert await texts.is_for_one_object(inline(policy=with_login))
    for kind in ("external", "external-push"):
        assert await texts.is_for_one_object(inline(policy=policy("", kind)))
