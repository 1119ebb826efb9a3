"""Fixtures of the suites that run on a real control plane, and when they run at all.

They are asked for with ``--e2e`` (``make e2e``) or by naming their folder; plain ``pytest`` leaves
them out. The cluster of ``$FLYBALL_E2E_KUBECONFIG``, or of ``$KUBECONFIG``, is used where it is
set, except by tests that restart its parts; else a control plane is started, and where its programs
are missing the tests are skipped and the program is named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.controlplane import CLEANING_CONTROLLERS, ControlPlane
from tests.servers.process import ServerMissing

E2E_FOLDER = Path(__file__).parent
KUBECONFIGS = ("FLYBALL_E2E_KUBECONFIG", "KUBECONFIG")


class Cluster(Protocol):
    """Where a kubeconfig can be had."""

    def kubeconfig(self) -> Path:
        """Return the kubeconfig of a user who may do everything."""
        ...


class GivenCluster:
    """The cluster the user named; nothing about it can be restarted or read but its API."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def kubeconfig(self) -> Path:
        """Return the user's kubeconfig."""
        return self._path


def given_cluster() -> GivenCluster | None:
    """Return the cluster the user named, if any."""
    for variable in KUBECONFIGS:
        if os.environ.get(variable):
            return GivenCluster(Path(os.environ[variable]))
    return None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that ask for a real control plane, and for how many faults of it."""
    parser.addoption("--e2e", action="store_true", help="run on a real control plane, too")
    parser.addoption(
        "--fault-seeds", type=int, default=1, help="episodes of each fault in tests/e2e/faults"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave tests/e2e out unless it was asked for."""
    if collection_path != E2E_FOLDER or config.getoption("--e2e"):
        return None
    named = [(config.invocation_params.dir / one.split("::")[0]).resolve() for one in config.args]
    return None if any(path.is_relative_to(E2E_FOLDER) for path in named) else True


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say whose cluster the tests run on, when it is not their own."""
    if not config.getoption("--e2e"):
        return None
    named = next((one for one in KUBECONFIGS if os.environ.get(one)), None)
    return f"e2e: on the cluster of ${named}" if named else "e2e: on a control plane of its own"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A complete control plane of our own, with ready nodes; one for all tests."""
    yield from own_plane(ControlPlane)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The cluster the user named, or our own."""
    given = given_cluster()
    if given is not None:
        return given
    own: ControlPlane = request.getfixturevalue("control_plane")
    return own


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[Cluster]:
    """An API server that only cleans up: what the embedded one stands in for.

    Never the cluster the user named: its controllers would change objects between two requests.
    """

    def bare() -> ControlPlane:
        return ControlPlane(controllers=CLEANING_CONTROLLERS, nodes=0)

    yield from _started(bare)


def own_plane(build: Callable[[], ControlPlane]) -> Iterator[ControlPlane]:
    """Start a control plane for a fixture; skips where the user named a cluster to use instead."""
    if given_cluster() is not None:
        pytest.skip(f"needs a control plane of its own; {' or '.join(KUBECONFIGS)} names another")
    yield from _started(build)


def quick_plane(sync_seconds: int, downscale_seconds: int) -> Iterator[ControlPlane]:
    """Start a control plane for a fixture whose HPA looks, and forgets, as often as told."""
    flags = (
        f"--horizontal-pod-autoscaler-sync-period={sync_seconds}s",
        f"--horizontal-pod-autoscaler-downscale-stabilization={downscale_seconds}s",
    )
    yield from own_plane(lambda: ControlPlane(controller_arguments=flags))


def _started(build: Callable[[], ControlPlane]) -> Iterator[ControlPlane]:
    try:
        plane = build()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with plane:
        yield plane
