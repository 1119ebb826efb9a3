"""A real Prometheus."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, ClassVar

from typing_extensions import override

from tests.servers.process import Server, find_program

BACKFILL_SECONDS = 60.0
BLOCK_HOURS = 162
"""Longest block of a backfill, as Prometheus itself would compact to; promtool reads its input once
per block."""


class PrometheusServer(Server):
    """``prometheus`` that scrapes the given ``host:port`` targets, once a second by default."""

    name: ClassVar[str] = "prometheus"

    def __init__(
        self,
        targets: Sequence[str] = (),
        *,
        port: int | None = None,
        scrape_interval_seconds: int = 1,
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(port=port)
        self._arguments = list(arguments)
        self._interval_seconds = scrape_interval_seconds
        self.scrape(targets)

    @classmethod
    @override
    def check_available(cls) -> None:
        find_program("prometheus", package="prometheus")
        find_program("promtool", package="prometheus")

    @property
    def url(self) -> str:
        """Return ``http://host:port``."""
        return f"http://{self.address}"

    def scrape(self, targets: Sequence[str]) -> None:
        """Scrape these targets from now on; a running server notices within a second."""
        groups = [{"targets": list(targets)}] if targets else []
        fresh = self.folder / "targets.json.new"
        fresh.write_text(json.dumps(groups))
        fresh.rename(self.folder / "targets.json")

    def backfill(self, openmetrics: str) -> None:
        """Write samples of the past into the data folder, before the server starts (blocks).

        Args:
            openmetrics: Text with a timestamp in every line, ending in ``# EOF``.
        """
        assert not self.is_running, "backfill before the start"
        source = self.folder / "backfill.om"
        source.write_text(openmetrics)
        done = subprocess.run(
            [
                find_program("promtool", package="prometheus"),
                "tsdb",
                "create-blocks-from",
                f"--max-block-duration={BLOCK_HOURS}h",
                "openmetrics",
                "--quiet",
                str(source),
                str(self.folder / "data"),
            ],
            capture_output=True,
            text=True,
            timeout=BACKFILL_SECONDS,
            check=False,
        )
        source.unlink()
        if done.returncode:
            raise RuntimeError(f"promtool refused the samples: {done.stderr[-2000:]}")

    @override
    def command(self) -> list[str]:
        config = self.folder / "prometheus.yml"
        every = f"{self._interval_seconds}s"
        config.write_text(
            f"global: {{scrape_interval: {every}, scrape_timeout: {every}}}\n"
            "scrape_configs:\n"
            "- job_name: tests\n"
            "  file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]\n"
        )
        return [
            find_program("prometheus", package="prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            *self._arguments,
        ]

    @override
    def answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as response:
            return bool(response.status == 200)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result list of an instant query (blocks)."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=5) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
            return result
