"""Which policies are served: by key, by what is asked, and by the object of KEDA's that asks."""

from __future__ import annotations

from collections import defaultdict

from autoscaler.external.asks import Ask
from autoscaler.external.served import Served


class Register:
    """The served policies; every question of a call is answered without looking through them."""

    def __init__(self) -> None:
        self._by_key: dict[str, Served] = {}
        self._by_ask: dict[Ask, Served] = {}
        self._by_object: defaultdict[tuple[str, str], dict[str, Served]] = defaultdict(dict)
        self._useless: dict[str, Served] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def all(self) -> list[Served]:
        """Return every policy, the oldest first."""
        return list(self._by_key.values())

    def get(self, key: str) -> Served | None:
        """Return the policy of a key, None when it is not served any more."""
        return self._by_key.get(key)

    def asked(self, ask: Ask) -> Served | None:
        """Return the policy an ask is about, None when it was not asked before."""
        return self._by_ask.get(ask)

    def newest(self, namespace: str, name: str) -> Served | None:
        """Return the policy last asked for about an object of KEDA's, None when there is none."""
        asked = self._by_object.get((namespace, name), {})
        return max(asked.values(), key=lambda one: one.asked_at, default=None)

    def is_served(self, served: Served) -> bool:
        """Whether a policy is still the one of its key."""
        return self._by_key.get(served.key) is served

    def idle_useless(self) -> Served | None:
        """Return a policy that cannot work and that nobody waits for, None when there is none."""
        return next((one for one in self._useless.values() if not one.streams), None)

    def mark(self, served: Served, *, is_useless: bool) -> None:
        """Note whether a policy cannot work as it is."""
        if is_useless and self.is_served(served):
            self._useless[served.key] = served
        else:
            self._useless.pop(served.key, None)

    def add(self, served: Served) -> None:
        """Serve a policy from now on."""
        self._by_key[served.key] = self._by_ask[served.ask] = served
        self._by_object[served.ask.namespace, served.ask.name][served.key] = served

    def remove(self, served: Served) -> None:
        """Serve a policy no longer."""
        self._useless.pop(served.key, None)
        del self._by_key[served.key]
        del self._by_ask[served.ask]
        of_object = (served.ask.namespace, served.ask.name)
        del self._by_object[of_object][served.key]
        if not self._by_object[of_object]:
            del self._by_object[of_object]
