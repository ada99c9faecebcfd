"""Logs: nothing that a client sends forges a line, nothing secret is written, and the access line is cheap."""

import io
import json
import logging
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
import structlog

from registry import logs
from registry.settings import Settings


@pytest.fixture(autouse=True)
def kept():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def configured(**settings):
    stream = io.StringIO()
    logs.configure(Settings(**settings), stream)
    return stream


def fail(message):
    raise ValueError(message)


class Terminal(io.StringIO):
    def isatty(self):
        return True


ENVIRON = {
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/v2/a/manifests/latest",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_USER_AGENT": "docker/29",
    "HTTP_AUTHORIZATION": "Bearer hush",
    "moorage.request_id": "r1",
    "moorage.actor": "anonymous",
    "moorage.repository": "a",
}


def fields(took=timedelta(microseconds=1500), received=None, **environ):
    resp = SimpleNamespace(status="200 OK", sent=7)
    req = SimpleNamespace(received=received) if received is not None else SimpleNamespace()
    return logs.access_fields(resp, req, {**ENVIRON, **environ}, took)


def test_the_form_follows_the_setting_and_the_terminal():
    assert logs.is_human(Settings(), Terminal())
    assert not logs.is_human(Settings(), io.StringIO())
    assert logs.is_human(Settings(log_format="human"), io.StringIO())
    assert not logs.is_human(Settings(log_format="json"), Terminal())


def test_messages_of_both_kinds_of_loggers_are_json():
    stream = configured(log_format="json")
    logging.getLogger("registry.x").warning("lost %s", "it", extra={"repository": "a/b"})
    structlog.get_logger("registry.y").info("found", digest="sha256:1")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["message"], first["level"], first["logger"], first["repository"]) == (
        "lost it",
        "warning",
        "registry.x",
        "a/b",
    )
    assert (second["message"], second["digest"]) == ("found", "sha256:1")


def test_the_level_is_kept_and_libraries_are_quiet():
    stream = configured(log_format="json", log_level="info")
    logging.getLogger("registry.x").debug("no")
    logging.getLogger("sqlalchemy.engine").info("no")
    assert stream.getvalue() == ""


def test_secrets_are_masked():
    stream = configured(log_format="json")
    log = structlog.get_logger()
    log.error("cannot reach postgresql://u:hush@db/x", secret_access_key="hush", authorization="hush")
    log.error("header was 'Authorization: Basic aHVzaDpodXNo'")
    try:
        fail("s3://key:hush@bucket")
    except ValueError:
        log.exception("failed")
    assert "hush" not in stream.getvalue()
    assert "aHVzaDpodXNo" not in stream.getvalue()
    assert stream.getvalue().count(logs.MASK) >= 5


@pytest.mark.parametrize("form", ["human", "json"])
def test_control_characters_forge_no_line(form):
    stream = configured(log_format=form)
    logging.getLogger("x").warning("a\nWARNING forged \x1b[2J\x9b \u2028 %s", "b\rc")
    assert len(stream.getvalue().splitlines()) == 1
    assert not set(stream.getvalue()) & {"\x1b", "\x9b", "\r", "\u2028"}


def test_a_traceback_keeps_its_lines_and_loses_its_escapes():
    stream = configured(log_format="human")
    try:
        fail("\x1b[31m")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "ValueError: \\x1b[31m" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) > 3


def test_the_access_line_tells_who_did_what():
    line = json.loads(logs.json_line(fields()))
    assert line.pop("time") == pytest.approx(time.time(), abs=5)
    assert line == {
        "log": "access",
        "id": "r1",
        "method": "GET",
        "path": "/v2/a/manifests/latest",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 7,
        "ms": 1.5,
        "remote": "127.0.0.1",
        "actor": "anonymous",
        "repository": "a",
        "agent": "docker/29",
    }


def test_the_access_line_tells_the_client_that_a_proxy_told_of():
    assert fields(**{"moorage.address": "203.0.113.9"})["remote"] == "203.0.113.9"


def test_bytes_received_are_those_counted_else_those_announced():
    assert fields(CONTENT_LENGTH="12")["bytes_in"] == 12
    assert fields(CONTENT_LENGTH="12", received=3)["bytes_in"] == 3


@pytest.mark.parametrize("write", [logs.json_line, logs.human_line])
def test_an_access_line_is_one_short_line_without_secrets(write):
    line = write(fields(HTTP_USER_AGENT="x\r\n\x1b[2J\x85" + "y" * 9999, RAW_URI="/v2/?token=hush&n=1"))
    assert line.count(b"\n") == 1
    assert not set(line) & {0x1B, 0x0D, 0x85}
    assert len(line) < 1000
    assert b"hush" not in line
    assert b"n=1" in line


def logger(monkeypatch, written, **settings):
    monkeypatch.setattr(logs.os, "write", lambda _, data: written.append(data))
    made = logs.logger_class(Settings(**settings))
    return made.__new__(made)


def access(log):
    log.access(SimpleNamespace(status="404 Not Found", sent=0), SimpleNamespace(), ENVIRON, timedelta(0))


def test_a_line_is_one_write(monkeypatch):
    written = []
    access(logger(monkeypatch, written, log_format="json"))
    assert [json.loads(line)["status"] for line in written] == [404]


def test_the_access_log_can_be_switched_off(monkeypatch):
    written = []
    access(logger(monkeypatch, written, access_log=False))
    assert written == []


def test_a_full_disk_fails_no_request(monkeypatch):
    log = logger(monkeypatch, [])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.os, "write", full)
    access(log)


def test_gunicorns_messages_join_the_log(monkeypatch):
    stream = configured(log_format="json")
    log = logs.logger_class(Settings())(SimpleNamespace())
    log.warning("worker %s lost", 3)
    assert json.loads(stream.getvalue())["message"] == "worker 3 lost"
