"""A real Prometheus."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, ClassVar

from typing_extensions import override

from tests.servers.process import Server, find_program


class PrometheusServer(Server):
    """``prometheus`` that scrapes the given ``host:port`` targets, once a second by default."""

    name: ClassVar[str] = "prometheus"

    def __init__(
        self,
        targets: Sequence[str] = (),
        *,
        port: int | None = None,
        scrape_interval_seconds: int = 1,
    ) -> None:
        super().__init__(port=port)
        self._interval_seconds = scrape_interval_seconds
        self.scrape(targets)

    @classmethod
    @override
    def check_available(cls) -> None:
        find_program("prometheus", package="prometheus")

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
