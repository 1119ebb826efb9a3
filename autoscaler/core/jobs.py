"""ScaledJob decisions: how many jobs to create, and which finished ones to delete."""

from __future__ import annotations
