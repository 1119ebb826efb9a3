"""Logs: form and redaction."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog

from autoscaler.telemetry.logging import REDACTED, configure_logging, redact


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines written, decoded."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_context() -> None:
    """Key and values come through, bound context included."""
    stream = io.StringIO()
    configure_logging(format_="json", stream=stream)
    structlog.contextvars.bind_contextvars(namespace="shop", name="web")
    structlog.get_logger("autoscaler.controller").info("scaled", before=0, after=5)
    (line,) = logged(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "scaled",
        "level": "info",
        "logger": "autoscaler.controller",
        "namespace": "shop",
        "name": "web",
        "before": 0,
        "after": 5,
    }


def test_libraries_share_the_pipeline() -> None:
    """A standard log record becomes the same kind of line, redacted too."""
    stream = io.StringIO()
    configure_logging(format_="json", stream=stream)
    logging.getLogger("some.library").warning("cannot reach %s", "redis://u:hunter2@db:6379")
    (line,) = logged(stream)
    assert line["event"] == f"cannot reach redis://{REDACTED}@db:6379"
    assert line["logger"] == "some.library"


def test_the_level_is_respected_and_chatty_libraries_are_quiet() -> None:
    """Below the level nothing is written; client libraries begin at warning."""
    stream = io.StringIO()
    configure_logging(level="debug", format_="json", stream=stream)
    structlog.get_logger("a").debug("detail")
    logging.getLogger("aiohttp.client").info("noise")
    configure_logging(level="warning", format_="json", stream=stream)
    structlog.get_logger("b").info("hidden")
    assert [line["event"] for line in logged(stream)] == ["detail"]


def test_a_file_gets_json_unless_told_otherwise() -> None:
    """What is no terminal gets lines for machines; people can ask for theirs."""
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger("a").info("scaled")
    assert logged(stream)[0]["event"] == "scaled"
    stream = io.StringIO()
    configure_logging(format_="console", stream=stream)
    structlog.get_logger("b").info("scaled", after=5)
    assert "scaled" in stream.getvalue()
    assert "after=5" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


def test_a_traceback_is_part_of_its_line_and_redacted() -> None:
    """Exceptions do not break the one-line form, and their texts hide secrets."""
    stream = io.StringIO()
    configure_logging(format_="json", stream=stream)
    try:
        int("password=hunter2")
    except ValueError:
        structlog.get_logger("a").exception("failed")
    (line,) = logged(stream)
    assert "ValueError" in line["exception"]
    assert "hunter2" not in line["exception"]


@pytest.mark.parametrize(
    "name",
    ["password", "sentinelPassword", "PASSWORD", "api_key", "apiKey", "token", "bearerToken",
     "Authorization", "client_secret", "connection_string", "connectionString", "private_key",
     "credentials", "awsSecretAccessKey", "cookie"],
)  # fmt: skip
def test_values_of_secret_names_are_hidden(name: str) -> None:
    """A field that is called like a secret never shows its value, at any depth."""
    assert redact({"auth": {name: "hunter2"}}) == {"auth": {name: REDACTED}}
    assert redact([{name: b"hunter2"}]) == [{name: REDACTED}]


@pytest.mark.parametrize("name", ["token_count", "secret_name", "passwords_seen", "key", "name"])
def test_harmless_names_are_shown(name: str) -> None:
    """Names that merely sound alike stay useful."""
    assert redact({name: "7"}) == {name: "7"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://user:hunter2@db:6379/0", f"redis://{REDACTED}@db:6379/0"),
        ("amqp://:hunter2@mq", f"amqp://{REDACTED}@mq"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {REDACTED}"),
        ("host=db password=hunter2 user=x", f"host=db password={REDACTED} user=x"),
        (
            "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=abc=;Entity=q",
            f"Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey={REDACTED};Entity=q",
        ),
        ("https://x/q?api_key=hunter2&b=1", f"https://x/q?api_key={REDACTED}&b=1"),
        ('{"token": "hunter2", "a": 1}', '{"token": "[redacted]", "a": 1}'),
        ('secret "shop/db" not found', 'secret "shop/db" not found'),
    ],
)
def test_secrets_inside_texts_are_hidden(text: str, expected: str) -> None:
    """URLs, headers, connection strings and JSON lose their secrets and keep the rest."""
    assert redact(text) == expected


def test_long_and_deep_values_are_cut() -> None:
    """One value cannot flood the log."""
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    assert len(str(redact(deep))) < 100
    assert len(redact("x" * 100_000)) == 2048
    assert redact(b"12345") == "<5 bytes>"
