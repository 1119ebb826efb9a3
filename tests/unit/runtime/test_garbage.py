"""Looking for garbage in a process that serves."""

from __future__ import annotations

import gc

from autoscaler.runtime import garbage


def test_start_up_is_left_out_and_full_looks_are_rare() -> None:
    """What was loaded is never looked at again, and young garbage still as often."""
    before = gc.get_threshold()
    try:
        garbage.settle()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == (*before[:2], garbage.FULL_EVERY)
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
