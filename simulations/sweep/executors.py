"""Where the parts of a sweep run. The parts and their order are the same everywhere.

Every part is a pure function of its argument (seeds included), so results are equal bit for bit
wherever they were computed; only the time they take differs.
"""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from simulations.errors import SimulationError

Part = TypeVar("Part")
Result = TypeVar("Result")

CONNECT_SECONDS: Final = 10
NEEDS_DASK: Final = "a Dask cluster needs the extra dask: pip install 'flyball[dask]'"


class Executor(Protocol):
    """Runs a function over the parts of a sweep."""

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
        """Yield the results in the order of the parts, each as soon as all before it are there."""
        ...


class Serial:
    """Runs everything here, one part after the other."""

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
        """Yield the results in order."""
        yield from map(function, parts)


class Processes:
    """Runs parts on processes of this machine.

    Args:
        workers: Number of processes, >= 1.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
        """Yield the results in order; what is not needed any more is cancelled."""
        # A forked process would inherit locks that threads of the numerical libraries may hold.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self._workers, mp_context=context)
        try:
            yield from pool.map(function, parts)
        except BrokenProcessPool as error:
            raise SimulationError(
                "a worker process ended unexpectedly (out of memory?); try fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class DaskCluster:
    """Runs parts on a Dask cluster (extra ``dask``).

    Args:
        address: Of its scheduler, such as ``tcp://scheduler:8786``.

    Raises:
        SimulationError: ``distributed`` is not installed, or nothing answers at the address.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise SimulationError(NEEDS_DASK) from error
        try:
            # A client that finds nobody takes long to give up, and longer to go.
            socket.create_connection(_host_and_port(address), CONNECT_SECONDS).close()
            self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise SimulationError(
                f"no Dask scheduler answers at {address} (expected tcp://HOST:PORT): {error}",
                field="scheduler",
            ) from error

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
        """Yield the results in order."""
        # pure=False: the key must not come from hashing arrays, and nothing is to be cached.
        futures = self._client.map(function, parts, pure=False)
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Let go of the scheduler."""
        self._client.close()


def _host_and_port(address: str) -> tuple[str, int]:
    """Return where an address leads; without a scheme Dask takes it for one of TCP."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if not parts.hostname or not parts.port:
        raise ValueError("no host and port")
    return parts.hostname, parts.port


@contextmanager
def local_cluster(workers: int) -> Iterator[DaskCluster]:
    """Run parts on a Dask cluster that this machine has for so long.

    Args:
        workers: Processes, >= 1, of one thread each.

    Raises:
        SimulationError: ``distributed`` is not installed.
    """
    try:
        from distributed import LocalCluster
    except ImportError as error:
        raise SimulationError(NEEDS_DASK) from error
    # Without a dashboard there would still be its port, the same for every cluster.
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
    ) as cluster:
        executor = DaskCluster(cluster.scheduler_address)
        try:
            yield executor
        finally:
            executor.close()


def executor_of(*, workers: int, scheduler: str = "") -> Executor:
    """Return the executor that the command line asks for.

    Args:
        workers: Processes of this machine; 1 = none but this one.
        scheduler: Address of a Dask scheduler; wins over ``workers``.

    Raises:
        SimulationError: See :class:`DaskCluster`.
    """
    if scheduler:
        return DaskCluster(scheduler)
    return Processes(workers) if workers > 1 else Serial()
