"""The error tree of the whole service.

::

    AutoscalerError
    ├── ConfigError                the user must act; no retry until the object changes
    │   ├── TriggerConfigError     one trigger: index, parameter
    │   ├── FormulaError           position in a scaling-modifier formula
    │   ├── QuantityError          text that is no Kubernetes quantity
    │   └── UnknownScalerError     no (working) scaler for a trigger type
    ├── MetricError                a reading failed; counts toward fallback; retried
    │   ├── MetricUnavailable      refused, timed out, 5xx, 429
    │   ├── MetricRejected         401, 403, 404, a query the source refuses
    │   └── MetricMalformed        NaN, empty, wrong type, stale, oversized
    └── KubeError                  the Kubernetes API said no
        ├── Conflict  NotFound  Gone  Forbidden  Invalid  TooManyRequests
        └── Unreachable            no answer at all

Adapters translate foreign exceptions into these at the border. A message names what failed, on
which object and field, why, and what to do; it carries no secret and at most 256 characters of a
foreign body.
"""

from __future__ import annotations

FOREIGN_TEXT_LIMIT = 256


def shorten(text: str, limit: int = FOREIGN_TEXT_LIMIT) -> str:
    """Return ``text`` on one line and cut to ``limit`` characters, for use in a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


class AutoscalerError(Exception):
    """Base of every error the service raises on purpose.

    Attributes:
        reason: CamelCase word for conditions, events and metric labels.
        retriable: Whether the same call may succeed later without anybody acting.
    """

    reason = "Error"
    retriable = False


class ConfigError(AutoscalerError):
    """What the user wrote cannot work; ``field`` is the path inside the object, if known."""

    reason = "ConfigError"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class TriggerConfigError(ConfigError):
    """A trigger's parameters are wrong.

    Attributes:
        problems: One ``(parameter, message)`` pair per problem; parameter may be empty.
    """

    reason = "TriggerConfigError"

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" if name else text for name, text in problems))
        self.problems = tuple(problems)


class FormulaError(ConfigError):
    """A scaling-modifier formula does not parse, check or evaluate.

    Attributes:
        position: 0-based character offset in the formula, or None.
    """

    reason = "FormulaError"

    def __init__(self, message: str, *, position: int | None = None, source: str = "") -> None:
        where = "" if position is None else f" at position {position + 1}"
        caret = f"\n  {source}\n  {' ' * position}^" if source and position is not None else ""
        super().__init__(f"{message}{where}{caret}", field="spec.advanced.scalingModifiers.formula")
        self.position = position


class QuantityError(ConfigError):
    """A text is not a Kubernetes quantity."""

    reason = "InvalidQuantity"


class UnknownScalerError(ConfigError):
    """No scaler is registered for a trigger type, or its plugin could not be loaded."""

    reason = "UnknownScaler"


class MetricError(AutoscalerError):
    """A metric could not be read; never a number."""

    reason = "MetricError"
    retriable = True


class MetricUnavailable(MetricError):
    """The source refused the connection, timed out or answered 5xx or 429."""

    reason = "MetricUnavailable"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class MetricRejected(MetricError):
    """The source understood and refused: credentials, permissions, unknown object, bad query."""

    reason = "MetricRejected"


class MetricMalformed(MetricError):
    """The source answered something that is no usable number."""

    reason = "MetricMalformed"


class KubeError(AutoscalerError):
    """The Kubernetes API answered an error.

    Attributes:
        status: HTTP status, 0 when there was no answer.
        api_reason: ``reason`` of the returned Status object, may be empty.
        retry_after_seconds: Server's wish, or None.
    """

    reason = "KubeError"

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        api_reason: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.api_reason = api_reason
        self.retry_after_seconds = retry_after_seconds


class Conflict(KubeError):
    """409: somebody else wrote first, or the object already exists."""

    reason = "Conflict"
    retriable = True


class NotFound(KubeError):
    """404: no such object or no such resource."""

    reason = "NotFound"


class Gone(KubeError):
    """410: the resource version is too old; list again."""

    reason = "Gone"
    retriable = True


class Forbidden(KubeError):
    """401 or 403: the service account lacks a right."""

    reason = "Forbidden"


class Invalid(KubeError):
    """400 or 422: the API server rejects the body."""

    reason = "Invalid"


class TooManyRequests(KubeError):
    """429: slow down."""

    reason = "TooManyRequests"
    retriable = True


class Unreachable(KubeError):
    """No answer: refused, reset, timed out, or 5xx."""

    reason = "Unreachable"
    retriable = True
