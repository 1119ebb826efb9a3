"""Where the programs of a control plane come from: given, cached, or built once with Go.

Looked for in this order: ``$KUBEBUILDER_ASSETS`` (the folder envtest uses; it usually holds etcd and
kube-apiserver only), then the cache, which :func:`build` fills. Each Go module below this folder
pins its programs with ``tool`` lines, and is a folder of its own in the cache named after a digest
of what goes into the build, so a changed pin is another folder and never a stale program.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tests.servers.process import ServerMissing

MODULES_FOLDER = Path(__file__).parent
ASSETS = "KUBEBUILDER_ASSETS"
CACHE = "FLYBALL_CACHE"
# Others may be working on the machine: a build takes minutes of every core it gets.
POLITELY = ("nice", "-n", "15")
PARALLEL = "2"
BUILD_SECONDS_MAX = 3600.0


class BuildFailed(Exception):
    """Go could not build a program; the message holds the end of its output."""


class Module(NamedTuple):
    """A Go module whose ``tool`` lines name programs.

    Attributes:
        name: Folder below this one.
        programs: Name of the program by its Go package.
        files: Folder in the first program's source by the name it gets beside the programs.
    """

    name: str
    programs: Mapping[str, str]
    files: Mapping[str, str] = MappingProxyType({})

    @property
    def folder(self) -> Path:
        """Where go.mod is."""
        return MODULES_FOLDER / self.name

    def version(self, required: str) -> str:
        """Return the version of a module that go.mod requires."""
        text = (self.folder / "go.mod").read_text()
        found = re.search(rf"^\s*{re.escape(required)} (v\S+)", text, re.MULTILINE)
        assert found, f"{self.folder}/go.mod does not require {required}"
        return found[1]


ETCD = Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"})
KUBERNETES = Module(
    "kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    },
)
KWOK = Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"})
KEDA = Module(
    "keda",
    {
        "keda-operator": "github.com/kedacore/keda/v2/cmd/operator",
        "keda-adapter": "github.com/kedacore/keda/v2/cmd/adapter",
    },
    {"definitions": "config/crd/bases"},
)
MODULES = (ETCD, KWOK, KUBERNETES)
"""What a control plane is made of. KEDA is apart: only the tests beside it need it."""
PROGRAMS = tuple(name for module in MODULES for name in module.programs)


def find(program: str) -> Path:
    """Return the path of a program.

    Raises:
        ServerMissing: It is neither given nor cached.
    """
    module = next(module for module in (*MODULES, KEDA) if program in module.programs)
    for folder in (_assets(), _cached(module)):
        path = folder / program if folder else None
        if path and os.access(path, os.X_OK):
            return path
    hint = f"`make e2e` builds it, or set {ASSETS}"
    if shutil.which("go") is None:
        hint = f"Go is not installed to build it, and {ASSETS} does not hold it"
    raise ServerMissing(f"{program} is not there: {hint}")


def find_files(module: Module, name: str) -> Path:
    """Return a folder with files that came with a module's programs.

    Raises:
        ServerMissing: The programs were not built here.
    """
    folder = _cached(module) / name
    if not folder.is_dir():
        raise ServerMissing(f"{name} of {module.name} are not there: `make e2e` brings them")
    return folder


def build(report: Callable[[str], None], modules: Sequence[Module] = MODULES) -> None:
    """Build whatever is neither given nor cached.

    Args:
        report: Takes one line per program built.
        modules: Whose programs.

    Raises:
        ServerMissing: Something has to be built and there is no Go.
        BuildFailed: Go said no.
    """
    for module in modules:
        for program, package in module.programs.items():
            try:
                find(program)
            except ServerMissing:
                if shutil.which("go") is None:
                    raise
                with _alone(_cached(module)):
                    _build(module, program, package, report)
        for name, source in module.files.items():
            with _alone(_cached(module)):
                _copy(module, name, source)


def _copy(module: Module, name: str, source: str) -> None:
    """Bring files of a module's source to its programs."""
    target = _cached(module) / name
    if target.exists():
        return
    if shutil.which("go") is None:
        raise ServerMissing(f"Go is not installed to bring {name} of {module.name}")
    required, _ = _requirement(module)
    ran = subprocess.run(
        ["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", required],
        cwd=module.folder,
        env={**os.environ, "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise BuildFailed(f"where is {required}? {ran.stderr[-1000:]}")
    half = target.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    for path in (Path(ran.stdout.strip()) / source).iterdir():
        # The module cache is read-only; what is copied can be removed again.
        (half / path.name).write_bytes(path.read_bytes())
    half.rename(target)


def _build(module: Module, program: str, package: str, report: Callable[[str], None]) -> None:
    folder = _cached(module)
    if (folder / program).exists():
        return
    report(f"building {program} ({_pinned(module)}) into {folder}")
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as half:
        # Only a complete program may carry the name that is looked for.
        target = Path(half) / program
        command = [*POLITELY, "go", "build", *_flags(module), "-o", str(target), package]
        ran = subprocess.run(
            command,
            cwd=module.folder,
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS_MAX,
            check=False,
        )
        if ran.returncode != 0:
            raise BuildFailed(f"{' '.join(command)} in {module.folder}:\n{ran.stdout[-3000:]}")
        target.rename(folder / program)
    report(f"built {program} in {time.monotonic() - started_at:.0f} s")


def _flags(module: Module) -> list[str]:
    link = "-s -w"
    if module is KUBERNETES:
        # Without it the server calls itself v0.0.0 and clients that compare versions stumble.
        version = module.version("k8s.io/kubernetes")
        major, minor, _ = version.removeprefix("v").split(".")
        prefix = "-X k8s.io/component-base/version"
        link += f" {prefix}.gitVersion={version} {prefix}.gitMajor={major}"
        link += f" {prefix}.gitMinor={minor}"
    return ["-p", PARALLEL, "-trimpath", "-mod=readonly", f"-ldflags={link}"]


def _pinned(module: Module) -> str:
    return " ".join(_requirement(module))


def _requirement(module: Module) -> tuple[str, str]:
    """Return the path and version of the Go module the first program is from."""
    package = next(iter(module.programs.values()))
    required = package.partition("/cmd/")[0]
    return required, module.version(required)


def _assets() -> Path | None:
    given = os.environ.get(ASSETS)
    return Path(given) if given else None


def _cached(module: Module) -> Path:
    root = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "flyball")
    digest = hashlib.sha256(" ".join(_flags(module)).encode())
    digest.update((module.folder / "go.mod").read_bytes())
    return root / "controlplane" / f"{module.name}-{digest.hexdigest()[:12]}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep two builds of the same programs from running side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
