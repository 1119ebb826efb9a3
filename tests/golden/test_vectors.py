"""Every vector file found is replayed against the product."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from tests import golden
from tests.golden import differences
from tests.golden.replay import Tally, replay_file, vector_files

for module in pkgutil.iter_modules(golden.__path__):
    if module.name.startswith(("hpa_", "keda_")):
        importlib.import_module(f"tests.golden.{module.name}")

BUNDLED = Path(__file__).parents[1] / "data" / "vectors"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each vector file."""
    chosen = metafunc.config.getoption("--vectors")
    root = Path(chosen) if chosen else BUNDLED
    files = list(vector_files(root))
    metafunc.parametrize(
        "path", files, ids=[str(p.relative_to(root)).split(".json")[0] for p in files]
    )


@pytest.mark.timeout(300)
def test_decisions_equal_the_recorded_ones(
    path: Path, record_tally: dict[str, Tally], request: pytest.FixtureRequest
) -> None:
    """Each recorded case gives the recorded result, or falls under a committed difference."""
    tally, failures = replay_file(path)
    record_tally[request.node.callspec.id] = tally
    unknown = set(tally.differing) - set(differences.RULES)
    assert not unknown, f"differences without a committed rule: {sorted(unknown)}"
    assert not failures, f"{tally.failed} of {path.name} differ:\n" + "\n".join(failures)
