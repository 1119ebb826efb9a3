"""The generated reference page is current."""

from __future__ import annotations

from pathlib import Path

from autoscaler.cli.scaler_reference import render
from autoscaler.plugins import ScalerRegistry

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "scalers.md"


def test_the_reference_page_is_current() -> None:
    """The committed page is what the scalers declare."""
    assert PAGE.read_text() == render(ScalerRegistry()), (
        "run: python -m autoscaler.cli.scaler_reference > docs/reference/scalers.md"
    )
