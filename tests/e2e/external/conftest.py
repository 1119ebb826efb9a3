"""The control plane of the tests with KEDA and our server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.controlplane import ControlPlane
from tests.e2e.external.cases import DOWNSCALE_SECONDS, SYNC_SECONDS
from tests.e2e.fixtures import quick_plane


@pytest.fixture(scope="package")
def cluster() -> Iterator[ControlPlane]:
    """A control plane whose HPA looks more often."""
    yield from quick_plane(SYNC_SECONDS, DOWNSCALE_SECONDS)
