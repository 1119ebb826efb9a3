"""Highest and lowest recommendation of a sliding window, over many lanes.

A window is cut into blocks of its own length. The window's maximum is that of the current block so
far and of the end of the block before, whose maxima from the back are computed once when a block is
full: four array operations per tick whatever the length (van Herk 1992; Gil and Werman 1993).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NONE: Final = -1.0
"""No recommendation; below every real one."""


class SlidingMaximum:
    """The highest of the last ``length`` pushed rows.

    Args:
        length: Rows in the window, >= 1.
        lanes: Elements of a row.
    """

    def __init__(self, length: int, lanes: int) -> None:
        self._rows = np.full((length, lanes), NONE)
        self._front = np.full(lanes, NONE)
        self._filled = 0
        self._result = np.full(lanes, NONE)

    def highest(self) -> Values:
        """Return the highest of the window, ``NONE`` without any; valid until the next push."""
        if self._filled == len(self._rows):
            np.copyto(self._result, self._front)
        else:
            np.maximum(self._front, self._rows[self._filled], out=self._result)
        return self._result

    def push(self, row: Values) -> None:
        """Add the newest row."""
        rows = self._rows
        if self._filled == len(rows):
            for index in range(len(rows) - 2, -1, -1):
                np.maximum(rows[index], rows[index + 1], out=rows[index])
            self._filled = 0
            self._front.fill(NONE)
        # Row `filled` of the block before has left the window for good.
        np.copyto(rows[self._filled], row)
        np.maximum(self._front, row, out=self._front)
        self._filled += 1
