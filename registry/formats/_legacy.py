"""Docker v1 images: the chain of ids, and the JSON that each id stands for.

Source: Docker's image-spec 1.0 and 1.1, and the ``v1Compatibility`` strings of "Image Manifest Version 2, Schema 1".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.digest import Digest
from registry.formats._fields import Object
from registry.formats._image_config import ImageConfig
from registry.formats._steps import Step
from registry.hooks.types import LegacyImage

MAX_STEPS = 1024
"""An image of more steps has no v1 images: no v1 client could run it, and each would be a row."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_NO_TIME = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Draft:
    """A v1 image before its id is settled.

    ``document`` lacks ``id`` and ``parent``; ``text`` is the JSON that came with the image, empty where it is
    ours to write.
    """

    wanted_id: str
    blob: Digest
    document: Object
    created: str = ""
    comment: str = ""
    command: str = ""
    text: str = ""


def settle(drafts: Sequence[Draft], taken: Mapping[str, Digest]) -> list[LegacyImage]:
    """Give each draft its id, base first; from the first id that stands for another blob on, all are rewritten."""
    images: list[LegacyImage] = []
    parent, rewriting = None, False
    for draft in drafts:
        image_id = draft.wanted_id
        rewriting = rewriting or _is_taken(image_id, draft.blob, taken)
        if rewriting:
            image_id = _rewrite(draft, parent, taken)
        text = draft.text if draft.text and not rewriting else dump(identified(draft.document, image_id, parent))
        images.append(LegacyImage(image_id, parent, draft.blob, draft.created, draft.comment, draft.command, text))
        parent = image_id
    return images


def _is_taken(image_id: str, blob: Digest, taken: Mapping[str, Digest]) -> bool:
    return taken.get(image_id, blob) != blob


def _rewrite(draft: Draft, parent: str | None, taken: Mapping[str, Digest]) -> str:
    """Return an id that depends on all below it; ``taken`` is finite, so that the search ends."""
    image_id = draft.wanted_id
    while True:
        image_id = _sha256(f"{image_id} {draft.blob} {parent or ''}")
        if not _is_taken(image_id, draft.blob, taken):
            return image_id


def step_ids(steps: Sequence[Step], config: Digest) -> list[str]:
    """Return an id for each step, base first: a running hash over history, position and blob.

    The last one also covers the config, because it is the image itself: two images may differ in nothing else.
    """
    running = hashlib.sha256()
    ids = []
    for position, step in enumerate(steps):
        running.update(f"{position}\n{step.blob}\n{dump(step.history.fields)}\n".encode())
        if position == len(steps) - 1:
            running.update(f"{config}\n".encode())
        ids.append(running.hexdigest())
    return ids


def step_drafts(steps: Sequence[Step], config: ImageConfig, config_digest: Digest) -> list[Draft]:
    """Return the v1 images that steps make, the last one with the image's configuration."""
    return [
        Draft(
            wanted_id=image_id,
            blob=step.blob,
            document=v1_document(step, config if step is steps[-1] else None),
            created=step.history.created,
            comment=step.history.comment,
            command=step.history.created_by,
        )
        for step, image_id in zip(steps, step_ids(steps, config_digest), strict=True)
    ]


def docker_ids(steps: Sequence[Step], config: bytes) -> list[str]:
    """Return the ids that Docker gives steps when it writes schema 1, base first."""
    ids: list[str] = []
    for position, step in enumerate(steps):
        parts = [step.blob.encoded, ids[-1] if ids else ""]
        if position == len(steps) - 1:
            parts.append(config.decode())
        ids.append(_sha256(" ".join(parts)))
    return ids


def v1_document(step: Step, config: ImageConfig | None) -> Object:
    """Return a step's v1 JSON without ids: with ``config`` the image's configuration, else the bare step."""
    if config is not None:
        document = {key: value for key, value in config.document.items() if key not in {"rootfs", "history"}}
        return document | {"throwaway": True} if step.layer is None else document
    history = step.history
    document = {
        "comment": history.comment,
        # A Go client refuses the whole manifest for a time that it cannot read.
        "created": history.created if _RFC3339.fullmatch(history.created) else _NO_TIME,
        "container_config": {"Cmd": [history.created_by]},
        "author": history.author,
        "throwaway": step.layer is None,
    }
    return {key: value for key, value in document.items() if value}


def identified(document: Object, image_id: str, parent: str | None) -> Object:
    """Return a v1 document with its ids, in place of any it had."""
    rest = {key: value for key, value in document.items() if key not in {"id", "parent"}}
    return {"id": image_id, **({"parent": parent} if parent else {}), **rest}


def dump(document: Object) -> str:
    """Encode JSON always in the same way: ids and digests depend on it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
