"""The suite of ``make image-check``; it installs packages, so plain ``pytest`` leaves it out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.image import Image, assembled

FOLDER = Path(__file__).parent
# The first test also assembles the image.
TEST_SECONDS = 600


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the suite out unless its folder was named."""
    named = [(config.invocation_params.dir / one.split("::")[0]).resolve() for one in config.args]
    return None if any(path.is_relative_to(FOLDER) for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests the time an installation takes."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The assembled image."""
    with assembled() as made:
        yield made
