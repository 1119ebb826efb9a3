"""The webhook's HTTP side: bounded bodies, bounded concurrency, bounded time, and counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec
import structlog
from aiohttp import web

from autoscaler.api.parse import KINDS
from autoscaler.telemetry.metrics import Metrics
from autoscaler.web.admission_review import (
    AdmissionRequest,
    MalformedReview,
    decode_review,
    encode_answer,
)
from autoscaler.web.admission_rules import Verdict

PATH: Final = "/validate"
WAITING_MAX: Final = 4
"""Reviews waiting for each one under way; more are sent away at once."""
INLINE_BYTES: Final = 32 * 1024
OTHER: Final = "other"
OPERATIONS: Final = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})

log = structlog.get_logger(__name__)


class Reviewing(Protocol):
    """Who decides."""

    async def review(self, request: AdmissionRequest, *, is_large: bool = False) -> Verdict:
        """Return what is wrong with the object of a request."""
        ...


class AdmissionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what the webhook accepts.

    Attributes:
        body_bytes: Longest review; it holds the object twice on an update.
        concurrent: Reviews at the same time.
        timeout_seconds: For one review, waiting and reading its body included.
    """

    body_bytes: int = 2 * 1024 * 1024
    concurrent: int = 16
    timeout_seconds: float = 4.0


class Turnstile:
    """Lets so many through at a time, has some wait, and sends the others away."""

    def __init__(self, concurrent: int) -> None:
        self._free = asyncio.Semaphore(concurrent)
        self._inside_max = concurrent * (1 + WAITING_MAX)
        self._inside = 0

    @contextlib.asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Wait for a place; raises :class:`Busy` where even waiting is not possible."""
        if self._inside >= self._inside_max:
            raise Busy
        self._inside += 1
        try:
            async with self._free:
                yield
        finally:
            self._inside -= 1


class Busy(Exception):
    """More reviews at the same time than can be held."""


class Admission:
    """Handler of AdmissionReviews.

    An answer other than 200 leaves the decision to the webhook's ``failurePolicy``.
    """

    def __init__(
        self, reviewer: Reviewing, metrics: Metrics, *, limits: AdmissionLimits | None = None
    ) -> None:
        self._reviewer = reviewer
        self._metrics = metrics
        self._limits = limits or AdmissionLimits()
        self._turnstile = Turnstile(self._limits.concurrent)

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=self._limits.body_bytes)
        app.add_routes([web.post(PATH, self.validate), web.get("/healthz", self.healthz)])
        return app

    async def healthz(self, _: web.Request) -> web.Response:
        """Answer 200: somebody listens."""
        return web.Response(text="ok\n")

    async def validate(self, request: web.Request) -> web.Response:
        """Answer one AdmissionReview."""
        try:
            async with (
                asyncio.timeout(self._limits.timeout_seconds),
                self._turnstile.passing(),
            ):
                return await self._answer(request)
        except Busy:
            return self._not_reviewed("busy", 503, "too many reviews at the same time")
        except TimeoutError:
            limit = self._limits.timeout_seconds
            return self._not_reviewed("timeout", 503, f"not reviewed within {limit:g} s")
        except web.HTTPRequestEntityTooLarge:
            limit = self._limits.body_bytes
            return self._not_reviewed("too_large", 413, f"the review is longer than {limit} bytes")
        except MalformedReview as error:
            return self._not_reviewed("malformed", 400, str(error))

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        review = decode_review(body)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            verdict = await self._reviewer.review(review, is_large=len(body) > INLINE_BYTES)
        except Exception:
            # A defect of ours in reviewing one object; failurePolicy says what becomes of it.
            log.exception("review_failed", kind=review.kind.kind, namespace=review.namespace)
            self._count(review, "error")
            return web.Response(status=500, text="the review failed; see the log of the service\n")
        self._metrics.webhook_seconds.observe(loop.time() - began)
        self._count(review, _outcome(verdict))
        return web.Response(
            body=encode_answer(review, verdict.problems), content_type="application/json"
        )

    def _count(self, review: AdmissionRequest, outcome: str) -> None:
        kind = review.kind.kind if review.kind.kind in KINDS else OTHER
        action = review.operation.lower() if review.operation in OPERATIONS else OTHER
        self._metrics.webhook_validations.labels(kind, action, outcome).inc()

    def _not_reviewed(self, outcome: str, status: int, text: str) -> web.Response:
        log.warning("review_refused", reason=outcome, text=text)
        self._metrics.webhook_validations.labels(OTHER, OTHER, outcome).inc()
        return web.Response(status=status, text=f"{text}\n")


def _outcome(verdict: Verdict) -> str:
    if not verdict.was_examined:
        return "skipped"
    return "allowed" if verdict.is_allowed else "rejected"
