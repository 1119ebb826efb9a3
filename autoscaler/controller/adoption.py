"""HorizontalPodAutoscalers on our targets: taken over where the user says so, never fought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from msgspec.structs import replace

from autoscaler.api.annotations import TRANSFER_OWNERSHIP, takes_over
from autoscaler.controller.claims import Claimed, claimed, is_shadow
from autoscaler.controller.objects import ScalingObjects, group_of, resource_of
from autoscaler.errors import Conflict, NotFound
from autoscaler.kube.autoscalers import Autoscaler, delete_autoscaler
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.metadata import write_metadata
from autoscaler.kube.resources import KEDA_GROUP, SCALED_OBJECTS
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

TAKEN_OVER: Final = "flyball.dev/taken-over-autoscaler"
"""Annotation that keeps what a removed autoscaler said: its bounds and behavior, as JSON."""
NAME_FIELD: Final = "spec.advanced.horizontalPodAutoscalerConfig.name"

log = structlog.get_logger(__name__)


class TakenOver(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is kept of an autoscaler."""

    name: str
    min_replicas: int
    max_replicas: int
    behavior: dict[str, Any] | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(TakenOver).decode


class Autoscalers:
    """The cluster's HorizontalPodAutoscalers by what they scale."""

    def __init__(self, store: Store[Autoscaler]) -> None:
        self._store = store
        self._by_target: dict[Claimed, dict[str, Autoscaler]] = {}
        self._gone: set[str] = set()
        store.on_change(self._changed)

    @property
    def is_empty(self) -> bool:
        """Whether the cluster has none."""
        return not self._by_target

    def named(self, key: str) -> Autoscaler | None:
        """Return an autoscaler by ``namespace/name``."""
        return self._store.get(key)

    def of(self, target: Claimed | None) -> list[Autoscaler]:
        """Return the autoscalers of a target, by name, without those that are going."""
        found = self._by_target.get(target, {}) if target else {}
        return [
            found[key]
            for key in sorted(found)
            if found[key].metadata.deletion_timestamp is None
            and found[key].metadata.uid not in self._gone
        ]

    def deleted(self, one: Autoscaler) -> None:
        """Note that one was deleted, before the watch says so."""
        if self._store.get(one.key) is not None:
            self._gone.add(one.metadata.uid)

    def _changed(self, key: str, old: Autoscaler | None, new: Autoscaler | None) -> None:
        if old is not None:
            known = self._by_target[old.target]
            del known[key]
            if not known:
                del self._by_target[old.target]
            if new is None or new.metadata.uid != old.metadata.uid:
                self._gone.discard(old.metadata.uid)
        if new is not None:
            self._by_target.setdefault(new.target, {})[key] = new


class Adopter:
    """Clears an object's target of other autoscalers, or says why it must not.

    Taking over keeps the replicas: when the object, completed by what the autoscaler says, is fit
    to work, that is written down in an annotation of the object, then the autoscaler is deleted;
    from then on we scale. A crash in between leaves both, and the next look goes on from there.

    Args:
        client: Connection.
        objects: The scaling objects; see our writes at once.
        autoscalers: Of the cluster.
    """

    def __init__(
        self, client: KubeClient, objects: ScalingObjects, autoscalers: Autoscalers
    ) -> None:
        self._client = client
        self._objects = objects
        self._autoscalers = autoscalers
        self._took_from_keda: set[str] = set()

    def objection(self, key: str, item: CustomObject) -> str:
        """Return why the object must not scale its target; empty when nobody else does."""
        if is_shadow(item):
            return ""
        wanted = self._transferred(item)
        named = self._autoscalers.named(wanted) if wanted else None
        if named is not None and named.target != claimed(item):
            kind, name = named.target[1], named.target[3]
            return f'{NAME_FIELD}: HorizontalPodAutoscaler "{named.key}" scales {kind} "{name}"'
        for other in self._others(item):
            if self._is_remade(key, item, other):
                return (
                    f'KEDA made HorizontalPodAutoscaler "{other.key}" anew, so it still acts on '
                    "this object; end KEDA and delete that, or leave the object to KEDA "
                    '(annotation flyball.dev/adopt: "false")'
                )
            if not self._may_remove(item, other):
                return (
                    f'spec.scaleTargetRef: HorizontalPodAutoscaler "{other.key}" scales the same '
                    "target; two of them would fight over it. Delete it, or take it over: "
                    f'annotation {TRANSFER_OWNERSHIP}: "true" and its name in {NAME_FIELD}'
                )
        return ""

    def foreseen(self, item: CustomObject) -> CustomObject:
        """Return the object as :meth:`write_down` will leave it; :meth:`objection` was empty.

        Nothing is written, so an object that cannot work with the autoscaler's words stays free of
        them. :func:`with_taken_over` completes what is returned.
        """
        for other in self._others(item):
            if not _is_kedas(item, other):
                annotations = {**item.metadata.annotations, TAKEN_OVER: _words(other)}
                item = replace(item, metadata=replace(item.metadata, annotations=annotations))
        return item

    async def write_down(
        self, key: str, item: CustomObject, foreseen: CustomObject
    ) -> CustomObject:
        """Keep what the autoscalers say that are to be taken over.

        Args:
            key: Of the object.
            item: The object as stored.
            foreseen: From :meth:`foreseen`; the object was found fit to work with these words.

        Returns:
            The object as it is now.

        Raises:
            KubeError: It could not be written.
        """
        text = foreseen.metadata.annotations.get(TAKEN_OVER)
        if text is None or item.metadata.annotations.get(TAKEN_OVER) == text:
            return item
        resource = resource_of(SCALED_OBJECTS, item)
        written = await write_metadata(self._client, resource, item, annotations={TAKEN_OVER: text})
        self._objects.wrote(key, written.metadata.resource_version, written)
        return written

    async def remove(self, key: str, item: CustomObject) -> list[str]:
        """Delete the autoscalers whose words are kept; call it when the object can take over.

        Returns:
            What was done, for people.

        Raises:
            Conflict: One changed, or came, since its words were kept: look again.
            KubeError: One could not be deleted.
        """
        done: list[str] = []
        for other in self._others(item):
            if not _is_kedas(item, other) and not _keeps(item, other):
                raise Conflict(
                    f'HorizontalPodAutoscaler "{other.key}" changed while it was taken over'
                )
            try:
                await delete_autoscaler(self._client, other)
            except NotFound:
                log.info("autoscaler_gone", object=key, autoscaler=other.key)
            self._autoscalers.deleted(other)
            if _is_kedas(item, other):
                self._took_from_keda.add(key)
            least, most = other.spec.min_replicas, other.spec.max_replicas
            done.append(
                f'took over from HorizontalPodAutoscaler "{other.key}" ({least} to {most} replicas)'
            )
        return done

    def forget(self, key: str) -> None:
        """Forget what was removed for an object."""
        self._took_from_keda.discard(key)

    def _others(self, item: CustomObject) -> list[Autoscaler]:
        """Return the autoscalers in the object's way; who only watches has none."""
        if self._autoscalers.is_empty or is_shadow(item):
            return []
        return self._autoscalers.of(claimed(item))

    def _may_remove(self, item: CustomObject, other: Autoscaler) -> bool:
        return _is_kedas(item, other) or self._transferred(item) == other.key

    def _is_remade(self, key: str, item: CustomObject, other: Autoscaler) -> bool:
        return _is_kedas(item, other) and key in self._took_from_keda

    def _transferred(self, item: CustomObject) -> str:
        """Return the key of the autoscaler the user hands over; empty when there is none."""
        if not takes_over(item.metadata.annotations):
            return ""
        name = _hpa_config(item.raw).get("name")
        return f"{item.metadata.namespace}/{name}" if isinstance(name, str) and name else ""


