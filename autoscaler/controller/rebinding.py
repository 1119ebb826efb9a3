"""When an object's binding has to be made anew, and making it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, cast

import structlog

from autoscaler.collect.entries import EntryReader
from autoscaler.collect.poll import Collector
from autoscaler.collect.subscription import MetricReader
from autoscaler.controller.binding import Binding
from autoscaler.controller.observe import selects_others
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.tracked import TrackedItem, fingerprint
from autoscaler.controller.triggers import HasTriggers
from autoscaler.errors import ConfigError, Forbidden, KubeError, MetricRejected
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.scale import ScaleView
from autoscaler.runtime.clock import Clock
from autoscaler.sdk.scaler import LearningScaler

log = structlog.get_logger(__name__)


class AnyBinding(HasTriggers, Protocol):
    """What the service does for an object of either kind, as far as references matter."""

    @property
    def readers(self) -> Sequence[tuple[MetricReader, float]]:
        """What reads its metrics, with their intervals (seconds)."""
        ...

    @property
    def has_references(self) -> bool:
        """Whether anything outside the object went into the scalers."""
        ...

    @property
    def polling_interval_seconds(self) -> float:
        """How often its metrics are read."""
        ...

    @property
    def found(self) -> object:
        """What was looked up to make it; a binding that found the same is no other one."""
        ...


B = TypeVar("B", bound=AnyBinding)
Bound_co = TypeVar("Bound_co", bound=AnyBinding, covariant=True)


class Binds(Protocol[Bound_co]):
    """Makes bindings."""

    async def bind(self, item: CustomObject) -> Bound_co:
        """Make the binding of an object; raises ConfigError or KubeError."""
        ...

    def forget(self, uid: str) -> None:
        """Drop what is kept for an object that is gone."""
        ...


class Rebinder(Generic[B]):
    """Keeps the bindings of objects, and the polling of their metrics, up to date.

    Args:
        binder: Makes a binding.
        collector: Gets what reads the metrics.
        entries: Forgotten when credentials were refused: they may have changed. None = there are
            none.
        clock: For the age of bindings.
        settings: How often references are looked up.
    """

    def __init__(
        self,
        binder: Binds[B],
        collector: Collector,
        entries: EntryReader | None,
        clock: Clock,
        settings: ControllerSettings,
    ) -> None:
        self._binder = binder
        self._collector = collector
        self._entries = entries
        self._clock = clock
        self._settings = settings

    async def bind(self, key: str, tracked: TrackedItem[B]) -> B:
        """Return the object's binding, made anew if anything it depends on may have changed.

        Raises:
            ConfigError: The object cannot work as it is.
            Forbidden: Nor can it without a right that is missing.
            KubeError: The API server could not be asked, and there is no binding to go on with.
        """
        wanted = fingerprint(tracked.item)
        binding = tracked.binding
        is_current = binding is not None and wanted == tracked.fingerprint
        if binding is not None and is_current and not self.is_due(key, tracked, binding):
            return binding
        learned = [one for one in _learning(binding) if one.has_learned()]
        for scaler in learned:
            scaler.take_over()
        try:
            fresh = await self._binder.bind(tracked.item)
        except (ConfigError, Forbidden):
            tracked.fingerprint = wanted
            raise
        except KubeError as error:
            if binding is None or not is_current:
                raise
            # Nothing is known to be wrong with the object; look its references up again later.
            log.info("references_not_read", object=key, error=str(error))
        else:
            if binding is None or not is_current or fresh.found != binding.found:
                self._collector.register(key, fresh.readers)
                if learned:
                    self._collector.renew(key)
                binding = fresh
        if binding is not tracked.binding:
            tracked.take_up(binding)
        tracked.problem, tracked.fingerprint = "", wanted
        tracked.bound_at, tracked.is_stale = self._clock.monotonic(), False
        return binding

    def forget(self, tracked: TrackedItem[B]) -> None:
        """Drop what is kept for an object that is gone."""
        self._binder.forget(tracked.item.metadata.uid)

    def next_lookup_seconds(self, tracked: TrackedItem[B]) -> float | None:
        """Return when the object's references are due, None when it has none."""
        if tracked.binding is None or not tracked.binding.has_references:
            return None
        age = self._clock.monotonic() - tracked.bound_at
        return max(0.0, self._settings.refresh_seconds - age)

    def select(
        self: Rebinder[Binding], key: str, tracked: TrackedItem[Binding], view: ScaleView
    ) -> bool:
        """Go on with the pods that the scale of a target selects by now; say if those are others.

        Args:
            key: Of the object.
            tracked: The object, bound.
            view: Of its target, as it is now.
        """
        binding = tracked.binding
        if binding is None or not selects_others(binding, view):
            return False
        log.info("pods_selected", object=key, before=binding.pod_selector, now=view.selector)
        tracked.binding = binding.selecting(view.selector)
        tracked.bound_at = self._clock.monotonic()
        self._collector.register(key, tracked.binding.readers)
        return True

    def is_due(self, key: str, tracked: TrackedItem[B], binding: B) -> bool:
        """Whether what the object refers to has to be looked up again."""
        if tracked.is_stale or any(one.has_learned() for one in _learning(binding)):
            return True
        if not binding.has_references:
            return False
        age = self._clock.monotonic() - tracked.bound_at
        if age >= self._settings.refresh_seconds:
            return True
        refused = any(
            reading.error_reason == MetricRejected.reason
            for reading in self._collector.readings.of(key).values()
        )
        if refused and age >= binding.polling_interval_seconds:
            if self._entries is not None:
                self._entries.forget()
            return True
        return False


def _learning(binding: AnyBinding | None) -> list[LearningScaler]:
    """Return the scalers whose metrics their sources declare."""
    if binding is None:
        return []
    return [cast(LearningScaler, one) for one, _ in binding.readers if _learns(type(one))]


@functools.cache
def _learns(kind: type) -> bool:
    """Whether readers of a class learn: asked at every turn, where ``isinstance`` would be slow."""
    return hasattr(kind, LearningScaler.has_learned.__name__)
