"""Trigger types by name, found through the entry points ``autoscaler.scalers``.

Listing names reads package metadata only. A plugin's module is imported when a trigger first
names it, so a missing driver or a broken plugin concerns only the objects that use it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from autoscaler.errors import UnknownScalerError, shorten
from autoscaler.sdk.config import TriggerConfig
from autoscaler.sdk.scaler import Scaler, TriggerContext

GROUP: Final = "autoscaler.scalers"

EXTRAS: Final[Mapping[str, str]] = {
    "redis": "redis",
    "aiokafka": "kafka",
    "grpc": "grpc",
    "google": "grpc",
}
"""Extra of this distribution by the module its driver provides."""


Check = Callable[[str, TriggerConfig], None]
"""Refuses a trigger of a type by its configuration; raises TriggerConfigError."""


class ScalerRegistry:
    """The installed trigger types.

    Args:
        entries: Entry points to offer; those of the installed distributions when None.
        check: Asked about every trigger that is built.
    """

    def __init__(
        self, entries: Iterable[EntryPoint] | None = None, *, check: Check | None = None
    ) -> None:
        self._check = check
        self._entries: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=GROUP) if entries is None else entries:
            offers = self._entries.setdefault(entry.name, [])
            # The same distribution may be on the path twice (an editable install and its source).
            if all(
                entry.value != offer.value or _maker(entry) != _maker(offer) for offer in offers
            ):
                offers.append(entry)
        self._loaded: dict[str, type[Scaler]] = {}

    def names(self) -> list[str]:
        """Return every trigger type on offer, sorted; nothing is imported."""
        return sorted(self._entries)

    def get(self, trigger_type: str) -> type[Scaler]:
        """Return the class behind a trigger type, importing it on first use.

        Raises:
            UnknownScalerError: Nobody offers it, several do, or it cannot be loaded.
        """
        loaded = self._loaded.get(trigger_type)
        if loaded is None:
            loaded = self._loaded[trigger_type] = _load(self._only_entry(trigger_type))
        return loaded

    def create(
        self,
        trigger_type: str,
        metadata: Mapping[str, str],
        auth: Mapping[str, str],
        env: Mapping[str, str],
        context: TriggerContext,
    ) -> Scaler:
        """Build the scaler of one trigger.

        Args:
            trigger_type: ``spec.triggers[].type``.
            metadata: The trigger's ``metadata``.
            auth: Parameters resolved from its TriggerAuthentication.
            env: Environment of the scale target's container.
            context: Where the trigger stands.

        Raises:
            UnknownScalerError: No working scaler for the type.
            TriggerConfigError: Parameters are wrong; names all of them.
        """
        scaler_type = self.get(trigger_type)
        config = scaler_type.config_type.parse(metadata, auth, env, context)
        if self._check is not None:
            self._check(trigger_type, config)
        return scaler_type.create(config, context)

    def _only_entry(self, trigger_type: str) -> EntryPoint:
        offers = self._entries.get(trigger_type, [])
        if not offers:
            raise UnknownScalerError(
                f'unknown trigger type "{shorten(trigger_type, 80)}"{self._guess(trigger_type)}; '
                f"known: {', '.join(self.names())}",
                field="type",
            )
        if len(offers) > 1:
            makers = " and ".join(sorted(f"{_maker(o)} ({o.value})" for o in offers))
            raise UnknownScalerError(
                f'trigger type "{trigger_type}" is offered by {makers}; uninstall one of them',
                field="type",
            )
        return offers[0]

    def _guess(self, trigger_type: str) -> str:
        close = difflib.get_close_matches(trigger_type, self.names(), n=1)
        return f', did you mean "{close[0]}"?' if close else ""


def _maker(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed distribution"


def _load(entry: EntryPoint) -> type[Scaler]:
    try:
        loaded = entry.load()
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        advice = f'; install "flyball[{extra}]"' if extra else ""
        raise UnknownScalerError(
            f'trigger type "{entry.name}" needs the module {error.name}{advice}', field="type"
        ) from error
    except Exception as error:  # a third-party module may raise anything while it is imported
        raise UnknownScalerError(
            f'trigger type "{entry.name}" cannot be loaded from {_maker(entry)} ({entry.value}): '
            f"{type(error).__name__}: {shorten(str(error))}",
            field="type",
        ) from error
    wanted = (
        "config_type",
        "tier",
        "description",
        "create",
        "metric_specs",
        "source_key",
        "open_source",
        "query",
        "reading",
    )
    missing = [name for name in wanted if not hasattr(loaded, name)]
    if not isinstance(loaded, type) or missing:
        raise UnknownScalerError(
            f'trigger type "{entry.name}": {entry.value} is no Scaler class, it lacks '
            f"{', '.join(missing) or 'a class'}",
            field="type",
        )
    return loaded
