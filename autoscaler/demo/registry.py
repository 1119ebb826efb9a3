"""Reads and writes of objects with the API server's rules, no HTTP in sight.

Nothing here awaits, so every operation is atomic. ``manager`` empty means a write by the cluster
itself (its controllers), which owns no fields.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from autoscaler.demo import admission
from autoscaler.demo.apierrors import (
    ApiError,
    FieldProblem,
    already_exists,
    bad_request,
    conflict,
    details_of,
    forbidden,
    invalid,
    not_found,
    unfit_patch,
)
from autoscaler.demo.objects import JsonObject, at_path, copy_of, encode, key_of, timestamp
from autoscaler.demo.ownership import Writer, apply, track_update
from autoscaler.demo.resources import Catalogue, Resource, from_definition
from autoscaler.demo.store import Item, Store
from autoscaler.runtime.clock import Clock

NAME_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LETTERS: Final = 5
DEFAULT_GRACE_SECONDS: Final = 30
SYSTEM_NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")


def read_precondition(metadata: JsonObject) -> int:
    """Return the version an object has to have, 0 for any; raises ApiError 500 for no number."""
    text = metadata.get("resourceVersion") or "0"
    if not text.isdigit():
        raise ApiError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "",
            f'strconv.ParseUint: parsing "{text}": invalid syntax',
        )
    return int(text)


Mutation = Callable[[JsonObject], JsonObject]
"""Given a private copy of the current object, return the wanted one."""


class DeleteOptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body or query of a DELETE."""

    grace_period_seconds: int | None = None
    propagation_policy: str | None = None
    preconditions: dict[str, str] | None = None
    dry_run: list[str] | None = None


