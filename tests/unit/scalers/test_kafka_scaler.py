"""The kafka trigger: parameters, and answers to readings."""

from __future__ import annotations

import pytest

from autoscaler.errors import (
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    TriggerConfigError,
)
from autoscaler.sdk.scaler import TriggerContext
from scalers.kafka import GroupOffsets, KafkaConfig, KafkaScaler, Partition

BASIC = {"bootstrapServers": "kafka:9092", "consumerGroup": "billing", "topic": "orders"}


def build(auth: dict[str, str] | None = None, **metadata: str) -> KafkaScaler:
    """Return the scaler of a trigger with these parameters besides the basic ones."""
    context = TriggerContext()
    given = {key: text for key, text in {**BASIC, **metadata}.items() if text}
    return KafkaScaler.create(KafkaConfig.parse(given, auth or {}, {}, context), context)


def partition(number: int, committed: int | None, end: int | None, **given: object) -> Partition:
    """Return a partition of the topic."""
    return Partition(topic="orders", id=number, committed=committed, end=end, **given)


def problems(auth: dict[str, str] | None = None, **metadata: str) -> set[str]:
    """Return the parameters a trigger is refused for."""
    with pytest.raises(TriggerConfigError) as caught:
        build(auth, **metadata)
    return {name for name, _ in caught.value.problems}


def test_value_and_activity_come_from_lag() -> None:
    """The reading is the lag, active above the activation threshold."""
    scaler = build(activationLagThreshold="6")
    (spec,) = scaler.metric_specs()
    assert (spec.name, spec.target_milli) == ("s0-kafka-orders", 10_000)
    reading = scaler.reading(spec.name, (partition(0, 4, 10),), 1.0)
    assert (reading.value, reading.active) == (6.0, False)
    assert scaler.reading(spec.name, (partition(0, 3, 10),), 2.0).active


def test_offsets_beyond_the_end_count_as_nothing() -> None:
    """A topic made anew leaves commits beyond its end; the value is zero, not negative."""
    scaler = build()
    reading = scaler.reading("s0-kafka-orders", (partition(0, 100, 10),), 1.0)
    assert (reading.value, reading.values_milli, reading.active) == (0.0, (0,), False)


def test_persistence_is_judged_between_polls_not_between_readings() -> None:
    """Reading one poll's answer again changes nothing; the next poll with the same offset does."""
    scaler = build(excludePersistentLag="true")
    stuck = (partition(0, 4, 10),)
    values = [scaler.reading("s0-kafka-orders", stuck, at).value for at in (1.0, 1.0, 1.0, 2.0)]
    assert values == [6.0, 6.0, 6.0, 0.0]
    again = scaler.reading("s0-kafka-orders", stuck, 2.0)
    assert (again.value, again.active) == (0.0, True)
    moved = scaler.reading("s0-kafka-orders", (partition(0, 5, 10),), 3.0)
    assert moved.value == 5.0


def test_an_unreadable_partition_fails_the_reading() -> None:
    """One partition's error is the reading's error, whatever the others say."""
    lost = MetricUnavailable("no leader")
    with pytest.raises(MetricUnavailable, match="no leader"):
        build().reading(
            "s0-kafka-orders", (partition(0, 0, 5), partition(1, None, None, error=lost)), 1.0
        )


def test_a_partition_the_broker_left_out_fails_the_reading() -> None:
    """A group offset missing from the answer is no zero."""
    with pytest.raises(MetricMalformed, match="partition 1: the broker told no offset"):
        build().reading("s0-kafka-orders", (partition(0, 0, 5), partition(1, None, 5)), 1.0)


def test_partition_limitation_counts_the_named_ones_only() -> None:
    """Other partitions neither add lag nor fail the reading; none left is an error."""
    scaler = build(partitionLimitation="0,2-3")
    error = MetricUnavailable("no leader")
    answer = (partition(0, 0, 5), partition(1, None, None, error=error), partition(3, 0, 4))
    assert scaler.reading("s0-kafka-orders", answer, 1.0).value == 9.0
    with pytest.raises(MetricRejected, match="none of the partitions"):
        scaler.reading("s0-kafka-orders", (partition(1, 0, 5),), 2.0)


