"""Whether an object may be written: the rules of ``flyball validate``, and those between objects.

Nothing is refused for what does not exist yet, so the order in which objects are applied never
matters. Where the cluster cannot be asked, the object is let through with a warning: the controller
checks all of it again, and says so in the object's conditions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from autoscaler.api.annotations import KNOWN
from autoscaler.api.conflicts import (
    TARGET_FIELD,
    Autoscaler,
    Claimant,
    Target,
    Template,
    autoscaler_name,
    check_autoscalers,
    check_claimants,
    check_requests,
    target_of,
    utilization_triggers,
)
from autoscaler.api.parse import Examined, follows_from, known_kind
from autoscaler.api.problems import Problem, ProblemReason
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.api.validate import check_raw
from autoscaler.collect.trigger_check import check_triggers
from autoscaler.errors import KubeError, NotFound
from autoscaler.plugins import ScalerRegistry
from autoscaler.web.admission_review import AdmissionRequest

THREADS: Final = 2
"""Threads that check large objects; those of the event loop are also needed by others."""
LOOKUP_SECONDS: Final = 2.0
"""Longest time the API server may take to show a target; well below the webhook's own timeout."""

_EXAMINED_OPERATIONS: Final = frozenset({"CREATE", "UPDATE"})


class Facts(Protocol):
    """What a review may ask about the cluster; see ``admission_cluster`` for the answers."""

    def unsynced(self) -> Sequence[str]:
        """Return the plurals of what is not known yet."""
        ...

    def claimants(self, namespace: str, target: Target, autoscaler: str) -> Sequence[Claimant]:
        """Return the objects that scale a target or go by the name of an autoscaler."""
        ...

    def autoscalers(self, namespace: str, target: Target) -> Sequence[Autoscaler]:
        """Return the autoscalers of a target."""
        ...

    async def template(self, namespace: str, target: Target) -> Template | None:
        """Return the pod template of a target; raises KubeError."""
        ...

    async def container_defaults(self, namespace: str) -> frozenset[str]:
        """Return the resources that LimitRanges give every container; raises KubeError."""
        ...


class Verdict(msgspec.Struct, frozen=True):
    """What became of a review; ``was_examined`` is False where there was nothing to examine."""

    problems: tuple[Problem, ...] = ()
    was_examined: bool = True

    @property
    def is_allowed(self) -> bool:
        """Whether nothing but warnings was found."""
        return all(problem.is_warning for problem in self.problems)


