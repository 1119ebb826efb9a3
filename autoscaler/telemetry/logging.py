"""Logs: one line per change, as JSON for machines or in colour for people, never with a secret.

Events are constant snake_case words, everything else is key and value. Libraries that log through
the standard library share the pipeline.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import Processor

LogFormat = Literal["auto", "json", "console"]

CHATTY_LOGGERS: Final = ("aiohttp", "aiokafka", "asyncio", "kubernetes", "urllib3")
"""Libraries that say too much at ``info``."""

LogLevel = Literal["debug", "info", "warning", "error"]

REDACTED: Final = "[redacted]"
VALUE_CHARACTERS: Final = 2048
DEPTH_MAX: Final = 6

_SECRET_NAME: Final = re.compile(
    r"(?:pass(?:word|wd|phrase)?|secret|token|authorization|api_?key|credentials?|private_?key"
    r"|access_?key|connection_?string|cookie)$",
    re.IGNORECASE,
)
_CONFIDENTIAL: Final = (
    r"(?:password|passwd|pwd|secret|token|api[_-]?key|(?:shared)?access[_-]?key|accountkey)"
)
_SECRET_TEXT: Final = (
    # user:password@ in URLs
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), REDACTED),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # key=value of connection strings and query strings
    (re.compile(rf"\b({_CONFIDENTIAL}\s*=\s*)[^\s&;,\"']+", re.IGNORECASE), rf"\1{REDACTED}"),
    # "key": "value" of JSON
    (
        re.compile(rf"({_CONFIDENTIAL}[\"']?\s*:\s*[\"'])[^\"']+", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
)
_OUR_FIELDS: Final = frozenset({"event", "level", "logger", "timestamp"})


def redact(value: Any, depth: int = 0) -> Any:
    """Return ``value`` with secrets replaced, long texts cut, and deep nesting flattened."""
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        if depth >= DEPTH_MAX:
            return "{…}"
        return {
            str(name): REDACTED if _is_secret(str(name), inner) else redact(inner, depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, (Sequence, set, frozenset)):
        return "[…]" if depth >= DEPTH_MAX else [redact(inner, depth + 1) for inner in value]
    return value


def redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Apply :func:`redact` to everything a log line carries (structlog processor)."""
    for name, value in event.items():
        if name in _OUR_FIELDS and not isinstance(value, str):
            continue
        event[name] = REDACTED if _is_secret(name, value) else redact(value)
    return event


def configure_logging(
    *,
    level: LogLevel = "info",
    format_: LogFormat = "auto",
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the process; called once by the command line.

    Args:
        level: Least level shown; chatty libraries start at ``warning`` in any case.
        format_: ``auto`` is ``console`` on a terminal and ``json`` otherwise.
        stream: Where to; None = standard error.
    """
    out = stream or sys.stderr
    is_console = format_ == "console" or (format_ == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks are rendered before redaction, because their text may quote a secret.
    finish: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact_event,
        structlog.dev.ConsoleRenderer(colors=out.isatty())
        if is_console
        else structlog.processors.JSONRenderer(),
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=finish)
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for chatty in CHATTY_LOGGERS:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, (str, bytes, bytearray)) and _SECRET_NAME.search(name) is not None


def _redact_text(text: str) -> str:
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"
