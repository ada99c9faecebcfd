"""Clients of an S3 service, made from the options of the storage URL's scheme.

Who they are to the service is found by the SDK's own chain where no keys are given: variables, files, the role of a
machine or container, or a web identity. What it asks for that (the service of tokens, the machine) is its affair, and
so is renewing it in time.

A call that fails is tried again by the SDK's standard rules: four attempts at most, waits that grow by chance, and a
budget of all calls of a client together, so that a store that is down is not asked four times for each of them. After
:data:`DEADLINE` no further attempt is begun. Bodies that are sent carry the SHA-256 of their bytes in the signature.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from mypy_boto3_s3 import S3Client

OPTIONS = {
    "access_key_id",
    "addressing_style",
    "ca_bundle",
    "endpoint_url",
    "max_connections",
    "public_endpoint_url",
    "region",
    "secret_access_key",
    "session_token",
}
DEADLINE = 60.0
"""Seconds after which a call that failed is not tried again. The last attempt may take as long as its time-outs."""
_ATTEMPTS = 4
_CONNECT_SECONDS, _READ_SECONDS = 5, 60
_CONNECTIONS = 64
_UNTIL = "moorage_until"


class TooLate(Exception):
    """A call has failed for so long that it is not tried again."""


def make_client(options: Mapping[str, str], endpoint_url: str = "") -> S3Client:
    """Return a client of ``endpoint_url``, or of the options'; raises ValueError that says what to change."""
    endpoint_url = endpoint_url or options.get("endpoint_url", "")
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": _addressing(options, endpoint_url), "payload_signing_enabled": True},
        # What is not AWS often does not know the newer checksums; the signature guards the bytes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_connections(options),
        tcp_keepalive=True,
    )
    try:
        # A session of our own: boto3's default one is global, and not safe for threads.
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint_url or None,
            region_name=options.get("region") or None,
            aws_access_key_id=options.get("access_key_id") or None,
            aws_secret_access_key=options.get("secret_access_key") or None,
            aws_session_token=options.get("session_token") or None,
            verify=options.get("ca_bundle") or None,
            config=config,
        )
    except BotoCoreError as error:
        raise ValueError(f"S3 storage cannot be set up: {error}") from error
    client.meta.events.register_first("before-call.s3", _begin)
    client.meta.events.register_first("request-created.s3", _end)
    return client


def _begin(context: dict[str, Any], **_: object) -> None:
    """Note when a call is begun."""
    context[_UNTIL] = time.monotonic() + DEADLINE


def _end(request: AWSRequest, **_: object) -> None:
    """Keep an attempt from being begun too late; URLs that are only signed belong to no call."""
    until = request.context.get(_UNTIL)
    if until is not None and time.monotonic() > until:
        raise TooLate(f"it has failed for {DEADLINE:g} seconds")


def _addressing(options: Mapping[str, str], endpoint_url: str) -> Literal["auto", "path", "virtual"]:
    """Return where the bucket's name goes: into the path for services that are not AWS, unless told."""
    match options.get("addressing_style", ""):
        case "":
            return "path" if endpoint_url else "auto"
        case "auto" | "path" | "virtual" as style:
            return style
        case other:
            raise ValueError(f"addressing_style is auto, path or virtual, not {other}")


def _connections(options: Mapping[str, str]) -> int:
    """Return how many connections are kept; more are made where more are needed, and closed after their use."""
    text = options.get("max_connections") or str(_CONNECTIONS)
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ValueError(f"max_connections is a number of at least 1, not {text}")
    return int(text)
