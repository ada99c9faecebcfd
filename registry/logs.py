"""The log: people's lines on a terminal, JSON elsewhere; messages to stderr, a line a request to stdout.

What clients send is escaped and cut, so that no request can forge a line, and values named like secrets are masked.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from datetime import timedelta
from typing import Any, TextIO

import structlog
from gunicorn.glogging import Logger as BaseLogger

from registry.setting_values import MASK, hide_password, is_secret
from registry.settings import Settings

_LONGEST = 1024
_LONGEST_AGENT = 256
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_OR_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer)\s+[A-Za-z0-9+/=._~-]{4,}", re.IGNORECASE)
_MULTILINE = ("exception", "stack")
_STDOUT = 1

Event = MutableMapping[str, Any]


def is_human(settings: Settings, stream: TextIO | None = None) -> bool:
    """Tell whether the log is for people."""
    return settings.log_format == "human" or (settings.log_format == "auto" and (stream or sys.stderr).isatty())


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's messages to ``stream`` (stderr) in the form that is set."""
    stream = stream or sys.stderr
    human = is_human(settings, stream)
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human, key="time"),
        structlog.processors.format_exc_info,
        conceal,
        escape,
    ]
    last: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if human:
        last.append(structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time"))
    else:
        last += [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=before))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    _quieten(settings, human=human)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _quieten(settings: Settings, *, human: bool) -> None:
    """Keep libraries' own chatter out of the log unless it is asked for."""
    # It tells each signature it makes, and one in a URL opens a blob to whoever reads it.
    logging.getLogger("botocore.auth").setLevel(logging.WARNING)
    if settings.log_level == "debug":
        return
    for name in ("sqlalchemy", "alembic", "boto3", "botocore", "urllib3", "s3transfer", "flask_migrate"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its start-up lines repeat what `moorage serve` told in fewer words.
    logging.getLogger("gunicorn.error").setLevel(logging.WARNING if human else settings.log_level.upper())


def conceal(_logger: object, _method: str, event: Event) -> Event:
    """Mask values that are named like secrets, passwords in URLs, and what follows Basic or Bearer."""
    for name, value in event.items():
        if is_secret(name) or name.lower() == "authorization":
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = _AUTHORIZATION.sub(rf"\1 {MASK}", hide_password(value))
    return event


def escape(_logger: object, _method: str, event: Event) -> Event:
    """Escape control characters; line breaks stay where a traceback needs them."""
    for name, value in event.items():
        if isinstance(value, str):
            pattern = _CONTROL if name in _MULTILINE else _CONTROL_OR_BREAK
            event[name] = pattern.sub(_escaped, value)
    return event


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def access_fields(
    resp: Any,  # noqa: ANN401 - gunicorn's response, which has no public type
    req: Any,  # noqa: ANN401 - the same of its request
    environ: Mapping[str, Any],
    took: timedelta,
) -> dict[str, Any]:
    """Return what the access log tells of one request; bytes and milliseconds are numbers."""
    path = environ.get("RAW_URI", "-")
    received = getattr(req, "received", None)
    agent = environ.get("HTTP_USER_AGENT", "")
    return {
        "id": environ.get("moorage.request_id", ""),
        "method": environ.get("REQUEST_METHOD", "-"),
        "path": path[:_LONGEST] if "?" not in path else hide_password(path)[:_LONGEST],
        "status": int(resp.status.split(None, 1)[0]) if resp.status else 0,
        "bytes_in": int(environ.get("CONTENT_LENGTH") or 0) if received is None else received,
        "bytes_out": resp.sent or 0,
        "ms": round(took.total_seconds() * 1000, 2),
        "remote": environ.get("moorage.address") or environ.get("REMOTE_ADDR", ""),
        "actor": environ.get("moorage.actor", ""),
        "repository": environ.get("moorage.repository", ""),
        "agent": agent[:_LONGEST_AGENT],
    }


def json_line(fields: Mapping[str, Any]) -> bytes:
    """Return one line of JSON: flat, ASCII, with the time in seconds since 1970 (UTC)."""
    return (json.dumps({"time": round(time.time(), 3), "log": "access", **fields}) + "\n").encode("ascii")


def human_line(fields: Mapping[str, Any]) -> bytes:
    """Return one line for people."""
    size = f"in {fields['bytes_in']} out {fields['bytes_out']} bytes"
    parts = (
        time.strftime("%H:%M:%S"),
        str(fields["status"]),
        fields["method"],
        fields["path"],
        f"{fields['ms']:g} ms",
        size,
        fields["remote"],
        fields["actor"],
        fields["agent"],
    )
    line = " ".join(part for part in parts if part)
    return (_CONTROL_OR_BREAK.sub(_escaped, line) + "\n").encode(errors="backslashreplace")


class GunicornLogger(BaseLogger):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's messages by the one log, and its access log written in one call a request.

    The app may leave ``moorage.request_id``, ``moorage.address`` (that of the client behind proxies), ``moorage.actor``
    and ``moorage.repository`` in the environ.
    """

    line: Callable[[Mapping[str, Any]], bytes] | None = staticmethod(json_line)
    """Makes a line of the access log; None: there is none."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's configuration, as its own logger takes it
        """Take no handlers of gunicorn's: what it logs goes up to the root logger."""
        self.cfg = cfg
        for log in (self.error_log, self.access_log):
            log.handlers[:] = []
            log.propagate = True

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> None:  # noqa: ANN401 - gunicorn's own types
        """Write the line of one request to stdout; a log that cannot be written never fails a request."""
        if self.line is None:
            return
        try:
            os.write(_STDOUT, self.line(access_fields(resp, req, environ, request_time)))
        except OSError:
            return
        except Exception:
            logging.getLogger(__name__).exception("the access log could not be written")


def logger_class(settings: Settings) -> type[GunicornLogger]:
    """Return gunicorn's logger for these settings."""
    line: Callable[[Mapping[str, Any]], bytes] | None = None
    if settings.access_log:
        line = staticmethod(human_line if is_human(settings, sys.stdout) else json_line)
    return type("MoorageLogger", (GunicornLogger,), {"line": line})
