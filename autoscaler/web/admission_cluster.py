"""What the webhook has to know of the cluster: who scales what, and what targets request.

ScaledObjects and HorizontalPodAutoscalers are watched, so that asking about them costs no request.
Targets are read one by one, and only for triggers that measure against requests: those are few, and
the newest state is what counts when both were applied together.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from autoscaler.api.conflicts import Autoscaler, Claimant, Target, Template
from autoscaler.errors import NotFound, Unreachable, shorten
from autoscaler.kube.autoscalers import AUTOSCALERS
from autoscaler.kube.codec import HasMetadata
from autoscaler.kube.reflector import Reflector
from autoscaler.kube.resources import (
    DEPLOYMENTS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
    Resource,
    in_group,
)
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient
from autoscaler.web.admission_views import (
    AutoscalerView,
    ClaimView,
    decode_autoscaler,
    decode_claim,
    decode_container_defaults,
    decode_template,
)

LIMIT_RANGES: Final = Resource(group="", version="v1", plural="limitranges", kind="LimitRange")
WITH_TEMPLATES: Final[Mapping[tuple[str, str], Resource]] = {
    (resource.group, resource.kind): resource for resource in (DEPLOYMENTS, STATEFUL_SETS)
}

Token = tuple[str, str, Target | str]
"""Namespace, what kind of thing, and the thing: what objects are found by."""

ViewT = TypeVar("ViewT", bound=HasMetadata)
DecodedT = TypeVar("DecodedT")


class _Index(Generic[ViewT]):
    """The objects of a store by what rules ask for."""

    def __init__(self, store: Store[ViewT], tokens: Callable[[ViewT], Iterable[Token]]) -> None:
        self._store = store
        self._tokens = tokens
        self._keys: dict[Token, set[str]] = {}
        store.on_change(self._changed)

    def find(self, *tokens: Token) -> list[ViewT]:
        """Return the objects with any of the tokens, by key."""
        keys = {key for token in tokens for key in self._keys.get(token, ())}
        found = (self._store.get(key) for key in sorted(keys))
        return [item for item in found if item is not None]

    def _changed(self, key: str, old: ViewT | None, new: ViewT | None) -> None:
        for token in self._tokens(old) if old is not None else ():
            holders = self._keys[token]
            holders.discard(key)
            if not holders:
                del self._keys[token]
        for token in self._tokens(new) if new is not None else ():
            self._keys.setdefault(token, set()).add(key)


class ClusterFacts:
    """Answers the questions of :mod:`autoscaler.api.conflicts` about one cluster.

    Args:
        client: Connection; of its own, so that reviews cannot slow scaling down.
        groups: API groups of the ScaledObjects to know.
        namespace: Know only this one; None = all.
        rng: For jitter.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        groups: Sequence[str],
        namespace: str | None = None,
        rng: random.Random,
    ) -> None:
        self._client = client
        self._reflectors: list[Reflector[ClaimView] | Reflector[AutoscalerView]] = []
        self._claims: list[_Index[ClaimView]] = []
        for group in groups:
            claims: Store[ClaimView] = Store(name=f"scaledobjects.{group}")
            self._claims.append(_Index(claims, _claim_tokens))
            self._reflectors.append(
                Reflector(
                    client,
                    in_group(SCALED_OBJECTS, group),
                    claims,
                    decode=decode_claim,
                    namespace=namespace,
                    rng=rng,
                )
            )
        autoscalers: Store[AutoscalerView] = Store(name=AUTOSCALERS.plural)
        self._autoscalers = _Index(autoscalers, _autoscaler_tokens)
        self._reflectors.append(
            Reflector(
                client,
                AUTOSCALERS,
                autoscalers,
                decode=decode_autoscaler,
                namespace=namespace,
                rng=rng,
            )
        )

    async def run(self) -> None:
        """Keep watching until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name="watch-for-webhook")

    def unsynced(self) -> list[str]:
        """Return the plurals of what is not known yet; rules about them cannot be checked."""
        return [r.resource.plural for r in self._reflectors if not r.store.has_synced]

    def claimants(self, namespace: str, target: Target, autoscaler: str) -> list[Claimant]:
        """Return the objects that scale a target or go by the name of an autoscaler."""
        tokens: tuple[Token, ...] = (
            (namespace, "target", target),
            (namespace, "autoscaler", autoscaler),
        )
        views = [view for index in self._claims for view in index.find(*tokens)]
        return [view.claimant for view in views if view.claimant is not None]

    def autoscalers(self, namespace: str, target: Target) -> list[Autoscaler]:
        """Return the autoscalers of a target."""
        found = self._autoscalers.find((namespace, "target", target))
        return [view.autoscaler for view in found]

    async def template(self, namespace: str, target: Target) -> Template | None:
        """Return the pod template of a Deployment or StatefulSet.

        Returns:
            None for other kinds, which may have no template or another shape of it.

        Raises:
            NotFound: There is no such object.
            KubeError: The API server could not be asked.
        """
        resource = WITH_TEMPLATES.get((target.group, target.kind))
        if resource is None:
            return None
        path = resource.path(namespace, target.name)
        try:
            return await self._read(path, decode_template)
        except NotFound:
            text = f'{target.kind} "{namespace}/{target.name}" does not exist'
            raise NotFound(text, status=404) from None

    async def container_defaults(self, namespace: str) -> frozenset[str]:
        """Return the resources that LimitRanges give every container; raises KubeError."""
        return await self._read(LIMIT_RANGES.path(namespace), decode_container_defaults)

    async def _read(self, path: str, decode: Callable[[bytes], DecodedT]) -> DecodedT:
        body = await self._client.request("GET", path)
        try:
            return decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unreachable(f"GET {path}: {shorten(str(error))}") from error


def _claim_tokens(view: ClaimView) -> Iterable[Token]:
    claimant, namespace = view.claimant, view.metadata.namespace
    if claimant is not None:
        yield namespace, "target", claimant.target
        yield namespace, "autoscaler", claimant.autoscaler


def _autoscaler_tokens(view: AutoscalerView) -> Iterable[Token]:
    yield view.metadata.namespace, "target", view.autoscaler.target
