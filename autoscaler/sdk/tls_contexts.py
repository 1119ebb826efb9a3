"""TLS contexts, built off the loop and kept."""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from typing import Final

from autoscaler.sdk.tls import TlsSettings

CONTEXT_LIMIT: Final = 256


class TlsContexts:
    """Builds each distinct TLS context once; the least recently used are dropped."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[TlsSettings, ssl.SSLContext] = OrderedDict()

    async def context(self, tls: TlsSettings) -> ssl.SSLContext | bool:
        """Return the context for a request; True stands for the client library's default.

        Raises:
            MetricRejected: A certificate or key cannot be read.
        """
        if tls == TlsSettings():
            return True
        known = self._contexts.get(tls)
        if known is None:
            # Loading certificates reads files, so it must not happen on the loop.
            known = await asyncio.to_thread(tls.context)
            self._contexts[tls] = known
            while len(self._contexts) > CONTEXT_LIMIT:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(tls)
        return known
