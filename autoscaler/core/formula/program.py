"""A compiled formula and how it is run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from autoscaler.core.formula import values
from autoscaler.core.formula.compiler import Compiler, Run
from autoscaler.core.formula.parser import parse
from autoscaler.core.formula.types import Kind
from autoscaler.core.formula.values import ValueProblem
from autoscaler.errors import FormulaError

TRIAL_VALUE: Final = -1.0
"""What every trigger is worth when a new formula is tried out, as KEDA does."""


class Formula:
    """A compiled formula; two formulas are equal when source and trigger names are.

    Attributes:
        source: As the user wrote it.
        names: Trigger names it may use.
        keeps_nil: Whether it contains ``??``: nil is then a result and no error.
    """

    __slots__ = ("_needs_frame", "_run", "keeps_nil", "names", "source")

    def __init__(
        self, source: str, names: tuple[str, ...], run: Run, *, needs_frame: bool, keeps_nil: bool
    ) -> None:
        self.source = source
        self.names = names
        self.keeps_nil = keeps_nil
        self._run = run
        self._needs_frame = needs_frame

    @override
    def __repr__(self) -> str:
        return f"Formula({self.source!r})"

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Formula):
            return NotImplemented
        return (self.source, self.names) == (other.source, other.names)

    @override
    def __hash__(self) -> int:
        return hash((self.source, self.names))

    def evaluate(self, trigger_values: Mapping[str, float | None]) -> float | None:
        """Return the formula's value; None only when it contains ``??`` and yields nil.

        Args:
            trigger_values: By trigger name, one for every name; None = the trigger failed (nil).

        Raises:
            FormulaError: There is no finite result, e.g. nil in arithmetic, an index outside a
                list, or a division by zero that reaches the result.
        """
        result = self.run(trigger_values)
        if result is None or math.isfinite(result):
            return result
        raise FormulaError(f"the formula gives {values.text_of(result)}, not a finite number")

    def run(self, trigger_values: Mapping[str, float | None]) -> float | None:
        """Return the value as :meth:`evaluate` does, infinities and NaN included."""
        frame: dict[str, Any] = dict(trigger_values) if self._needs_frame else trigger_values  # type: ignore[assignment]
        try:
            result = self._run(frame)
        except KeyError as error:
            raise FormulaError(f"no value for trigger “{error.args[0]}”") from None
        if type(result) is float or (result is None and self.keeps_nil):
            return result
        try:
            return values.to_float(result)
        except ValueProblem as problem:
            raise FormulaError(f"the formula gives no number: {problem}") from None


def compile_formula(source: str, names: Sequence[str]) -> Formula:
    """Parse, type-check and try out a formula.

    Args:
        source: The formula.
        names: Trigger names, each a number (or nil) at evaluation.

    Raises:
        FormulaError: With position and caret where a place in the source is to blame.
    """
    compiler = Compiler(source, names)
    part = compiler.compile(parse(source))
    if not part.type.may_be(Kind.INT, Kind.FLOAT, Kind.TEXT):
        message = f"the formula gives {part.type.kind.with_article}, not a number"
        raise FormulaError(message, position=0, source=source)
    formula = Formula(
        source,
        tuple(names),
        part.run,
        needs_frame=compiler.needs_frame,
        keeps_nil=compiler.keeps_nil,
    )
    formula.run(dict.fromkeys(formula.names, TRIAL_VALUE))
    return formula
