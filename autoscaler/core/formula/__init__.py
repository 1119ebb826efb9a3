"""The scaling-modifier language: a subset of expr-lang, KEDA's formula language."""
