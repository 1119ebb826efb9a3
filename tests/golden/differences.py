"""Where we deliberately differ from KEDA: rules on inputs, each with its reason.

A replay function decides from a case's **inputs** whether a rule applies and returns
``Differs(rule)``; it still asserts what we do instead. Case names never appear here.
"""

from __future__ import annotations

RULES: dict[str, str] = {}
"""Reason by rule key."""
