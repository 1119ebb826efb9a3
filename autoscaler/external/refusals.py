"""Asks that make no sense, remembered: who is refused asks again, and reading YAML costs time."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from autoscaler.errors import ConfigError, shorten
from autoscaler.external.asks import Ask, Intent, intent_of

REMEMBERED: Final = 256
WHY_MAX: Final = 4_000
"""Characters of a remembered reason."""


class Refusals:
    """Reads asks, those that were refused lately only once."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def intent_of(self, ask: Ask) -> Intent:
        """Return the policy an ask names or carries.

        Raises:
            ConfigError: It does neither, or not in an accepted form.
        """
        key = _digest(ask)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            raise ConfigError(known)
        try:
            return intent_of(ask)
        except ConfigError as error:
            self._known[key] = shorten(str(error), WHY_MAX)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            raise


def _digest(ask: Ask) -> bytes:
    content = repr((ask.namespace, ask.name, sorted(ask.entries)))
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).digest()
