"""The Dockerfile: what it starts, as whom, and that its steps can be followed."""

from __future__ import annotations

import re

import pytest

from tests.deploy.dockerfile import (
    Stage,
    files_copied,
    ignore_rules,
    is_in_context,
    read_dockerfile,
)
from tests.deploy.kustomize import PROJECT

STAGES = read_dockerfile((PROJECT / "Dockerfile").read_text())
BUILDER, FINAL = STAGES
IGNORE = ignore_rules((PROJECT / ".dockerignore").read_text())


def copied(stage: Stage) -> set[str]:
    """Return the files of the project that a stage copies."""
    sources = [source for text in stage.texts("COPY") for source in text.split()[:-1]]
    return {name for source in sources for name in files_copied(PROJECT, source, IGNORE)}


def test_two_stages_share_one_pinned_base() -> None:
    """Builder and image have the same interpreter, of a full version and a named distribution."""
    assert BUILDER.base == FINAL.base
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", FINAL.base)


def test_final_stage_runs_nothing_and_copies_one_folder() -> None:
    """The image is its base and what was assembled: no step leaves tools or caches behind."""
    assert FINAL.texts("RUN") == []
    assert FINAL.texts("COPY") == ["--from=builder /opt/flyball /opt/flyball"]


def test_starts_the_service_as_an_unprivileged_user() -> None:
    """``flyball run`` as a numeric user, which ``runAsNonRoot`` can check, writing no bytecode."""
    assert FINAL.command == ["flyball", "run"]
    assert FINAL.only("USER") == "65532:65532"
    assert FINAL.environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert FINAL.environment["PATH"].startswith("/opt/flyball/bin:")


def test_installs_only_what_is_pinned_by_hash() -> None:
    """Every installation names a file of the project in which each package has hashes."""
    script = (PROJECT / "deploy/image/assemble").read_text()
    installs = [line for line in script.splitlines() if line.strip().startswith("install --")]
    installs += [text for text in BUILDER.texts("RUN") if "pip install" in text]
    for line in installs:
        assert "--offline" in line or "--require-hashes -r requirements/" in line
        for name in re.findall(r"requirements/\S+", line):
            assert "--hash=sha256:" in (PROJECT / name).read_text()
    assert len(installs) == 3


def test_builder_gets_the_package_and_nothing_else() -> None:
    """All modules and data of the wheel reach the builder; tests, documents and caches do not."""
    names = copied(BUILDER)
    wheel = {
        path.relative_to(PROJECT).as_posix()
        for package in ("autoscaler", "scalers")
        for path in (PROJECT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wheel <= names
    others = {name for name in names - wheel if not name.startswith("requirements/")}
    assert others == {"LICENSE", "README.md", "pyproject.toml", "deploy/image/assemble"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pyproject.toml", True),
        ("autoscaler/core/decide.py", True),
        ("autoscaler/core/__pycache__/decide.cpython-311.pyc", False),
        ("tests/conftest.py", False),
        (".git/config", False),
        ("deploy/crds/flyball.dev_scaledjobs.yaml", False),
    ],
)
def test_context_holds_what_the_ignore_file_lets_through(path: str, expected: bool) -> None:
    """The rules are read as the builder reads them: the last one that applies decides."""
    assert is_in_context(path, IGNORE) is expected


def test_unknown_instruction_is_an_error() -> None:
    """A line nobody follows must not be taken for checked."""
    with pytest.raises(AssertionError, match="ONBUILD"):
        read_dockerfile("FROM a\nONBUILD RUN b\n")