class Reviewer:
    """Examines objects.

    Args:
        registry: The trigger types there are.
        cluster: What there is beside the object.
        is_ours: Whether the service acts on an object; others are none of the webhook's business.
    """

    def __init__(
        self,
        registry: ScalerRegistry,
        cluster: Facts,
        *,
        is_ours: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> None:
        self._cluster = cluster
        self._is_ours = is_ours
        self._check = partial(check_raw, trigger_check=partial(check_triggers, registry))
        self._used_types: set[str] = set()
        self._threads = asyncio.Semaphore(THREADS)

    async def review(self, request: AdmissionRequest, *, is_large: bool = False) -> Verdict:
        """Return what is wrong with the object of a request.

        Args:
            request: What is about to be written.
            is_large: Checking takes long enough to hold up the event loop: do it in a thread.
        """
        raw = request.object
        if raw is None or not self._is_to_be_examined(request, raw):
            return Verdict(was_examined=False)
        examined = await self._examine(raw, in_thread=is_large)
        problems = [_softened(problem) for problem in examined.problems]
        if isinstance(examined.obj, ScaledObject):
            wrong = {problem.field for problem in problems if not problem.is_warning}
            beside = await self._check_beside(examined.obj, request)
            problems += [p for p in beside if not follows_from(p.field, wrong)]
        return Verdict(tuple(problems))

    def _is_to_be_examined(self, request: AdmissionRequest, raw: Mapping[str, Any]) -> bool:
        if request.operation not in _EXAMINED_OPERATIONS or request.sub_resource:
            return False
        metadata = raw.get("metadata")
        if isinstance(metadata, Mapping) and metadata.get("deletionTimestamp"):
            # Whatever is wrong with it, its finalizers have to go.
            return False
        if request.old_object is not None and not _differs(raw, request.old_object):
            return False
        return known_kind(raw) is not None and self._is_ours(raw)

    async def _examine(self, raw: dict[str, Any], *, in_thread: bool) -> Examined:
        """Check an object for itself."""
        types = _trigger_types(raw)
        if not in_thread and self._used_types.issuperset(types):
            return self._check(raw)
        # The first use of a type imports its driver, which takes long, too.
        examined = await self._check_in_thread(raw)
        if all(problem.reason is not ProblemReason.NOT_SUPPORTED for problem in examined.problems):
            self._used_types.update(types)
        return examined

    async def _check_in_thread(self, raw: dict[str, Any]) -> Examined:
        """Check in one of few threads; a review that is given up leaves its thread occupied."""
        await self._threads.acquire()
        checking = asyncio.get_running_loop().run_in_executor(None, self._check, raw)
        checking.add_done_callback(self._checked)
        return await asyncio.shield(checking)

    def _checked(self, checking: asyncio.Future[Examined]) -> None:
        self._threads.release()
        if not checking.cancelled():
            # Where nobody waits any more, nobody else would look at it.
            checking.exception()

    async def _check_beside(self, obj: ScaledObject, request: AdmissionRequest) -> list[Problem]:
        """Check an object against the others of its namespace."""
        namespace = request.namespace or obj.metadata.namespace
        unknown = self._cluster.unsynced()
        if unknown:
            what = f"not checked against others: {', '.join(unknown)} could not be listed yet"
            return [Problem(str(TARGET_FIELD), what, is_warning=True)]
        config, target = obj.hpa_config, target_of(obj)
        own_name = autoscaler_name(config.name if config else "", obj.metadata.name)
        group = obj.api_version.partition("/")[0]
        others = [
            claimant
            for claimant in self._cluster.claimants(namespace, target, own_name)
            if (claimant.group, claimant.name) != (group, obj.metadata.name)
        ]
        problems = [
            *check_claimants(obj, others),
            *check_autoscalers(obj, self._cluster.autoscalers(namespace, target)),
        ]
        if not request.dry_run and utilization_triggers(obj):
            problems += await self._check_requests(obj, namespace)
        return problems

    async def _check_requests(self, obj: ScaledObject, namespace: str) -> Sequence[Problem]:
        """Check that usage can be measured against requests, as far as the target is there."""
        target = target_of(obj)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                template = await self._cluster.template(namespace, target)
                if template is None or not list(check_requests(obj, template, frozenset())):
                    return ()
                defaults = await self._cluster.container_defaults(namespace)
        except NotFound as error:
            what = f"requests of cpu and memory could not be checked: {error}"
        except (KubeError, TimeoutError) as error:
            reason = str(error) or f"no answer within {LOOKUP_SECONDS:g} s"
            what = f"requests of cpu and memory could not be checked: {reason}"
        else:
            return list(check_requests(obj, template, defaults))
        return (Problem(str(TARGET_FIELD / "name"), what, is_warning=True),)


def _softened(problem: Problem) -> Problem:
    """Return a field nobody knows as a warning.

    It reached us because the definition in the cluster has it: that is newer than this service.
    """
    if problem.reason is ProblemReason.UNKNOWN and not problem.is_warning:
        return msgspec.structs.replace(problem, is_warning=True)
    return problem


def _differs(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether an update changes anything a rule looks at: not so with finalizers and the like."""
    try:
        return _substance(new) != _substance(old)
    except RecursionError:
        # Nested so deeply that even this fails: its check will say so.
        return True


def _substance(raw: Mapping[str, Any]) -> tuple[object, ...]:
    metadata = raw.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    texts = annotations if isinstance(annotations, Mapping) else {}
    return raw.get("spec"), {name: texts[name] for name in KNOWN if name in texts}


def _trigger_types(raw: Mapping[str, Any]) -> list[str]:
    spec = raw.get("spec")
    triggers = spec.get("triggers") if isinstance(spec, Mapping) else None
    if not isinstance(triggers, list):
        return []
    return [str(t.get("type")) for t in triggers if isinstance(t, Mapping)]