def taken_over(item: CustomObject) -> TakenOver | None:
    """Return what is kept of the autoscaler an object took over from."""
    text = item.metadata.annotations.get(TAKEN_OVER)
    if text is None:
        return None
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        log.warning("taken_over_unreadable", object=item.metadata.key)
        return None


def with_taken_over(item: CustomObject) -> Mapping[str, Any]:
    """Return the object as written, completed by the autoscaler it took over from.

    What the object says itself always counts.
    """
    spec, borrowed = item.raw.get("spec"), _borrowed(item)
    if not borrowed or not isinstance(spec, dict):
        return item.raw
    completed = {**spec, **borrowed}
    behavior = completed.pop("behavior", None)
    if behavior is not None:
        advanced = spec.get("advanced")
        completed["advanced"] = {
            **(advanced if isinstance(advanced, Mapping) else {}),
            "horizontalPodAutoscalerConfig": {**_hpa_config(item.raw), "behavior": behavior},
        }
    return {**item.raw, "spec": completed}


def with_origin(message: str, item: CustomObject, foreseen: CustomObject) -> str:
    """Return what is wrong with an object, and whence the fields have their values it never set.

    Args:
        message: Names fields.
        item: The object as stored.
        foreseen: The object the message is about, from :meth:`Adopter.foreseen`.
    """
    kept = taken_over(foreseen)
    mentioned = [name for name in _borrowed(foreseen) if name in message]
    if kept is None or not mentioned:
        return message
    fields = " and ".join(mentioned)
    text = foreseen.metadata.annotations[TAKEN_OVER]
    if item.metadata.annotations.get(TAKEN_OVER) == text:
        origin = f"annotation {TAKEN_OVER}; set it in the object, or remove the annotation"
    else:
        origin = (
            f'HorizontalPodAutoscaler "{item.metadata.namespace}/{kept.name}", which is to be '
            "taken over; set it in the object, or change the autoscaler"
        )
    return f"{message} ({fields}: from {origin})"


def _borrowed(item: CustomObject) -> dict[str, Any]:
    """Return the values an object has from the autoscaler it took over from, by field name."""
    kept, spec = taken_over(item), item.raw.get("spec")
    if kept is None or not isinstance(spec, dict):
        return {}
    words = {
        "minReplicaCount": (kept.min_replicas, spec.get("minReplicaCount")),
        "maxReplicaCount": (kept.max_replicas, spec.get("maxReplicaCount")),
        "behavior": (kept.behavior, _hpa_config(item.raw).get("behavior")),
    }
    return {
        name: value for name, (value, own) in words.items() if own is None and value is not None
    }


def _words(other: Autoscaler) -> str:
    """Return what is kept of an autoscaler, as the annotation has it."""
    spec = other.spec
    kept = TakenOver(
        name=other.metadata.name,
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        behavior=spec.behavior,
    )
    return _encode(kept).decode()


def _keeps(item: CustomObject, other: Autoscaler) -> bool:
    """Whether an object keeps what an autoscaler says now."""
    return item.metadata.annotations.get(TAKEN_OVER) == _words(other)


def _hpa_config(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = raw
    for field in ("spec", "advanced", "horizontalPodAutoscalerConfig"):
        found = found.get(field) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _is_kedas(item: CustomObject, other: Autoscaler) -> bool:
    """Whether KEDA made the autoscaler for this very object."""
    return group_of(item) == KEDA_GROUP and any(
        owner.kind == SCALED_OBJECTS.kind and owner.uid == item.metadata.uid
        for owner in other.metadata.owner_references
    )