class Registry:
    """The objects of the cluster behind the API server's rules."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        store: Store | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.clock = clock
        self.store = store or Store()
        self.catalogue = catalogue or Catalogue()
        self._rng = rng
        for resource in self.catalogue.all():
            self.store.open_bucket(resource.storage)
        namespaces = self.catalogue.find("", "v1", "namespaces")
        assert namespaces is not None
        for name in SYSTEM_NAMESPACES:
            self.create(namespaces, "", {"metadata": {"name": name}})
        if store is None:
            self.store.compact()

    def serve(self, resource: Resource) -> None:
        """Add a resource, as a CustomResourceDefinition does."""
        self.catalogue.add(resource)
        self.store.open_bucket(resource.storage)

    def resource(self, api_version: str, kind: str) -> Resource:
        """Return a served resource by kind; raises ApiError 404."""
        found = self.catalogue.by_kind(api_version, kind)
        if found is None:
            raise ApiError(404, "NotFound", f"no resource is served for {kind} in {api_version}")
        return found

    def get(self, resource: Resource, namespace: str, name: str) -> Item:
        """Return an object; raises ApiError 404."""
        item = self.store.get(resource.storage, namespace, name)
        if item is None:
            raise not_found(resource, name)
        return item

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: JsonObject,
        *,
        writer: Writer | None = None,
        dry_run: bool = False,
    ) -> Item:
        """Create an object; raises ApiError 400, 403, 404, 409 or 422."""
        value = self._addressed(resource, namespace, body, "")
        metadata = value["metadata"]
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            letters = (self._rng.choice(NAME_LETTERS) for _ in range(GENERATED_LETTERS))
            metadata["name"] = metadata["generateName"] + "".join(letters)
        self._require_namespace(resource, namespace, metadata.get("name", ""))
        self._require_valid(resource, value, None)
        if self.store.get(resource.storage, namespace, metadata["name"]) is not None:
            raise already_exists(resource, metadata["name"])
        uid = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        at = self.clock.now()
        prepared = admission.prepare_creation(resource, value, uid=uid, at=at)
        if writer is not None and writer.operation == "Update":
            track_update(None, prepared, writer, resource, at)
        return self._commit(resource, prepared, dry_run=dry_run)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: JsonObject,
        *,
        subresource: str = "",
        writer: Writer | None = None,
        dry_run: bool = False,
    ) -> tuple[Item, bool]:
        """Replace an object; returns it and whether it was created; raises ApiError."""
        value = self._addressed(resource, namespace, body, name)
        old = self.store.get(resource.storage, namespace, name)
        version = read_precondition(value["metadata"])
        if not value["metadata"].get("name"):
            raise bad_request(
                f"the name of the object ({name} based on URL) was undeterminable: name must be "
                "provided"
            )
        if old is None:
            if not resource.create_on_update or version:
                raise not_found(resource, name)
            return self.create(resource, namespace, value, writer=writer, dry_run=dry_run), True
        if not version and not resource.unconditional_update:
            unset = FieldProblem(
                "metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update"
            )
            raise invalid(resource.kind, resource.group, name, [unset])
        self._check_preconditions(resource, old, value["metadata"])
        return self._replace(resource, old, value, subresource, writer, dry_run=dry_run), False

    def modify(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        mutation: Mutation,
        *,
        subresource: str = "",
        writer: Writer | None = None,
        dry_run: bool = False,
    ) -> Item:
        """Change an object by a function, as PATCH does; raises ApiError.

        A ``resourceVersion`` or ``uid`` that the function sets is a precondition.
        """
        old = self.get(resource, namespace, name)
        wanted = mutation(copy_of(old.value))
        wrong = admission.wrongly_typed(resource, wanted)
        if wrong:
            raise unfit_patch(wrong)
        value = self._addressed(resource, namespace, wanted, name)
        self._check_preconditions(resource, old, value["metadata"])
        return self._replace(resource, old, value, subresource, writer, dry_run=dry_run)

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        config: JsonObject,
        writer: Writer,
        *,
        dry_run: bool = False,
    ) -> tuple[Item, bool]:
        """Server-side apply; returns the object and whether it was created; raises ApiError."""
        if config.get("metadata", {}).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        config = self._addressed(resource, namespace, config, name)
        config["metadata"].setdefault("name", name)
        if writer.subresource == "status":
            config = {k: v for k, v in config.items() if k != "spec"}
        elif resource.has_status:
            config = {k: v for k, v in config.items() if k != "status"}
        at = self.clock.now()
        old = self.store.get(resource.storage, namespace, name)
        if old is None:
            if writer.subresource:
                raise not_found(resource, name)
            if config["metadata"].get("uid"):
                raise conflict(resource, name, "uid mismatch: no existing object was found")
            created = apply(None, config, writer, resource, at)
            return self.create(resource, namespace, created, writer=writer, dry_run=dry_run), True
        self._check_preconditions(resource, old, config["metadata"])
        value = apply(copy_of(old.value), config, writer, resource, at)
        return (
            self._replace(resource, old, value, writer.subresource, writer, dry_run=dry_run),
            False,
        )

    def set_status(self, resource: Resource, item: Item, status: JsonObject) -> Item:
        """Write ``status`` as the cluster's own controllers do; no change writes nothing."""
        if item.value.get("status") == status:
            return item
        replacement = {**item.value, "metadata": dict(item.value["metadata"]), "status": status}
        return self.store.put(resource.storage, replacement)

    def set_spec(self, resource: Resource, item: Item, **fields: Any) -> Item:
        """Write fields of ``spec`` past validation, as binding a pod to a node does."""
        spec = {**(item.value.get("spec") or {}), **fields}
        metadata = dict(item.value["metadata"])
        if resource.has_generation and resource.kind != "Pod":
            metadata["generation"] = metadata.get("generation", 0) + 1
        return self.store.put(resource.storage, {**item.value, "metadata": metadata, "spec": spec})

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions | None = None
    ) -> tuple[Item, bool]:
        """Delete an object; returns its last state and whether it is gone already.

        It stays, marked, while finalizers or a pod's grace period hold it; raises ApiError.
        """
        options = options or DeleteOptions()
        item = self.get(resource, namespace, name)
        self._check_delete_preconditions(resource, item, options)
        if resource.qualified == "namespaces" and name in SYSTEM_NAMESPACES:
            raise forbidden(resource, name, "this namespace may not be deleted")
        metadata = dict(item.value["metadata"])
        finalizers = list(metadata.get("finalizers") or ())
        extra = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(
            options.propagation_policy or ""
        )
        if extra and extra not in finalizers:
            finalizers.append(extra)
        grace = self._grace_seconds(resource, item, options)
        held = bool(finalizers) or grace > 0 or resource.qualified == "namespaces"
        if options.dry_run:
            return item, not held
        if not held:
            return self._remove(resource, namespace, name), True
        return self._mark_deleted(resource, item, finalizers, grace), False

    def _mark_deleted(
        self, resource: Resource, item: Item, finalizers: list[str], grace: int
    ) -> Item:
        metadata = dict(item.value["metadata"])
        known_grace = metadata.get("deletionGracePeriodSeconds")
        if "deletionTimestamp" in metadata and (known_grace is None or grace >= known_grace):
            return item
        metadata["deletionTimestamp"] = timestamp(self.clock.now() + grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if finalizers:
            metadata["finalizers"] = finalizers
        if resource.has_generation:
            metadata["generation"] = metadata.get("generation", 0) + 1
        marked = {**item.value, "metadata": metadata}
        if resource.qualified == "namespaces":
            marked["status"] = {"phase": "Terminating"}
        return self.store.put(resource.storage, marked)

    def _grace_seconds(self, resource: Resource, item: Item, options: DeleteOptions) -> int:
        """Return the pod's grace period; 0 for anything no kubelet is running."""
        running = resource.qualified == "pods" and at_path(item.value, "spec", "nodeName")
        if not running or at_path(item.value, "status", "phase") in {"Succeeded", "Failed"}:
            return 0
        if options.grace_period_seconds is not None:
            return max(0, options.grace_period_seconds)
        own = at_path(item.value, "spec", "terminationGracePeriodSeconds")
        return DEFAULT_GRACE_SECONDS if own is None else int(own)

    def _check_delete_preconditions(
        self, resource: Resource, item: Item, options: DeleteOptions
    ) -> None:
        metadata = item.value["metadata"]
        for name in ("uid", "resourceVersion"):
            wanted = (options.preconditions or {}).get(name)
            if wanted is not None and wanted != metadata[name]:
                field = "UID" if name == "uid" else "ResourceVersion"
                raise ApiError(
                    HTTPStatus.CONFLICT,
                    "Conflict",
                    f'Operation cannot be fulfilled on {resource.kind} "{metadata["name"]}": the '
                    f"{field} in the precondition ({wanted}) does not match the {field} in record "
                    f"({metadata[name]})",
                    details={
                        **details_of(resource, metadata["name"]),
                        # Not the plural: this answer comes from below the REST layer.
                        "kind": resource.kind,
                    },
                )

    def _addressed(
        self, resource: Resource, namespace: str, body: JsonObject, name: str
    ) -> JsonObject:
        """Return the body with the namespace of its URL; raises ApiError 400 when they differ."""
        value = {**body, "metadata": dict(body.get("metadata") or {})}
        admission.check_body(resource, value)
        metadata = value["metadata"]
        if resource.namespaced:
            if metadata.get("namespace", namespace) not in {namespace, ""}:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on "
                    "the request"
                )
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        if name and metadata.get("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL "
                f"({name})"
            )
        return value

    def _require_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self.store.get("namespaces", "", namespace)
        if found is None:
            raise ApiError(
                404,
                "NotFound",
                f'namespaces "{namespace}" not found',
                details={"name": namespace, "kind": "namespaces"},
            )
        if "deletionTimestamp" in found.value["metadata"]:
            why = (
                f"unable to create new content in namespace {namespace} because it is being "
                "terminated"
            )
            raise forbidden(resource, name, why)

    def _require_valid(self, resource: Resource, value: JsonObject, old: JsonObject | None) -> None:
        problems = admission.problems_of(resource, value, old)
        if problems:
            name = value["metadata"].get("name", "")
            raise invalid(resource.kind, resource.group, name, problems)

    def _check_preconditions(self, resource: Resource, old: Item, metadata: JsonObject) -> None:
        version = read_precondition(metadata)
        if version and version != old.version:
            raise conflict(resource, old.value["metadata"]["name"])
        uid = metadata.get("uid")
        if uid and uid != old.value["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
            raise conflict(
                resource, old.value["metadata"]["name"], why + old.value["metadata"]["uid"]
            )

    def _replace(
        self,
        resource: Resource,
        old: Item,
        value: JsonObject,
        subresource: str,
        writer: Writer | None,
        *,
        dry_run: bool,
    ) -> Item:
        replacement = admission.prepare_update(resource, old.value, value, subresource)
        if subresource != "status":
            self._require_valid(resource, replacement, old.value)
        if writer is not None and writer.operation == "Update":
            track_update(old.value, replacement, writer, resource, self.clock.now())
        elif writer is not None and "managedFields" in value["metadata"]:
            replacement["metadata"]["managedFields"] = value["metadata"]["managedFields"]
        if replacement == old.value:
            return old
        metadata = replacement["metadata"]
        if "deletionTimestamp" in metadata and not self._still_held(resource, metadata):
            if not dry_run:
                self._remove(resource, metadata.get("namespace", ""), metadata["name"])
            return Item(old.version, replacement, encode(replacement))
        return self._commit(resource, replacement, dry_run=dry_run)

    def _still_held(self, resource: Resource, metadata: JsonObject) -> bool:
        """Whether finalizers, a pod's grace or a namespace's content hold a deleted object."""
        grace = metadata.get("deletionGracePeriodSeconds", 0)
        return bool(metadata.get("finalizers")) or grace > 0 or resource.qualified == "namespaces"

    def _remove(self, resource: Resource, namespace: str, name: str) -> Item:
        gone = self.store.delete(resource.storage, namespace, name)
        if resource.kind == "CustomResourceDefinition":
            for served in from_definition(gone.value):
                for item in self.store.items(served.storage):
                    self.store.delete(served.storage, *key_of(item.value))
                self.catalogue.remove(served.group, served.plural)
        return gone

    def _commit(self, resource: Resource, value: JsonObject, *, dry_run: bool) -> Item:
        if dry_run:
            return Item(self.store.version, value, encode(value))
        item = self.store.put(resource.storage, value)
        if resource.kind == "CustomResourceDefinition":
            for served in from_definition(value):
                self.serve(served)
        return item
