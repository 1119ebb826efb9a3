"""The one rhythm of a run, and why durations in specs are what they are.

The HPA looks at each object once per sync period, give or take: after a sync it waits a period, but
its informer's resync can bring the next one forward, so two looks are a little more or a little
less than a period apart. A window or policy period of whole sync periods is therefore a toss-up for
the HPA itself. So that the comparison is about arithmetic and memory and not about luck, windows
and policy periods lie half a sync period between two looks.

We look when the HPA would, or (objects of ``flyball.dev``) whenever something changes. Whoever looks
at once also uses a scaling policy's allowance the moment it is free again, each time up to a period
earlier than the HPA, and after some steps is more than a period ahead. That is meant
(docs/reference/differences.md), so those are compared with windows and tolerances but without
policies that bite.
"""

from __future__ import annotations

SYNC_SECONDS = 6
"""``--horizontal-pod-autoscaler-sync-period``, and ours where we look when the HPA would."""
POLLING_SECONDS = 1
"""Our polling interval. The HPA reads when it looks, so ours may not be much older."""
DOWNSCALE_SECONDS = 15
"""Controller-wide down window on both sides."""
CHANGE_AFTER_SECONDS = 3.0
"""Metrics change this long after a look of the HPA. We look between 2 s before the HPA (or we would
not have polled what is new) and 3 s after it (or it would be news to the HPA)."""
START_AFTER_SECONDS = SYNC_SECONDS + 1.0
"""Our object appears this long after its HPA, which first looks one period after its own start. We
look at once, so a second after the HPA at first. It waits a period after each sync, we count from
look to look, so that it comes a few hundredths of a second later each time."""

BETWEEN_LOOKS = (3, 9, 15, 21)
"""Windows and policy periods."""
