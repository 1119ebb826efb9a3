"""The scaling-modifier language: a subset of expr-lang, KEDA's formula language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Formula:
    """A compiled formula.

    Attributes:
        source: As the user wrote it.
        names: Trigger names it may use.
    """

    source: str
    names: tuple[str, ...]

    def evaluate(self, values: Mapping[str, float | None]) -> float | None:
        """Return the formula's value; None only when it contains ``??`` and yields nil.

        Args:
            values: By trigger name; None = the trigger failed (nil).

        Raises:
            FormulaError: The evaluation failed, e.g. nil in arithmetic or an index out of range.
        """
        raise NotImplementedError


def compile_formula(source: str, names: Sequence[str]) -> Formula:
    """Parse, type-check and try out a formula.

    Args:
        source: The formula.
        names: Trigger names, each a number (or nil) at evaluation.

    Raises:
        FormulaError: With position and caret.
    """
    raise NotImplementedError


__all__ = ["Formula", "compile_formula"]