def test_no_topic_reads_whatever_the_group_committed_to() -> None:
    """The query names no topic and the metric the group."""
    scaler = build(topic="")
    assert scaler.metric_specs()[0].name == "s0-kafka-billing-topics"
    assert scaler.query("s0-kafka-billing-topics") == GroupOffsets("billing", "")


def test_triggers_of_one_cluster_share_a_source() -> None:
    """Group, topic and thresholds do not matter to the connection; credentials do."""
    plain = build().source_key()
    assert build(topic="returns", consumerGroup="mail", lagThreshold="3").source_key() == plain
    login = {"sasl": "plaintext", "username": "u", "password": "p"}
    assert build(login).source_key() != plain
    assert build(login).source_key() == build(dict(login)).source_key()
    assert build({**login, "password": "q"}).source_key() != build(login).source_key()


def test_secrets_do_not_show() -> None:
    """Neither the password nor the key appears when the connection's identity is printed."""
    auth = {
        "sasl": "scram_sha512", "username": "u", "password": "hush-password",
        "tls": "enable", "cert": "c", "key": "hush-key",
    }  # fmt: skip
    assert "hush" not in repr(build(auth).source_key())


@pytest.mark.parametrize(
    ("auth", "metadata", "named"),
    [
        ({}, {"topic": "", "limitToPartitionsWithLag": "true"}, {"topic"}),
        ({}, {"topic": "", "ensureEvenDistributionOfPartitions": "true"}, {"topic"}),
        ({}, {"topic": "", "fullMetadata": "false"}, {"topic"}),
        (
            {},
            {"limitToPartitionsWithLag": "true", "allowIdleConsumers": "true"},
            {"limitToPartitionsWithLag"},
        ),
        (
            {},
            {
                "limitToPartitionsWithLag": "true",
                "ensureEvenDistributionOfPartitions": "true",
            },
            {"limitToPartitionsWithLag"},
        ),
        ({}, {"partitionLimitation": "1,x"}, {"partitionLimitation"}),
        ({}, {"version": "latest"}, {"version"}),
        ({"sasl": "plaintext"}, {}, {"username", "password"}),
        ({"sasl": "plaintext"}, {"sasl": "plaintext"}, {"sasl", "username", "password"}),
        (
            {"sasl": "oauthbearer", "username": "u", "password": "p"},
            {},
            {"oauthTokenEndpointUri"},
        ),
        ({"tls": "enable", "cert": "c"}, {}, {"key"}),
        ({"tls": "enable", "key": "k"}, {}, {"cert"}),
        ({"tls": "enable"}, {"tls": "enable"}, {"tls"}),
    ],
)
def test_contradictions_are_refused_by_name(
    auth: dict[str, str], metadata: dict[str, str], named: set[str]
) -> None:
    """Each contradiction names the parameter to change."""
    assert problems(auth, **metadata) == named


def test_login_that_is_not_built_yet_says_so() -> None:
    """Kerberos and MSK IAM are refused in plain words instead of failing to connect."""
    kerberos = {"sasl": "gssapi", "username": "u", "password": "p", "realm": "r"}
    with pytest.raises(TriggerConfigError, match="gssapi is not supported yet"):
        build(kerberos)
    with pytest.raises(TriggerConfigError, match="aws_msk_iam is not supported yet"):
        build(
            {"sasl": "oauthbearer", "saslTokenProvider": "aws_msk_iam", "tls": "enable"},
            awsRegion="eu-north-1",
        )


def test_a_limitation_without_topic_is_ignored() -> None:
    """As in KEDA, partitions mean nothing when all topics are read."""
    assert build(topic="", partitionLimitation="nonsense").source_key() is not None
