"""When Python looks for garbage that refers to itself.

A full collection looks at every container there is: with a thousand objects to scale that takes
some 50 ms, in which nobody is answered, and by default it happens every few seconds of load. Almost
everything it looks at stays for good.
"""

from __future__ import annotations

import gc
from typing import Final

FULL_EVERY: Final = 100
"""Collections of the middle generation per full one; Python's default is 10."""


def settle() -> None:
    """Leave what start-up made out of every collection, and look at everything less often.

    For processes that serve until they are stopped, once everything is loaded and wired.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_EVERY)
