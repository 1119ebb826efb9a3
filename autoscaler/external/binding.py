"""From an asked policy to what is done for it; the same policy asked twice is built once."""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace
from typing_extensions import override

from autoscaler.controller.binding import Binder, Binding, Places
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.triggers import TriggerBinder
from autoscaler.errors import ConfigError, NotFound
from autoscaler.external.asks import Ask, InlinePolicy, Intent
from autoscaler.external.cluster import Cluster
from autoscaler.external.places import OUT_OF_SIGHT, NoCluster, StrangersPlaces
from autoscaler.external.texts import PolicyTexts
from autoscaler.kube.codec import CustomObject, ObjectMeta

NO_CLUSTER: Final = (
    "scaledObject: this server has no access to a cluster; give policy (YAML) or type instead"
)
SHARED_MAX: Final = 1_000
STAND_IN_TARGET: Final = "target-of-keda"


class LookedUp(Binding, frozen=True, kw_only=True):
    """Of an inline policy that KEDA's object gave a target to, which its author may change.

    Nobody watches those objects, so they are looked at as often as references are.
    """

    @property
    @override
    def has_references(self) -> bool:
        """Return that something outside the policy went into it."""
        return True

    @property
    @override
    def found(self) -> object:
        """What was looked up; the same target may be made anew with another selector."""
        return super().found, self.pod_selector


class PolicyBinder:
    """Finds policies and builds their bindings.

    Args:
        triggers: Builds scalers.
        texts: Tells what an inline policy is, by its text alone.
        cluster: Where targets and our ScaledObjects are; None = nothing can be looked up.
        settings: Of the controller.
        is_trusted: Whether callers are known by their certificates.
    """

    def __init__(
        self,
        triggers: TriggerBinder,
        texts: PolicyTexts,
        cluster: Cluster | None,
        *,
        settings: ControllerSettings,
        is_trusted: bool,
    ) -> None:
        self._triggers = triggers
        self._texts = texts
        self._cluster = cluster
        self._settings = settings
        self._is_trusted = is_trusted
        self._numbers = itertools.count()
        self._users: Counter[str] = Counter()
        self._inline: dict[str, InlinePolicy] = {}
        self._alike: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._is_shared: dict[str, bool] = {}
        self._shared: OrderedDict[str, Binding] = OrderedDict()

    def adopt(self, ask: Ask, intent: Intent) -> str:
        """Return what things built for an ask are kept under, until :meth:`let_go`."""
        number = next(self._numbers)
        if not isinstance(intent, InlinePolicy):
            uid = f"object/{intent.namespace}/{intent.name}/{number}"
            self._users[uid] += 1
            return uid
        alike = f"policy/{ask.namespace}/{intent.digest}"
        uid = f"{alike}/{number}"
        self._alike[uid] = alike
        for one in (uid, alike):
            self._users[one] += 1
            self._inline[one] = intent
        return uid

    def let_go(self, uid: str) -> None:
        """Drop what was built for an ask, unless others have asked the same."""
        for one in {uid, self._alike.get(uid, uid)}:
            self._users[one] -= 1
            if self._users[one] <= 0:
                del self._users[one]
                self._inline.pop(one, None)
                self._alike.pop(one, None)
                self._is_shared.pop(one, None)
                self._shared.pop(one, None)
                self._triggers.forget(self._named.pop(one, one))

    def drop(self, uid: str, object_uid: str) -> None:
        """Drop what was built for an ask after it was let go, unless others have asked the same.

        Args:
            uid: As :meth:`adopt` returned it.
            object_uid: Of the object it was found to be about.
        """
        if uid not in self._users and object_uid not in self._users:
            self._shared.pop(object_uid, None)
            self._triggers.forget(object_uid)

    async def find(self, ask: Ask, intent: Intent, uid: str) -> CustomObject:
        """Return the object an ask is about.

        Raises:
            NeverValid: Its text is wrong.
            ConfigError: There is no cluster to find it in.
            NotFound: It does not exist.
            KubeError: The API server could not be asked.
        """
        if isinstance(intent, InlinePolicy):
            alike = self._alike[uid]
            if alike not in self._is_shared:
                written = _with_target(_item(ask, intent, uid), {"name": STAND_IN_TARGET}, None)
                await self._texts.check(intent, written.raw)
                is_shared = not await self._texts.is_for_one_object(intent)
                if uid not in self._users:
                    raise NotFound("nobody asks for this policy any more", status=404)
                self._is_shared[alike] = is_shared
            # Of equal policies each scaler is built once, if it is the same for all who ask.
            return _item(ask, intent, alike if self._is_shared[alike] else uid)
        if self._cluster is None:
            raise ConfigError(NO_CLUSTER)
        item = await self._cluster.named(intent.namespace, intent.name)
        return self._as_asked(item, uid)

    async def bind(self, item: CustomObject) -> Binding:
        """Build the binding of an object.

        Raises:
            InvalidObject: With every problem of the policy.
            KubeError: The API server could not be asked.
        """
        intent = self._inline.get(item.metadata.uid)
        if intent is None:
            assert self._cluster is not None, "objects without a cluster are inline"
            places = self._cluster.places
            return await self._binder(places).bind(item)
        if self._cluster is None:
            return await self._bind_alone(item, intent)
        return _looked_up(await self._bind_in(self._cluster, item, intent))

    def forget(self, uid: str) -> None:
        """Do nothing: asks are let go one by one."""

    async def _bind_in(self, cluster: Cluster, item: CustomObject, intent: InlinePolicy) -> Binding:
        """Build a binding on the target of KEDA's object, if that can be seen."""
        meta = item.metadata
        known = await cluster.keda_object(meta.namespace, meta.name)
        if known is None:
            return await self._bind_alone(item, intent)
        places = StrangersPlaces(cluster.places, intent.environment, is_trusted=self._is_trusted)
        return await self._binder(places).bind(_with_target(item, known.target, known.created))

    async def _bind_alone(self, item: CustomObject, intent: InlinePolicy) -> Binding:
        """Build a binding without a target, or return its twin if it can have one."""
        uid, key = item.metadata.uid, item.metadata.key
        found = self._shared.get(uid)
        if found is None:
            places = StrangersPlaces(NoCluster(), intent.environment, is_trusted=self._is_trusted)
            written = _with_target(item, {"name": STAND_IN_TARGET}, None)
            found = await self._binder(places).bind(written)
            if uid in self._alike:
                return found
            self._shared[uid] = found
            while len(self._shared) > SHARED_MAX:
                self._shared.popitem(last=False)
        if found.policy.key == key:
            return found
        return replace(found, policy=replace(found.policy, key=key))

    def _as_asked(self, item: CustomObject, uid: str) -> CustomObject:
        """Return an object of ours with scalers of its own for each ask that names it.

        A scaler that learns does so for one registration of its metrics.
        """
        kept_under = f"{uid}/{item.metadata.uid}"
        before = self._named.get(uid, kept_under)
        if before != kept_under:
            self._triggers.forget(before)
        if uid in self._users:
            self._named[uid] = kept_under
        meta = replace(item.metadata, uid=kept_under)
        return CustomObject(metadata=meta, raw=item.raw)

    def _binder(self, places: Places) -> Binder:
        return Binder(triggers=self._triggers, places=places, settings=self._settings)


