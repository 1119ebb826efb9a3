"""The redis and redis-streams triggers: parameters, and replies to readings."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.errors import MetricMalformed, MetricRejected, TriggerConfigError
from autoscaler.sdk.redis import Length, Refusal
from autoscaler.sdk.scaler import TriggerContext
from scalers.redis_lists import RedisListConfig, RedisListScaler
from scalers.redis_streams import RedisStreamsConfig, RedisStreamsScaler

AT = {"address": "redis:6379"}
METRIC = "s0-redis-streams-orders"


def list_scaler(auth: dict[str, str] | None = None, **metadata: str) -> RedisListScaler:
    """Return a list trigger's scaler; no address is added when one is given."""
    context = TriggerContext()
    given = {"listName": "jobs", **(metadata or AT)}
    return RedisListScaler.create(RedisListConfig.parse(given, auth or {}, {}, context), context)


def stream_scaler(*, safe: bool = True, **metadata: str) -> RedisStreamsScaler:
    """Return a stream trigger's scaler, of a native object or of an adopted one."""
    context = TriggerContext(safe_defaults=safe)
    config = RedisStreamsConfig.parse({"stream": "orders", **AT, **metadata}, {}, {}, context)
    return RedisStreamsScaler.create(config, context)


def pending(number: int) -> list[Any]:
    """Return an XPENDING reply."""
    return (
        [number, b"1-0", b"2-0", [[b"worker", b"%d" % number]]] if number else [0, None, None, None]
    )


def group(name: str, lag: int | None) -> list[Any]:
    """Return one group of an XINFO GROUPS reply."""
    return [b"name", name.encode(), b"pending", 2, b"last-delivered-id", b"1-0", b"lag", lag]


INFO = b"# Server\r\nredis_version:7.0.15\r\n"


def test_a_list_is_its_length() -> None:
    """The answer is the value."""
    scaler = list_scaler(address="redis:6379", listLength="10", activationListLength="3")
    (spec,) = scaler.metric_specs()
    assert (spec.name, spec.target_milli, spec.activation_value) == ("s0-redis-jobs", 10_000, 3)
    assert scaler.query(spec.name) == Length("jobs")
    assert scaler.reading(spec.name, 7, 1.0).value == 7.0


def test_an_answer_that_is_no_number_is_an_error() -> None:
    """Nothing but a number becomes a value."""
    with pytest.raises(MetricMalformed):
        list_scaler().reading("s0-redis-jobs", None, 1.0)


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"host": "redis"}, "address"),
        ({"host": "a,b", "port": "1"}, "host"),
        ({"address": "redis:6379", "enableTLS": "maybe"}, "enableTLS"),
        ({"address": "redis:6379", "databaseIndex": "first"}, "databaseIndex"),
        ({"address": "redis:6379", "listLength": "0"}, "listLength"),
    ],
)
def test_bad_parameters_are_refused_by_name(metadata: dict[str, str], named: str) -> None:
    """Each bad parameter is the one the error names."""
    with pytest.raises(TriggerConfigError) as caught:
        list_scaler(**metadata)
    assert [name for name, _ in caught.value.problems] == [named]


def test_tls_may_be_said_in_one_place_only() -> None:
    """The trigger and the authentication cannot both decide."""
    with pytest.raises(TriggerConfigError, match="enableTLS"):
        list_scaler({"tls": "enable"}, address="redis:6379", enableTLS="false")


def test_host_and_port_make_an_address() -> None:
    """A server named either way is the same server."""
    assert list_scaler(host="redis", port="6379").source_key() == list_scaler().source_key()


def test_lists_and_streams_of_one_database_share_a_source() -> None:
    """The connection depends on server, database and credentials, not on what is read."""
    assert list_scaler().source_key() == stream_scaler().source_key()
    other = list_scaler(address="redis:6379", databaseIndex="2")
    assert other.source_key() != list_scaler().source_key()
    secret = list_scaler({"password": "hush"})
    assert secret.source_key() != list_scaler().source_key()
    assert "hush" not in repr(secret.source_key())


def test_without_group_a_stream_is_its_length() -> None:
    """Every entry counts, against streamLength."""
    scaler = stream_scaler(streamLength="20")
    assert scaler.query(METRIC).commands == (("XLEN", "orders"),)
    assert scaler.metric_specs()[0].target_milli == 20_000
    assert scaler.reading(METRIC, (41,), 1.0).value == 41.0


