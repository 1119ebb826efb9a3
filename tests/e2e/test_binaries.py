"""Where the programs of a control plane are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.controlplane.binaries import ASSETS, CACHE, ETCD, KEDA, KUBERNETES, KWOK, build, find
from tests.servers.process import ServerMissing


def program(folder: Path, name: str) -> Path:
    """Put an executable file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_given_assets_come_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the folder of envtest is used, whatever is cached."""
    given = program(tmp_path / "assets", "etcd")
    monkeypatch.setenv(ASSETS, str(given.parent))
    assert find("etcd") == given


def test_missing_program_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither given nor cached: the message names the program and what would bring it."""
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.delenv(ASSETS, raising=False)
    with pytest.raises(ServerMissing, match=rf"kwok is not there.*{ASSETS}"):
        find("kwok")


def test_without_go_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Go gets to know that, and what to give instead."""
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(ASSETS, raising=False)
    with pytest.raises(ServerMissing, match="Go is not installed"):
        build(pytest.fail)


def test_complete_assets_need_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all programs given nothing is built and the cache stays empty."""
    for module in (ETCD, KUBERNETES, KWOK):
        for name in module.programs:
            program(tmp_path / "assets", name)
    monkeypatch.setenv(ASSETS, str(tmp_path / "assets"))
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    build(pytest.fail)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("module", [ETCD, KWOK, KUBERNETES, KEDA], ids=lambda module: module.name)
def test_modules_pin_the_programs_as_tools(module: object) -> None:
    """Every program is a ``tool`` of its go.mod, so its version is recorded and checked."""
    text = (module.folder / "go.mod").read_text()  # type: ignore[attr-defined]
    for package in module.programs.values():  # type: ignore[attr-defined]
        assert package in text


def test_staging_modules_are_of_the_pinned_kubernetes() -> None:
    """All published parts of Kubernetes are replaced by the version that belongs to the server."""
    version = KUBERNETES.version("k8s.io/kubernetes").removeprefix("v1.")
    text = (KUBERNETES.folder / "go.mod").read_text()
    replaced = [line.split() for line in text.splitlines() if "=>" in line]
    assert len(replaced) > 25
    assert {words[3] for words in replaced} == {f"v0.{version}"}
