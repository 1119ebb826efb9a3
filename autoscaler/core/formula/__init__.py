"""The scaling-modifier language: a subset of expr-lang, KEDA's formula language.

A formula is parsed, type-checked and tried out once; evaluating it is then a call of nested
functions on the trigger values. It can depend on nothing else and its work is bounded, so the same
values always give the same result. ``docs/reference/formula.md`` describes the language.
"""

from __future__ import annotations

from autoscaler.core.formula.program import Formula, compile_formula

__all__ = ["Formula", "compile_formula"]
