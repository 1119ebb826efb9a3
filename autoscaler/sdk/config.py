"""Typed trigger parameters: declared once, parsed with every problem reported at once.

A scaler's configuration is a class::

    class QueueConfig(TriggerConfig):
        address: Annotated[str, Param("address", order=(METADATA, ENV, AUTH))]
        password: Annotated[SecretStr | None, Param("password", order=(ENV, AUTH))] = None
        length: Annotated[float, Param("length"), Field(gt=0)] = 5.0

The Python default makes a parameter optional, the annotation says how its text is read
(:mod:`autoscaler.sdk.conversion`), and the same declaration feeds ``flyball scalers TYPE`` and the
reference page. Lookup is KEDA's: sources in the declared order, in each the names in the declared
order, the first text that is not blank wins. A parameter that is not declared is ignored, as KEDA
does, but :meth:`TriggerConfig.warnings` names it and guesses what was meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from autoscaler.core.model import TargetType
from autoscaler.errors import TriggerConfigError, shorten
from autoscaler.sdk.addresses import Destination, destination
from autoscaler.sdk.params import (
    ABSENT,
    AUTH,
    ENV,
    METADATA,
    SHOWN_VALUE_LIMIT,
    Param,
    ParameterDescription,
    Problem,
    Seconds,
    TriggerInput,
    bare_type,
    describe,
    param_of,
    read,
)
from autoscaler.sdk.scaler import TriggerContext

__all__ = [
    "AUTH",
    "ENV",
    "METADATA",
    "Param",
    "ParameterDescription",
    "Problem",
    "Seconds",
    "TriggerConfig",
]

GUESSES_MAX: Final = 10
"""Unknown parameters of a trigger that are compared with the known ones."""


class TriggerConfig(BaseModel):
    """Base of every scaler's configuration; see the module's description."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True
    )

    metric_types: ClassVar[tuple[TargetType, ...]] = (TargetType.AVERAGE_VALUE, TargetType.VALUE)
    """Values the trigger's ``metricType`` may have; the first is the default."""
    needs_metric_type: ClassVar[bool] = False
    """Whether ``metricType`` must be given."""
    connects_nowhere: ClassVar[bool] = False
    """Whether the trigger reads nothing but the clock and the cluster it runs in."""

    @classmethod
    def parse(
        cls,
        metadata: Mapping[str, str],
        auth: Mapping[str, str] | None = None,
        resolved_env: Mapping[str, str] | None = None,
        context: TriggerContext | None = None,
    ) -> Self:
        """Build the configuration of one trigger.

        Args:
            metadata: The trigger's ``metadata``.
            auth: Parameters resolved from its TriggerAuthentication.
            resolved_env: Environment of the scale target's container.
            context: Where the trigger stands.

        Raises:
            TriggerConfigError: With every problem found, by parameter name.
        """
        given = TriggerInput(metadata, auth or {}, resolved_env or {})
        context = context or TriggerContext()
        built, problems = cls.build(given, context)
        problems[:0] = cls._metric_type_problems(context)
        if built is None or problems:
            raise TriggerConfigError(problems)
        return built

    @classmethod
    def _metric_type_problems(cls, context: TriggerContext) -> Iterator[Problem]:
        if context.metric_type in (None, "") and not cls.needs_metric_type:
            return
        if context.metric_type not in cls.metric_types:
            given = context.metric_type
            yield (
                "metricType",
                (f'"{shorten(given, SHOWN_VALUE_LIMIT)}" must be' if given else "is required;")
                + f" {' or '.join(cls.metric_types)}",
            )

    def check(self, context: TriggerContext) -> Iterable[Problem]:
        """Yield problems that involve several parameters; all fields are valid by themselves.

        Args:
            context: Where the trigger stands.
        """
        del context
        return ()

    @classmethod
    def unexpected_parameters(cls, metadata: Mapping[str, str]) -> tuple[str, ...]:
        """Return a sentence for each metadata key that nothing reads."""
        known = set(cls._metadata_keys())
        sentences = []
        for number, key in enumerate(sorted(set(metadata) - known)):
            # Comparing costs far more than all else here, and whoever wrote nonsense gains nothing.
            words = sorted(known) if number < GUESSES_MAX else ()
            close = difflib.get_close_matches(key, words, n=1)
            guess = f'; did you mean "{close[0]}"?' if close else ""
            sentences.append(f'parameter "{shorten(key, SHOWN_VALUE_LIMIT)}" is not known{guess}')
        return tuple(sentences)

    @classmethod
    def warnings(
        cls, metadata: Mapping[str, str], auth: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return a sentence for each unknown or deprecated parameter that was given."""
        announced = [
            f'parameter "{name}" is deprecated: {param.deprecated}'
            for param in cls.params()
            if param.deprecated
            for name in param.names
            if name in metadata or f"{name}FromEnv" in metadata or name in (auth or {})
        ]
        return (*announced, *cls.unexpected_parameters(metadata))

    @classmethod
    def describe(cls) -> list[ParameterDescription]:
        """Return the parameters in order of declaration, nested blocks included."""
        described: list[ParameterDescription] = []
        for field in cls.model_fields.values():
            block, _ = block_of(field)
            if block is not None:
                described.extend(block.describe())
            elif (param := param_of(field)) is not None:
                described.append(describe(field, param))
        return described

    def destinations(self) -> tuple[Destination, ...]:
        """Return where the trigger connects to.

        Empty for a trigger that connects nowhere, and for one that does not say: those differ by
        ``connects_nowhere``.
        """
        found: list[Destination] = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, TriggerConfig):
                found += value.destinations()
            elif value and (param := param_of(field)) is not None and param.endpoint:
                written = [value] if isinstance(value, str) else [str(one) for one in value]
                found += [destination(one, param.endpoint) for one in written]
        return tuple(found)

    @classmethod
    def build(
        cls, given: TriggerInput, context: TriggerContext
    ) -> tuple[Self | None, list[Problem]]:
        """Return the configuration, or None and every problem found."""
        values: dict[str, object] = {}
        problems: list[Problem] = []
        for name, field in cls.model_fields.items():
            block, optional = block_of(field)
            if block is not None:
                if optional and not block.is_given(given):
                    continue
                values[name], found = block.build(given, context)
                problems.extend(found)
            elif (param := param_of(field)) is not None:
                try:
                    value = read(field, param, given)
                except ValueError as error:
                    problems.append((param.names[0], str(error)))
                    continue
                if value is not ABSENT:
                    values[name] = value
        if problems:
            return None, problems
        try:
            built = cls.model_validate(values)
        except ValidationError as error:
            return None, [cls._problem(details) for details in error.errors()]
        found = list(built.check(context))
        return (None, found) if found else (built, [])

    @classmethod
    def _problem(cls, details: Any) -> Problem:
        param = param_of(cls.model_fields[str(details["loc"][0])]) if details["loc"] else None
        return (param.names[0] if param else "", str(details["msg"]))

    @classmethod
    def is_given(cls, given: TriggerInput) -> bool:
        """Whether any parameter was given."""
        return any(param.find(given) is not None for param in cls.params())

    @classmethod
    def params(cls) -> Iterator[Param]:
        """Yield every parameter, nested blocks included."""
        for field in cls.model_fields.values():
            block, _ = block_of(field)
            if block is not None:
                yield from block.params()
            elif (param := param_of(field)) is not None:
                yield param

    @classmethod
    def _metadata_keys(cls) -> Iterator[str]:
        for param in cls.params():
            for name in param.names:
                if METADATA in param.order:
                    yield name
                if ENV in param.order:
                    yield f"{name}FromEnv"


def block_of(field: FieldInfo) -> tuple[type[TriggerConfig] | None, bool]:
    """Return the nested block a field holds, and whether it may be absent."""
    kind = bare_type(field.annotation)
    if isinstance(kind, type) and issubclass(kind, TriggerConfig):
        return kind, not field.is_required()
    return None, False
