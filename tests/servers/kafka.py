"""A real Kafka broker in KRaft mode, fetched once from Maven Central."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from tests.servers.process import Server, ServerMissing, free_port

VERSION = "4.1.0"
JAVA_MAJOR_MIN = 17
FETCH_SECONDS = 240
USERNAME = "reader"
PASSWORD = "reader-password"
# A short-lived broker never earns back the optimising compiler's work.
JVM_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Xshare:auto")

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.flyball.tests</groupId>
  <artifactId>kafka-server</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def cache_folder() -> Path:
    """Return where downloaded programs live: ``FLYBALL_CACHE``, else ``~/.cache/flyball``."""
    chosen = os.environ.get("FLYBALL_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "flyball"


def find_java() -> str:
    """Return the path of a recent enough ``java``, or raise :class:`ServerMissing`."""
    java = shutil.which("java")
    if java is None:
        raise ServerMissing(f"java is not installed (Kafka needs Java {JAVA_MAJOR_MIN} or newer)")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    if found is None or int(found[1]) < JAVA_MAJOR_MIN:
        raise ServerMissing(f"java is too old (Kafka needs Java {JAVA_MAJOR_MIN} or newer)")
    return java


def fetch_jars() -> Path:
    """Return the folder with the broker's jars, downloading them when they are not cached."""
    home = cache_folder()
    jars = home / f"kafka-{VERSION}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerMissing(f"Kafka {VERSION} is not cached in {home} and mvn is not installed")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _download(maven, home, jars)
    return jars


def _download(maven: str, home: Path, jars: Path) -> None:
    pom, partial = home / f"kafka-{VERSION}.pom.xml", home / f"kafka-{VERSION}.partial"
    pom.write_text(_POM)
    shutil.rmtree(partial, ignore_errors=True)
    goal = ("dependency:copy-dependencies", f"-DoutputDirectory={partial}")
    command = [maven, "-B", "-q", "-f", str(pom), *goal, "-DincludeScope=runtime"]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerMissing(f"mvn did not fetch Kafka in {FETCH_SECONDS} s") from None
    if ran.returncode != 0 or not list(partial.glob("kafka_*.jar")):
        said = (ran.stdout + ran.stderr).strip()[-400:]
        raise ServerMissing(f"mvn could not fetch Kafka {VERSION}: {said}")
    partial.rename(jars)


class KafkaServer(Server):
    """One node, broker and controller in one; topics appear only when created.

    ``address`` takes anybody, ``login_address`` asks for ``USERNAME`` and ``PASSWORD`` (PLAIN, SCRAM)
    or any unsigned token (OAUTHBEARER).
    """

    name: ClassVar[str] = "kafka"
    start_seconds: ClassVar[float] = 60.0

    def __init__(self, *, port: int | None = None) -> None:
        super().__init__(port=port)
        self._controller_port = free_port()
        self.login_address = f"127.0.0.1:{free_port()}"

    @classmethod
    @override
    def check_available(cls) -> None:
        find_java()
        fetch_jars()

    def _java(self, *arguments: str) -> list[str]:
        return [find_java(), *JVM_OPTIONS, "-cp", f"{fetch_jars()}/*", *arguments]

    @override
    def command(self) -> list[str]:
        properties = self.folder / "server.properties"
        if not properties.exists():
            properties.write_text(self._properties())
            tool = ("kafka.tools.StorageTool", "format", "-t", "Rmx5YmFsbFRlc3RzMDAwMQ")
            users = [
                f"--add-scram={mechanism}=[name={USERNAME},password={PASSWORD}]"
                for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            ]
            subprocess.run(
                self._java(*tool, "-c", str(properties), *users), capture_output=True, check=True
            )
        return self._java("kafka.Kafka", str(properties))

    def _properties(self) -> str:
        controller = f"127.0.0.1:{self._controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": (
                f"PLAINTEXT://{self.address},LOGIN://{self.login_address},CONTROLLER://{controller}"
            ),
            "advertised.listeners": (f"PLAINTEXT://{self.address},LOGIN://{self.login_address}"),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            **_login_settings(),
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # Sessions of a killed broker end soon, so that its successor need not wait for them.
            "broker.session.timeout.ms": "1000",
            "broker.heartbeat.interval.ms": "200",
            "num.network.threads": "2",
            "num.io.threads": "2",
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    @override
    def answers(self) -> bool:
        # The port opens before the broker may lead partitions, so ask for metadata (version 1, no
        # topics) until the broker lists itself: length, correlation id, number of brokers.
        request = bytes.fromhex("0003000100000007ffff00000000")
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(len(request).to_bytes(4, "big") + request)
            reply = connection.recv(12)
        return int.from_bytes(reply[8:12], "big") > 0


def _login_settings() -> dict[str, str]:
    """Return what makes the LOGIN listener know one user, and take unsigned tokens."""
    security = "org.apache.kafka.common.security"
    login = "listener.name.login"
    modules = {
        "plain": f'{security}.plain.PlainLoginModule required user_{USERNAME}="{PASSWORD}"',
        "scram-sha-256": f"{security}.scram.ScramLoginModule required",
        "scram-sha-512": f"{security}.scram.ScramLoginModule required",
        "oauthbearer": f"{security}.oauthbearer.OAuthBearerLoginModule required"
        ' unsecuredLoginStringClaim_sub="broker"',
    }
    return {
        f"{login}.sasl.enabled.mechanisms": ",".join(name.upper() for name in modules),
        **{f"{login}.{name}.sasl.jaas.config": f"{text};" for name, text in modules.items()},
    }


if __name__ == "__main__":
    # Warms the cache ahead of a test run.
    try:
        KafkaServer.check_available()
    except ServerMissing as missing:
        sys.stderr.write(f"not available: {missing}; tests that need it are skipped by name\n")
