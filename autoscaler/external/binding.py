"""From an asked policy to what is done for it; the same policy asked twice is built once."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from autoscaler.controller.binding import Binder, Binding, Places
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.triggers import TriggerBinder
from autoscaler.errors import ConfigError
from autoscaler.external.asks import Ask, InlinePolicy, Intent
from autoscaler.external.cluster import Cluster
from autoscaler.external.places import OUT_OF_SIGHT, NoCluster, StrangersPlaces
from autoscaler.kube.codec import CustomObject, ObjectMeta

NO_CLUSTER: Final = (
    "scaledObject: this server has no access to a cluster; give policy (YAML) or type instead"
)
SHARED_MAX: Final = 1_000
STAND_IN_TARGET: Final = "target-of-keda"


class PolicyBinder:
    """Finds policies and builds their bindings.

    Args:
        triggers: Builds scalers.
        cluster: Where targets and our ScaledObjects are; None = nothing can be looked up.
        settings: Of the controller.
        is_trusted: Whether callers are known by their certificates.
    """

    def __init__(
        self,
        triggers: TriggerBinder,
        cluster: Cluster | None,
        *,
        settings: ControllerSettings,
        is_trusted: bool,
    ) -> None:
        self._triggers = triggers
        self._cluster = cluster
        self._settings = settings
        self._is_trusted = is_trusted
        self._users: Counter[str] = Counter()
        self._inline: dict[str, InlinePolicy] = {}
        # Scalers of our objects are kept under the objects' own uids.
        self._named: dict[str, str] = {}
        self._shared: OrderedDict[str, Binding] = OrderedDict()

    def adopt(self, ask: Ask, intent: Intent) -> str:
        """Return what things built for an ask are kept under, until :meth:`let_go`."""
        if isinstance(intent, InlinePolicy):
            # By content and namespace: of equal policies each scaler is built once.
            uid = f"policy/{ask.namespace}/{intent.digest}"
            self._inline[uid] = intent
        else:
            uid = _uid_of_named(intent.namespace, intent.name)
        self._users[uid] += 1
        return uid

    def let_go(self, uid: str) -> None:
        """Drop what was built for an ask, unless others have asked the same."""
        self._users[uid] -= 1
        if self._users[uid] <= 0:
            del self._users[uid]
            self._inline.pop(uid, None)
            self._shared.pop(uid, None)
            self._triggers.forget(self._named.pop(uid, uid))

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
            ConfigError: There is no cluster to find it in.
            NotFound: It does not exist.
            KubeError: The API server could not be asked.
        """
        if isinstance(intent, InlinePolicy):
            return _item(ask, intent, uid)
        if self._cluster is None:
            raise ConfigError(NO_CLUSTER)
        item = await self._cluster.named(intent.namespace, intent.name)
        self._note(uid, item.metadata.uid)
        return item

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
        meta = item.metadata
        if self._cluster is None:
            return await self._bind_alone(item, intent)
        known = await self._cluster.keda_object(meta.namespace, meta.name)
        if known is None:
            return await self._bind_alone(item, intent)
        wrapped = StrangersPlaces(
            self._cluster.places, intent.environment, is_trusted=self._is_trusted
        )
        return await self._binder(wrapped).bind(_with_target(item, known.target, known.created))

    def forget(self, uid: str) -> None:
        """Do nothing: asks are let go one by one."""

    async def _bind_alone(self, item: CustomObject, intent: InlinePolicy) -> Binding:
        """Build a binding that depends on nothing but the policy's content, or return its twin."""
        uid, key = item.metadata.uid, item.metadata.key
        found = self._shared.get(uid)
        if found is None:
            places = StrangersPlaces(NoCluster(), intent.environment, is_trusted=self._is_trusted)
            written = _with_target(item, {"name": STAND_IN_TARGET}, None)
            found = self._shared[uid] = await self._binder(places).bind(written)
            while len(self._shared) > SHARED_MAX:
                self._shared.popitem(last=False)
        if found.policy.key == key:
            return found
        return replace(found, policy=replace(found.policy, key=key))

    def _note(self, uid: str, object_uid: str) -> None:
        """Keep in mind which object a name stands for; what was built for another one goes."""
        known = self._named.get(uid, object_uid)
        if known != object_uid:
            self._triggers.forget(known)
        if uid in self._users:
            self._named[uid] = object_uid

    def _binder(self, places: Places) -> Binder:
        return Binder(triggers=self._triggers, places=places, settings=self._settings)


def is_alone(binding: Binding) -> bool:
    """Whether a binding was built without knowing what is scaled."""
    return binding.target.resource == OUT_OF_SIGHT


def _uid_of_named(namespace: str, name: str) -> str:
    return f"object/{namespace}/{name}"


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
