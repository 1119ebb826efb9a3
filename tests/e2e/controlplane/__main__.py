"""``python -m tests.e2e.controlplane``: build what a control plane needs, once.

Ends with status 0 when everything is there or when there is no Go to build it with (the tests then
skip by name), and with 1 when a build failed. KEDA may be missing: few tests need it.
"""

from __future__ import annotations

import sys

from tests.e2e.controlplane.binaries import KEDA, PROGRAMS, BuildFailed, build, find
from tests.servers.process import ServerMissing


def main() -> int:
    """Build, then name the programs found."""
    try:
        build(say)
    except ServerMissing as missing:
        say(f"{missing}; tests that need it are skipped by name")
        return 0
    except BuildFailed as failure:
        say(str(failure))
        return 1
    for program in PROGRAMS:
        say(str(find(program)))
    try:
        build(say, [KEDA])
    except (ServerMissing, BuildFailed) as failure:
        say(f"{failure}\ntests beside a real KEDA are skipped by name")
    return 0


def say(line: str) -> None:
    """Print a line at once: a build takes minutes."""
    sys.stdout.write(f"controlplane: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
