"""The standard benchmark: every shipped trace, every baseline, one protocol."""
