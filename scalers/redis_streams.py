"""``redis-streams``: entries of a Redis stream, all of them or those a consumer group has to do.

What is counted follows from the parameters, as in KEDA: without ``consumerGroup`` the length of the
stream, with it the entries delivered but not acknowledged, and with ``lagCount`` the entries not
yet delivered.

Two of KEDA's rules are kept for adopted ``keda.sh`` objects only, because they let work lie:

* Pending entries are zero as long as nobody reads, so a workload at zero never starts. Here entries
  nobody has read yet make the trigger active too (the value stays the pending count).
* A server before Redis 7, or after some deletions, cannot tell the lag; that is an error there.
  Here the unread entries are counted, up to :data:`UNREAD_MAX`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from enum import Enum, auto
from typing import Annotated, Any, ClassVar, Final, Self

import msgspec
from typing_extensions import override

from autoscaler.sdk import (
    Answer,
    MetricMalformed,
    MetricRejected,
    MetricSpec,
    Param,
    Problem,
    Reading,
    SourceContext,
    TriggerConfig,
    TriggerContext,
    shorten,
)
from autoscaler.sdk.metrics import check_target, external_metric, reading_of
from autoscaler.sdk.redis import Commands, RedisConnection, RedisSource, Refusal

DEFAULT_COUNT: Final = 5
LAG_SERVER_MAJOR_MIN: Final = 7
UNREAD_MAX: Final = 10_000

UNREAD_SCRIPT: Final = """
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local of = {}
  for i = 1, #group, 2 do of[group[i]] = group[i + 1] end
  if of['name'] == ARGV[1] then
    if type(of['lag']) == 'number' then return of['lag'] end
    local after = '(' .. of['last-delivered-id']
    return #redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', ARGV[2])
  end
end
return redis.call('XLEN', KEYS[1])
"""
"""Entries a group was not given yet: the server's own figure, or counted up to a limit."""


class Count(Enum):
    """What a trigger counts."""

    LENGTH = auto()
    PENDING = auto()
    LAG = auto()


class RedisStreamsConfig(TriggerConfig):
    """Parameters of the ``redis-streams`` trigger."""

    connection: RedisConnection
    stream: Annotated[str, Param("stream", doc="Key of the stream.")]
    consumer_group: Annotated[
        str, Param("consumerGroup", doc="Count what this group has to do, not the whole stream.")
    ] = ""
    stream_length: Annotated[
        int | None, Param("streamLength", doc="Target number of entries, without a group.")
    ] = None
    pending_entries_count: Annotated[
        int | None, Param("pendingEntriesCount", doc="Target number of unacknowledged entries.")
    ] = None
    lag_count: Annotated[
        int | None, Param("lagCount", doc="Target number of undelivered entries (Redis 7).")
    ] = None
    activation_lag_count: Annotated[
        int, Param("activationLagCount", doc="The trigger is active above this count.")
    ] = 0

    @property
    def count(self) -> Count:
        """Return what the given parameters ask to count."""
        if not self.consumer_group:
            return Count.LENGTH
        return Count.PENDING if self.lag_count is None else Count.LAG

    @property
    def target(self) -> tuple[str, int]:
        """Return the parameter that holds the target, and its value."""
        name, given = {
            Count.LENGTH: ("streamLength", self.stream_length),
            Count.PENDING: ("pendingEntriesCount", self.pending_entries_count),
            Count.LAG: ("lagCount", self.lag_count),
        }[self.count]
        return name, DEFAULT_COUNT if given is None else given

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        return check_target(*self.target, context)


class Group(msgspec.Struct, frozen=True):
    """What the server says of a consumer group; ``lag`` as the reply has it."""

    name: str
    lag: object


