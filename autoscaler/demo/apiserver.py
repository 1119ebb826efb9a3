"""The embedded API server: HTTP in, registry calls, HTTP out.

It speaks what a real kube-apiserver speaks as far as controllers need it; ``tests/contract``
holds the behaviour, and runs against either. There is no admission beyond namespaces, no
authentication and no schema validation of custom resources.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

import msgspec
from aiohttp import web

from autoscaler.demo import discovery, events, patching
from autoscaler.demo.apierrors import (
    ApiError,
    method_not_allowed,
    not_served,
    too_large_version,
)
from autoscaler.demo.bodies import (
    applier_of,
    delete_options,
    is_dry_run,
    patched,
    read_json,
    read_object,
    read_patch,
    require_patch_type,
    writer_of,
)
from autoscaler.demo.faults import Faults
from autoscaler.demo.listing import list_body, read_version
from autoscaler.demo.metrics_api import MetricsApi
from autoscaler.demo.objects import JsonObject, encode, key_of
from autoscaler.demo.registry import Registry
from autoscaler.demo.requests import Target, parse_path, verb_of
from autoscaler.demo.resources import Resource
from autoscaler.demo.scale import read_scale, scale_of, with_scale
from autoscaler.demo.selectors import parse
from autoscaler.demo.store import Item
from autoscaler.demo.watching import BOOKMARK_SECONDS, TRUE, read_request, stream

BODY_LIMIT_BYTES: Final = 3 * 1024 * 1024
WRITE_TIMEOUT_SECONDS: Final = 60.0
HEALTH_PATHS: Final = frozenset({"healthz", "livez", "readyz"})
JSON_TYPE: Final = "application/json"


class ApiServer:
    """Answers Kubernetes API requests from a registry.

    Attributes:
        requests: Requests answered so far, by verb and resource, for tests and figures.
    """

    def __init__(
        self,
        registry: Registry,
        faults: Faults,
        metrics: MetricsApi,
        *,
        bookmark_seconds: float = BOOKMARK_SECONDS,
    ) -> None:
        self.registry = registry
        self.requests: dict[tuple[str, str], int] = {}
        self._faults = faults
        self._metrics = metrics
        self._bookmark_seconds = bookmark_seconds

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._route(request)
        except ApiError as exc:
            headers = {}
            if exc.retry_after_seconds is not None:
                headers["Retry-After"] = str(exc.retry_after_seconds)
            return web.Response(
                status=exc.code,
                body=encode(exc.status()),
                content_type=JSON_TYPE,
                headers=headers,
            )

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        segments = [unquote(part) for part in request.rel_url.raw_path.split("/") if part]
        document = self._document(request, segments)
        if document is not None:
            return document
        target = parse_path(segments) if segments and segments[0] in {"api", "apis"} else None
        resource = target and self.registry.catalogue.find(
            target.group, target.version, target.plural
        )
        if not target or not resource or not _exists(resource, target):
            metric = self._metrics.external(segments, request.query)
            if metric:
                return _json(metric)
            if self.registry.catalogue.is_own_group(segments):
                raise not_served()
            return _page_not_found()
        is_watch = request.query.get("watch") in TRUE
        verb = verb_of(request.method, target, is_watch=is_watch)
        if not verb or (resource.verbs and verb not in resource.verbs):
            raise method_not_allowed()
        counted = (verb, f"{resource.plural}/{target.subresource}".rstrip("/"))
        self.requests[counted] = self.requests.get(counted, 0) + 1
        delay_seconds = self._faults.delay_seconds()
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        self._faults.before(verb, resource, target.subresource, target.name)
        if verb == "watch":
            return await self._watch(request, resource, target)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge as exc:
            raise ApiError(413, "RequestEntityTooLarge", "limit is 3145728 bytes") from exc
        response = self._answer(verb, request, resource, target, body)
        if self._faults.loses_reply(verb) and request.transport is not None:
            request.transport.abort()
        return response

    def _document(self, request: web.BaseRequest, segments: list[str]) -> web.Response | None:
        """Return the answer to a path that names no resource, None for any other."""
        catalogue = self.registry.catalogue
        wants_aggregated = discovery.AGGREGATED in request.headers.get("Accept", "")
        if wants_aggregated and segments in (["api"], ["apis"]):
            body = discovery.aggregated(catalogue, core=segments == ["api"])
            return _json(body, f"{JSON_TYPE};g=apidiscovery.k8s.io;v=v2;{discovery.AGGREGATED}")
        if len(segments) == 1 and segments[0] in HEALTH_PATHS:
            return web.Response(text="ok")
        document = discovery.document(catalogue, segments, request.host)
        return None if document is None else _json(document)

    def _answer(
        self,
        verb: str,
        request: web.BaseRequest,
        resource: Resource,
        target: Target,
        body: bytes,
    ) -> web.Response:
        if resource.group == "metrics.k8s.io":
            return _json(self._metrics.read(resource, target, request.query))
        answers = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return answers[verb](request, resource, target, body)

    def _get(
        self, request: web.BaseRequest, resource: Resource, target: Target, _body: bytes
    ) -> web.Response:
        asked = read_version(request.query.get("resourceVersion", ""))
        if asked is not None and asked > self.registry.store.version:
            raise too_large_version(asked, self.registry.store.version)
        item = self.registry.get(resource, target.namespace or "", target.name)
        return self._shown(resource, target, item)

    def _list(
        self, request: web.BaseRequest, resource: Resource, target: Target, _body: bytes
    ) -> web.Response:
        body = list_body(
            self.registry.store,
            resource,
            target.namespace,
            request.query,
            lambda item: element_of(resource, item),
        )
        return web.Response(body=body, content_type=JSON_TYPE)

    async def _watch(
        self, request: web.BaseRequest, resource: Resource, target: Target
    ) -> web.StreamResponse:
        wanted = read_request(resource, target.namespace, request.query, self._bookmark_seconds)
        response = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
        response.enable_chunked_encoding()
        await response.prepare(request)
        fault = self._faults.watch_fault()
        lines = stream(self.registry.store, wanted, lambda item: encoded_as(resource, item), fault)
        try:
            async for chunk in lines:
                if chunk:
                    await response.write(chunk)
        except ConnectionResetError:
            if request.transport is not None:
                request.transport.abort()
        finally:
            await lines.aclose()  # type: ignore[attr-defined]
        return response

    def _create(
        self, request: web.BaseRequest, resource: Resource, target: Target, body: bytes
    ) -> web.Response:
        if target.name:
            raise method_not_allowed()
        if resource.namespaced and target.namespace is None:
            raise method_not_allowed()
        item = self.registry.create(
            _stored_form(self.registry, resource),
            target.namespace or "",
            read_object(resource, body, request.content_type),
            writer=writer_of(request, target),
            dry_run=is_dry_run(request.query),
        )
        return self._shown(resource, target, item, HTTPStatus.CREATED)

    def _update(
        self, request: web.BaseRequest, resource: Resource, target: Target, body: bytes
    ) -> web.Response:
        if not target.name:
            raise method_not_allowed()
        namespace, dry_run = target.namespace or "", is_dry_run(request.query)
        writer = writer_of(request, target)
        if target.subresource == "scale":
            scale = read_scale(read_json(body), target.name)
            item = self.registry.modify(
                resource,
                namespace,
                target.name,
                lambda value: with_scale(resource, value, scale),
                writer=writer,
                dry_run=dry_run,
            )
            return self._shown(resource, target, item)
        item, created = self.registry.update(
            _stored_form(self.registry, resource),
            namespace,
            target.name,
            read_object(resource, body, request.content_type),
            subresource=target.subresource,
            writer=writer,
            dry_run=dry_run,
        )
        code = HTTPStatus.CREATED if created else HTTPStatus.OK
        return self._shown(resource, target, item, code)

    def _patch(
        self, request: web.BaseRequest, resource: Resource, target: Target, body: bytes
    ) -> web.Response:
        if not target.name:
            raise method_not_allowed()
        kind = request.content_type
        require_patch_type(resource, kind)
        namespace, dry_run = target.namespace or "", is_dry_run(request.query)
        patch = read_patch(body, kind)
        if kind == patching.APPLY and target.subresource != "scale":
            item, created = self.registry.apply(
                resource,
                namespace,
                target.name,
                patch,
                applier_of(request, target),
                dry_run=dry_run,
            )
            code = HTTPStatus.CREATED if created else HTTPStatus.OK
            return self._shown(resource, target, item, code)
        item = self.registry.modify(
            _stored_form(self.registry, resource),
            namespace,
            target.name,
            lambda value: patched(resource, target, value, patch, kind),
            subresource="status" if target.subresource == "status" else "",
            writer=writer_of(request, target),
            dry_run=dry_run,
        )
        return self._shown(resource, target, item)

    def _delete(
        self, request: web.BaseRequest, resource: Resource, target: Target, body: bytes
    ) -> web.Response:
        if target.subresource:
            raise method_not_allowed()
        options = delete_options(resource, request.query, body)
        item, gone = self.registry.delete(resource, target.namespace or "", target.name, options)
        if not gone or resource.returns_deleted:
            return self._shown(resource, target, item)
        details: JsonObject = {"name": target.name, "kind": resource.plural}
        if resource.group:
            details["group"] = resource.group
        details["uid"] = item.value["metadata"]["uid"]
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return _json({**head, "details": details})

    def _delete_collection(
        self, request: web.BaseRequest, resource: Resource, target: Target, body: bytes
    ) -> web.Response:
        if resource.namespaced and target.namespace is None:
            raise method_not_allowed()
        matches = parse(request.query, resource)
        options = delete_options(resource, request.query, body)
        deleted = []
        for item in self.registry.store.items(resource.storage, target.namespace):
            if matches(item.value):
                last, _ = self.registry.delete(resource, *key_of(item.value), options)
                deleted.append(msgspec.Raw(encoded_as(resource, last)))
        metadata = {"resourceVersion": str(self.registry.store.version)}
        head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
        return _json({**head, "metadata": metadata, "items": deleted})

    def _shown(
        self,
        resource: Resource,
        target: Target,
        item: Item,
        code: HTTPStatus = HTTPStatus.OK,
    ) -> web.Response:
        if target.subresource == "scale":
            return _json(scale_of(resource, item.value), code=code)
        body = encoded_as(resource, item)
        return web.Response(status=code, body=body, content_type=JSON_TYPE)


def encoded_as(resource: Resource, item: Item) -> bytes:
    """Return an object's JSON in the resource's version."""
    if item.value["apiVersion"] == resource.api_version:
        return item.encoded
    if events.is_new_form(resource):
        return encode(events.shown(item.value, resource))
    return encode({**item.value, "apiVersion": resource.api_version})


def element_of(resource: Resource, item: Item) -> bytes:
    """Return an object's JSON inside a list: built-in kinds leave out kind and apiVersion."""
    body = encoded_as(resource, item)
    if resource.is_custom:
        return body
    return b"{" + body[body.index(b'"metadata"') :]


def _exists(resource: Resource, target: Target) -> bool:
    if target.subresource == "status":
        return resource.has_status
    if target.subresource == "scale":
        return resource.scale is not None
    if target.name and resource.namespaced and target.namespace is None:
        return False
    return not target.subresource and (resource.namespaced or target.namespace is None)


def _stored_form(registry: Registry, resource: Resource) -> Resource:
    """Return the resource in whose form the objects are stored."""
    if not events.is_new_form(resource):
        return resource
    core = registry.catalogue.find("", "v1", "events")
    assert core is not None
    return core


def _json(body: object, content_type: str = JSON_TYPE, code: int = HTTPStatus.OK) -> web.Response:
    return web.Response(status=code, body=encode(body), headers={"Content-Type": content_type})


def _page_not_found() -> web.Response:
    return web.Response(status=HTTPStatus.NOT_FOUND, text="404 page not found\n")