def test_pending_entries_are_the_value() -> None:
    """With a group and no lagCount the unacknowledged entries count."""
    scaler = stream_scaler(safe=False, consumerGroup="workers", pendingEntriesCount="7")
    assert scaler.query(METRIC).commands == (("XPENDING", "orders", "workers"),)
    assert scaler.metric_specs()[0].target_milli == 7_000
    reading = scaler.reading(METRIC, (pending(9),), 1.0)
    assert (reading.value, reading.active) == (9.0, None)


def test_unread_entries_wake_a_workload_that_has_nothing_pending() -> None:
    """At zero replicas nothing can be pending, yet there is work: active, value still zero."""
    scaler = stream_scaler(consumerGroup="workers")
    reading = scaler.reading(METRIC, (pending(0), 12), 1.0)
    assert (reading.value, reading.active) == (0.0, True)
    assert scaler.reading(METRIC, (pending(0), 0), 2.0).active is False


def test_the_activation_count_covers_pending_and_unread() -> None:
    """Active when both together exceed activationLagCount."""
    scaler = stream_scaler(consumerGroup="workers", activationLagCount="5")
    assert scaler.reading(METRIC, (pending(2), 3), 1.0).active is False
    assert scaler.reading(METRIC, (pending(3), 3), 2.0).active is True


def test_a_group_nobody_created_yet_has_everything_unread() -> None:
    """Consumers create the group when they start, which they cannot at zero replicas."""
    missing = Refusal("NOGROUP No such key 'orders' or consumer group 'workers'")
    scaler = stream_scaler(consumerGroup="workers")
    reading = scaler.reading(METRIC, (missing, 8), 1.0)
    assert (reading.value, reading.active) == (0.0, True)
    nothing = scaler.reading(METRIC, (missing, Refusal("ERR no such key")), 2.0)
    assert (nothing.value, nothing.active) == (0.0, False)


def test_adopted_objects_keep_the_error_for_a_missing_group() -> None:
    """KEDA reports an error; an adopted object keeps that."""
    missing = Refusal("NOGROUP No such key 'orders' or consumer group 'workers'")
    with pytest.raises(MetricRejected, match="NOGROUP"):
        stream_scaler(safe=False, consumerGroup="workers").reading(METRIC, (missing,), 1.0)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([group("other", 99), group("workers", 8)], 8.0),
        ([group("other", 99)], 42.0),
        (Refusal("ERR no such key"), 0.0),
        (Refusal("NOPERM no XINFO for you"), 42.0),
    ],
)
def test_adopted_lag_is_the_groups_or_the_whole_stream(groups: object, expected: float) -> None:
    """The group's lag; the length when the group is unknown; zero when the stream is."""
    scaler = stream_scaler(safe=False, consumerGroup="workers", lagCount="6")
    assert scaler.reading(METRIC, (INFO, groups, 42), 1.0).value == expected


@pytest.mark.parametrize(
    "information",
    [
        b"redis_version:6.2.14\r\n",
        b"redis_version:abc\r\n",
        b"foo:bar\r\n",
        Refusal("ERR nope"),
    ],
)
def test_adopted_lag_needs_a_recent_server(information: object) -> None:
    """A server that does not know lag, or its own version, is an error."""
    scaler = stream_scaler(safe=False, consumerGroup="workers", lagCount="6")
    with pytest.raises((MetricRejected, MetricMalformed), match="Redis"):
        scaler.reading(METRIC, (information, [group("workers", 8)], 42), 1.0)


def test_a_lag_the_server_does_not_know_is_an_error() -> None:
    """KEDA reads it as -1, which looks like nothing to do."""
    scaler = stream_scaler(safe=False, consumerGroup="workers", lagCount="6")
    with pytest.raises(MetricMalformed, match="does not know the lag"):
        scaler.reading(METRIC, (INFO, [group("workers", None)], 42), 1.0)


def test_native_lag_is_counted_in_one_call() -> None:
    """A native object asks one script, which falls back to counting."""
    scaler = stream_scaler(consumerGroup="workers", lagCount="6")
    ((command, *_),) = scaler.query(METRIC).commands
    assert command == "EVAL"
    assert scaler.reading(METRIC, (17,), 1.0).value == 17.0
    assert scaler.reading(METRIC, (Refusal("ERR no such key"),), 2.0).value == 0.0
    with pytest.raises(MetricRejected, match="WRONGTYPE"):
        scaler.reading(METRIC, (Refusal("WRONGTYPE Operation"),), 3.0)