class RedisStreamsScaler:
    """One stream; see :class:`autoscaler.sdk.Scaler`."""

    config_type: ClassVar[type[TriggerConfig]] = RedisStreamsConfig
    tier: ClassVar[str] = "gold"
    description: ClassVar[str] = "Entries of a Redis stream: all, pending, or not yet read"

    def __init__(self, config: RedisStreamsConfig, context: TriggerContext) -> None:
        self._stream = config.stream
        self._group = config.consumer_group
        self._count = config.count
        self._activation = config.activation_lag_count
        self._safe = context.safe_defaults
        self._endpoint = config.connection.endpoint()
        _, target = config.target
        self._spec = external_metric(
            context, f"redis-streams-{config.stream}", target, config.activation_lag_count
        )
        self._query = Commands(tuple(self._commands()))

    @classmethod
    def create(cls, config: RedisStreamsConfig, context: TriggerContext) -> Self:
        """Build the scaler of one trigger."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric."""
        return (self._spec,)

    def source_key(self) -> Hashable:
        """Return the Redis database and as whom it is read."""
        return self._endpoint

    def open_source(self, context: SourceContext) -> RedisSource:
        """Build the connection, shared with lists of the same database."""
        return RedisSource(self._endpoint, timeout_seconds=context.http.timeout_seconds)

    def query(self, metric_name: str) -> Hashable:
        """Return the commands whose replies make the reading."""
        assert metric_name == self._spec.name
        return self._query

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Return the count, and whether there is something to do."""
        assert isinstance(answer, tuple)
        assert len(answer) == len(self._query.commands)
        match self._count:
            case Count.LENGTH:
                return reading_of(metric_name, self._number(answer[0]), at)
            case Count.PENDING:
                return self._pending(metric_name, answer, at)
            case Count.LAG:
                return reading_of(metric_name, self._lag(answer), at)

    def _commands(self) -> Iterable[tuple[str, ...]]:
        unread = ("EVAL", UNREAD_SCRIPT, "1", self._stream, self._group, str(UNREAD_MAX))
        match self._count:
            case Count.LENGTH:
                yield "XLEN", self._stream
            case Count.PENDING:
                yield "XPENDING", self._stream, self._group
                if self._safe:
                    yield unread
            case Count.LAG if self._safe:
                yield unread
            case Count.LAG:
                yield "INFO", "server"
                yield "XINFO", "GROUPS", self._stream
                yield "XLEN", self._stream

    def _pending(self, metric_name: str, answer: Sequence[Any], at: float) -> Reading:
        summary = answer[0]
        if not self._safe:
            return reading_of(metric_name, self._number(_first(summary)), at)
        unread = 0 if _says(answer[1], "no such key") else self._number(answer[1])
        missing = _says(summary, "NOGROUP")
        pending = 0 if missing else self._number(_first(summary))
        return reading_of(metric_name, pending, at, active=pending + unread > self._activation)

    def _lag(self, answer: Sequence[Any]) -> int:
        if self._safe:
            return 0 if _says(answer[0], "no such key") else self._number(answer[0])
        information, groups, length = answer
        _require_lag(information)
        if _says(groups, "no such key"):
            return 0
        if isinstance(groups, list):
            for group in map(_group, groups):
                if group.name == self._group:
                    return self._number(group.lag)
        return self._number(length)

    def _number(self, reply: object) -> int:
        match reply:
            case int():
                return reply
            case Refusal(text):
                raise MetricRejected(f'Redis stream "{self._stream}": {shorten(text)}')
            case None:
                raise MetricMalformed(
                    f'Redis stream "{self._stream}": the server does not know the lag of group '
                    f"{self._group}, as after deletions"
                )
            case _:
                raise MetricMalformed(f'Redis stream "{self._stream}": no number in {reply!r:.80}')


def _first(reply: object) -> object:
    """Return the first element of a list reply, anything else as it is."""
    return reply[0] if isinstance(reply, list) and reply else reply


def _says(reply: object, text: str) -> bool:
    """Return whether a reply is an error that contains ``text``."""
    return isinstance(reply, Refusal) and text in reply.text


def _group(reply: object) -> Group:
    """Return one group of an XINFO GROUPS reply, a flat list of names and values."""
    if not isinstance(reply, list) or len(reply) % 2:
        raise MetricMalformed(f"Redis described a consumer group as {reply!r:.80}")
    of = {_text(key): value for key, value in zip(reply[::2], reply[1::2], strict=True)}
    return Group(_text(of.get("name")), of.get("lag"))


def _require_lag(information: object) -> None:
    """Raise unless the server is recent enough to know a group's lag."""
    if isinstance(information, Refusal):
        raise MetricRejected(f"Redis does not tell its version: {shorten(information.text)}")
    for line in _text(information).splitlines():
        name, _, version = line.partition(":")
        if name == "redis_version":
            major = version.split(".")[0].strip()
            if not major.isdecimal():
                raise MetricMalformed(f'Redis version "{shorten(version)}" is no number')
            if int(major) < LAG_SERVER_MAJOR_MIN:
                raise MetricRejected(
                    f"lagCount needs Redis {LAG_SERVER_MAJOR_MIN} or newer, not {shorten(version)}"
                )
            return
    raise MetricMalformed("Redis does not tell its version (INFO has no redis_version)")


def _text(reply: object) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
