"""Options, fixtures and reports shared by all tests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from autoscaler.telemetry.logging import CHATTY_LOGGERS

pytest_plugins = ["tests.servers.fixtures", "tests.e2e.fixtures"]

# How long one example takes says more about the machine than about the code; the timeout of the
# whole test is the bound.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

_TALLIES: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Give the main thread an event loop that is closed at the end.

    The virtual-time plugin asks for the current loop around plain tests too, which makes one on
    the spot and drops it unclosed: a warning, hence an error, in whichever test comes later.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    config.add_cleanup(loop.close)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the directory of vectors to replay."""
    parser.addoption("--vectors", default=None, help="replay the golden vectors below this folder")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Undo what a command did to the process's logging, which later tests look at."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if not structlog.is_configured():
        return
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def record_tally(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Collect what a golden test counted, for the closing summary."""
    counted: dict[str, Any] = {}
    yield counted
    request.node.user_properties.extend(
        ("tally", (name, t.passed, t.failed, dict(t.differing), dict(t.not_covered)))
        for name, t in counted.items()
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the counts of golden cases: passed, differing by rule, not yet covered."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for key, value in getattr(report, "user_properties", ())
        if key == "tally"
    ]
    if not rows:
        return
    terminalreporter.section("golden vectors")
    for name, passed, failed, differing, not_covered in sorted(rows):
        extra = "".join(f"; {n} differ: {rule}" for rule, n in sorted(differing.items()))
        extra += "".join(f"; {n} not covered: {why}" for why, n in sorted(not_covered.items()))
        terminalreporter.write_line(f"{name}: {passed} passed, {failed} failed{extra}")
    totals = [sum(column) for column in zip(*((r[1], r[2]) for r in rows), strict=True)]
    differing = sum(sum(r[3].values()) for r in rows)
    uncovered = sum(sum(r[4].values()) for r in rows)
    terminalreporter.write_line(
        f"all: {totals[0]} passed, {totals[1]} failed, {differing} differing by rule, "
        f"{uncovered} not yet covered"
    )