def is_alone(binding: Binding) -> bool:
    """Whether a binding was built without knowing what is scaled."""
    return binding.target.resource == OUT_OF_SIGHT


def _looked_up(binding: Binding) -> LookedUp:
    return LookedUp(**{field: getattr(binding, field) for field in binding.__struct_fields__})


def _item(ask: Ask, intent: InlinePolicy, uid: str) -> CustomObject:
    annotations = {
        str(key): str(value)
        for key, value in (intent.raw["metadata"].get("annotations") or {}).items()
    }
    meta = ObjectMeta(
        name=ask.name, namespace=ask.namespace, uid=uid, generation=1, annotations=annotations
    )
    shown = {"name": ask.name, "namespace": ask.namespace, "annotations": annotations}
    return CustomObject(metadata=meta, raw={**intent.raw, "metadata": shown})


def _with_target(
    item: CustomObject, target: Mapping[str, Any], created: str | None
) -> CustomObject:
    """Return an inline policy as the object it stands for."""
    metadata = dict(item.raw["metadata"])
    if created is not None:
        metadata["creationTimestamp"] = created
    spec = {**item.raw["spec"], "scaleTargetRef": dict(target)}
    meta = item.metadata
    if created is not None:
        meta = replace(meta, creation_timestamp=datetime.fromisoformat(created))
    return CustomObject(metadata=meta, raw={**item.raw, "metadata": metadata, "spec": spec})
