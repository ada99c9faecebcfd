"""Every hook of Moorage. This file is the contract: a plugin can be written from it alone.

Conventions: arguments and returns are values from :mod:`registry.hooks`. For hooks called on "the owner",
the owner is the one plugin that lists the media type in :func:`manifest_media_types`. ``None`` means "not mine";
an empty sequence means "mine, and there are none". An implementation may leave out arguments it does not use.

A plugin is a module (or object) whose functions carry :data:`hookimpl`. ``MOORAGE_API = "1.3"`` in it says which
version of this contract it needs (without it: 1.0). Its distribution names it in
``pyproject.toml``::

    [project.entry-points.moorage]
    recipe = "moorage_recipe"
"""

# Long: the contract is one file, so that a plugin can be written from it alone.
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pluggy

from registry.digest import Digest
from registry.hooks.access import AuthorizationRequest, Denial, Identity, LoginCredentials
from registry.hooks.admission import ManifestPush, TagChange, TagPull
from registry.hooks.context import PluginContext, PluginJob, RepositoryReader
from registry.hooks.events import Event
from registry.hooks.ports import ContentReader, StorageFactory
from registry.hooks.types import (
    ConversionRequest,
    Descriptor,
    LabelAction,
    Layer,
    LegacyImage,
    ParsedManifest,
)

hookspec = pluggy.HookspecMarker("moorage")
hookimpl = pluggy.HookimplMarker("moorage")
"""Marks a function as an implementation of the hook of the same name."""


@hookspec
def manifest_media_types() -> Iterable[str] | None:
    """Name the manifest media types that this plugin owns.

    Collected from every plugin at start-up; two owners of one media type stop the start with both names.
    An owner must also implement :func:`parse_manifest`::

        from registry.hooks import ParsedManifest, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)
    """


@hookspec(firstresult=True)
def parse_manifest(media_type: str, payload: bytes) -> ParsedManifest | None:
    """Read a manifest's structure from its bytes. Called on the owner, at most 4 MiB of ``payload``.

    Pure: no content is at hand. Raises :class:`~registry.hooks.ManifestInvalid` with a reason for the client.
    What else it raises counts as its own failure, which is a 500: so each value is looked at before it is used.
    :func:`~registry.hooks.decode_object` decodes JSON as strictly as the built-in formats do, and ``Digest.parse``
    takes anything and refuses what is no digest in the same way::

        from registry.hooks import BlobReference, Descriptor, Digest, ManifestInvalid, ParsedManifest
        from registry.hooks import decode_object, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            note = decode_object(payload)
            if not isinstance(note.get("text"), str):
                raise ManifestInvalid("a note needs a text", detail={"field": "text"})
            if type(size := note.get("size")) is not int or size < 0:  # True is an int, too
                raise ManifestInvalid("a note needs the size of its page", detail={"field": "size"})
            digest = Digest.parse(note.get("page"))
            page = BlobReference(Descriptor("text/plain", digest, size))
            return ParsedManifest(
                payload=payload, media_type=media_type, digest_bytes=payload, blobs=[page], document=note
            )
    """


@hookspec(firstresult=True)
def validate_manifest(manifest: ParsedManifest, content: ContentReader) -> None:
    """Check what needs content, after all blobs and children are known to be there. Called on the owner.

    Content may still be missing where the repository allows sparse manifests. Raises
    :class:`~registry.hooks.ManifestInvalid` with a reason for the client::

        from registry.hooks import ManifestInvalid, ParsedManifest, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)

        @hookimpl
        def validate_manifest(manifest, content):
            if b"TOP SECRET" in manifest.payload:
                raise ManifestInvalid("a note must not be secret")
    """


@hookspec(firstresult=True)
def manifest_layers(manifest: ParsedManifest, content: ContentReader) -> Sequence[Layer] | None:
    """List the layers, base first. Called on the owner; None or nothing where the manifest has none.

    ::

        from registry.hooks import Layer, ParsedManifest, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)

        @hookimpl
        def manifest_layers(manifest, content):
            pages = [blob.descriptor for blob in manifest.blobs]
            return [Layer(page.digest, page.size, page.media_type) for page in pages]
    """


@hookspec(firstresult=True)
def manifest_children(manifest: ParsedManifest) -> Sequence[Descriptor] | None:
    """List the manifests that this one consists of; default: ``manifest.children``. Called on the owner.

    Each must be in the same repository, with the size its descriptor states, unless the repository allows
    sparse manifests. An entry that no installed format owns may also name a blob of the repository::

        from registry.hooks import Descriptor, Digest, ManifestInvalid, ParsedManifest
        from registry.hooks import decode_object, hookimpl

        BINDER = "application/vnd.example.binder.v1+json"
        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [BINDER]

        @hookimpl
        def parse_manifest(media_type, payload):
            notes = decode_object(payload).get("notes")
            if not isinstance(notes, list):
                raise ManifestInvalid("a binder has notes, a list", detail={"field": "notes"})
            return ParsedManifest(
                payload=payload, media_type=media_type, digest_bytes=payload, document=[read(note) for note in notes]
            )

        def read(note):
            if not isinstance(note, dict) or type(size := note.get("size")) is not int or size < 0:
                raise ManifestInvalid("a note has a digest and a size", detail={"field": "notes"})
            return Descriptor(NOTE, Digest.parse(note.get("digest")), size)

        @hookimpl
        def manifest_children(manifest):
            return manifest.document
    """


@hookspec(firstresult=True)
def manifest_labels(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str] | None:
    """Return the manifest's labels; default: its annotations. Called on the owner.

    Labels are stored with the manifest, and those that a :func:`label_actions` plugin knows take effect::

        from registry.hooks import ManifestInvalid, ParsedManifest, decode_object, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            note = decode_object(payload)
            if not isinstance(note.get("author"), str):
                raise ManifestInvalid("a note needs an author", detail={"field": "author"})
            return ParsedManifest(
                payload=payload, media_type=media_type, digest_bytes=payload, document=note
            )

        @hookimpl
        def manifest_labels(manifest, content):
            return {"org.example.author": manifest.document["author"]}
    """


@hookspec(firstresult=True)
def needs_empty_layer(manifest: ParsedManifest, content: ContentReader) -> bool | None:
    """Tell whether the image has steps without files, which Docker never uploads; default: no.

    Where it does, the registry itself provides Docker's 32-byte empty layer and links it to the manifest. Called
    on the owner::

        from registry.hooks import ParsedManifest, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)

        @hookimpl
        def needs_empty_layer(manifest, content):
            return b'"empty_layer":true' in manifest.payload
    """


@hookspec(firstresult=True)
def legacy_image_ids(manifest: ParsedManifest, content: ContentReader) -> Sequence[str] | None:
    """Return the Docker v1 image ids this manifest would like, base first; default: none. Called on the owner.

    The registry looks up which of them already stand for other content and passes those to
    :func:`legacy_images` as ``taken``::

        import hashlib

        from registry.hooks import ParsedManifest, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)

        @hookimpl
        def legacy_image_ids(manifest, content):
            return [hashlib.sha256(str(blob.descriptor.digest).encode()).hexdigest() for blob in manifest.blobs]
    """


@hookspec(firstresult=True)
def legacy_images(
    manifest: ParsedManifest, content: ContentReader, taken: Mapping[str, Digest]
) -> Sequence[LegacyImage] | None:
    """Return the Docker v1 images of this manifest, base first, parents before children. Called on the owner.

    ``taken`` maps ids that exist already to the blob each stands for: an id that stands for another blob must be
    rewritten, and with it all that follow. Ids must be deterministic::

        import hashlib

        from registry.hooks import LegacyImage, ParsedManifest, hookimpl

        NOTE = "application/vnd.example.note.v1+json"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)

        @hookimpl
        def legacy_image_ids(manifest, content):
            return [hashlib.sha256(str(blob.descriptor.digest).encode()).hexdigest() for blob in manifest.blobs]

        @hookimpl
        def legacy_images(manifest, content, taken):
            images, parent = [], None
            for image_id, blob in zip(legacy_image_ids(manifest, content), manifest.blobs):
                if taken.get(image_id, blob.descriptor.digest) != blob.descriptor.digest:
                    image_id = hashlib.sha256(image_id.encode() + manifest.payload).hexdigest()
                images.append(LegacyImage(image_id, parent, blob.descriptor.digest, "", "", "", "{}"))
                parent = image_id
            return images
    """


@hookspec(firstresult=True)
def convert_manifest(
    manifest: ParsedManifest, content: ContentReader, request: ConversionRequest
) -> ParsedManifest | None:
    """Return the manifest in the media type ``request.wanted``, or None: no such conversion. Called on the owner.

    Asked only where a client pulls a tag and accepts ``wanted`` but not the stored type. One step may lead
    through other formats: a list hands out its linux/amd64 child, whose own format is asked next::

        from registry.hooks import ManifestInvalid, ParsedManifest, decode_object, hookimpl

        NOTE = "application/vnd.example.note.v1+json"
        PLAIN = "text/plain"

        @hookimpl
        def manifest_media_types():
            return [NOTE]

        @hookimpl
        def parse_manifest(media_type, payload):
            note = decode_object(payload)
            if not isinstance(note.get("text"), str):
                raise ManifestInvalid("a note needs a text", detail={"field": "text"})
            return ParsedManifest(
                payload=payload, media_type=media_type, digest_bytes=payload, document=note
            )

        @hookimpl
        def convert_manifest(manifest, content, request):
            if request.wanted != PLAIN:
                return None
            text = manifest.document["text"].encode()
            return ParsedManifest(payload=text, media_type=PLAIN, digest_bytes=text)
    """


@hookspec
def label_actions() -> Iterable[LabelAction] | None:
    """Name the labels that make something happen, and what. Collected from every plugin at start-up.

    An action only says what should happen, as :class:`~registry.hooks.ExpireTag`,
    :class:`~registry.hooks.ProtectTag`, :class:`~registry.hooks.KeepLast`, :class:`~registry.hooks.Pin` and
    :class:`~registry.hooks.EmitEvent`; the registry does it, for every tag made for a manifest that carries the
    label, pushed or added later. So a plugin needs no database and is tested in one line. A value that means nothing
    is refused with a reason: the push goes on without the effect, and people read the reason beside the label. Two
    actions for one label stop the start with both names::

        from datetime import timedelta

        from registry.hooks import ExpireTag, LabelAction, LabelValueRefused, Pin, hookimpl

        def by_stage(value):
            stages = {"nightly": [ExpireTag(timedelta(days=1))], "golden": [Pin()], "normal": []}
            if value not in stages:
                raise LabelValueRefused(f"org.example.stage is one of: {', '.join(stages)}")
            return stages[value]

        @hookimpl
        def label_actions():
            return [LabelAction("org.example.stage", by_stage)]
    """


@hookspec
def storage_drivers() -> Mapping[str, StorageFactory] | None:
    """Offer storage drivers by URL scheme. Collected from every plugin at start-up.

    The registry uses the one whose scheme ``MOORAGE_STORAGE_URL`` starts with; two factories for one scheme stop
    the start with both names. What a driver must do is in :class:`~registry.hooks.StorageDriver`::

        from registry.hooks import hookimpl

        def open_tape(url, options):
            raise ValueError(f"no tape is in the drive of {url}")

        @hookimpl
        def storage_drivers():
            return {"tape": open_tape}
    """


@hookspec
def plugin_settings() -> type | None:
    """Declare this plugin's settings: a frozen dataclass whose fields all have defaults.

    They are read from the table ``[plugins.NAME]`` of the configuration file and from ``MOORAGE_PLUGIN_NAME_FIELD``
    (where NAME is the plugin's name), checked by ``moorage config check``, listed by ``moorage config show``, and
    handed over in the context. A field's ``metadata`` may hold ``about``, a line for that list. Fields are texts,
    numbers, booleans, :class:`~pathlib.Path`, tuples, mappings of texts, and dataclasses of these (whose fields need
    no default); a class refuses values with a :class:`ValueError` from ``__post_init__``. A name with ``secret``,
    ``password``, ``token`` or ``key`` in it is masked wherever settings are shown, unless the field's ``metadata`` says
    ``public``::

        from dataclasses import dataclass, field

        from registry.hooks import Denied, hookimpl

        @dataclass(frozen=True)
        class Settings:
            frozen: bool = field(default=False, metadata={"about": "refuse every push"})

        @hookimpl
        def plugin_settings():
            return Settings

        @hookimpl
        def admit_manifest(push, context):
            if context.settings.frozen:
                raise Denied("the registry takes no pushes today")
    """


@hookspec
def admission_hooks(context: PluginContext) -> Iterable[str] | None:
    """Name the hooks of admission that the plugin needs with its settings; default: all that it implements.

    Collected at start-up, so that a plugin which is installed and has nothing to decide costs nothing::

        from dataclasses import dataclass

        from registry.hooks import Denied, hookimpl

        @dataclass(frozen=True)
        class Settings:
            closed: tuple[str, ...] = ()

        @hookimpl
        def plugin_settings():
            return Settings

        @hookimpl
        def admission_hooks(context):
            return ["admit_manifest"] if context.settings and context.settings.closed else []

        @hookimpl
        def admit_manifest(push, context):
            if push.repository in context.settings.closed:
                raise Denied(f"{push.repository} takes no pushes")
    """


@hookspec
def admit_manifest(push: ManifestPush, reader: RepositoryReader, context: PluginContext) -> Iterable[str] | None:
    """Decide whether a manifest may be stored. Every plugin is asked; one refusal, or one failure, refuses the push.

    Raises :class:`~registry.hooks.Denied` with the reason, which clients show to people. Texts that are returned are
    warnings: the push goes on, and clients that can show them do. ``reader`` reads the push's repository::

        from registry.hooks import Denied, hookimpl

        @hookimpl
        def admit_manifest(push):
            if "org.opencontainers.image.source" not in push.labels and push.manifest.is_image:
                raise Denied("an image says where its source is: label org.opencontainers.image.source")
    """


@hookspec
def admit_tag_change(change: TagChange, reader: RepositoryReader, context: PluginContext) -> Iterable[str] | None:
    """Decide whether a tag may stand for a manifest: pushed, moved or restored. Asked and answered like a push.

    ::

        from registry.hooks import Denied, hookimpl

        @hookimpl
        def admit_tag_change(change):
            if change.tag == "latest":
                raise Denied("use the version as the tag: latest says nothing")
    """


@hookspec
def admit_pull(pull: TagPull, reader: RepositoryReader, context: PluginContext) -> None:
    """Decide whether a tag's manifest may be handed out. Asked for pulls by tag only: by digest all is handed out.

    Raises :class:`~registry.hooks.Denied` with the reason. The verdict is kept (a refusal for five seconds) for as
    long as the tag's digest, the labels stored with it, its referrers and the plugin's settings are the same, so it
    must follow from them alone.
    Tags that start with ``sha256-HEX`` of the digest count as referrers, too (the referrers tag schema)::

        from registry.hooks import Denied, hookimpl

        @hookimpl
        def admit_pull(pull, reader):
            if pull.tag.startswith("release-") and not reader.referrers(pull.digest, "application/spdx+json"):
                raise Denied(f"{pull.tag} has no bill of materials yet")
    """


@hookspec
def authenticate(credentials: LoginCredentials, context: PluginContext) -> Identity | None:
    """Tell who shows a name and a password that the registry itself does not know, or None: not mine, or not right.

    Asked for names that neither the database nor the htpasswd file knows, one plugin after the other until one answers,
    and for who got in by this plugin before; never for API keys and tokens. At the first login the user is made, and
    belongs to this plugin from then on: a name that somebody else has is never taken over. That a password was right is
    remembered for a minute, in memory; that it was wrong counts against the name and the address.

    Whatever is raised lets nobody in. It is told by its type and place alone, as its words could hold the password. The
    answer may take as long for names that there are as for those that there are not, or time tells who is there::

        import hashlib
        import hmac
        from dataclasses import dataclass

        from registry.hooks import Identity, hookimpl

        @dataclass(frozen=True)
        class Settings:
            salt: str = ""
            users: tuple[tuple[str, str], ...] = ()

        @hookimpl
        def plugin_settings():
            return Settings

        @hookimpl
        def authenticate(credentials, context):
            salt, known = context.settings.salt.encode(), dict(context.settings.users)
            shown = hashlib.scrypt(credentials.password.encode(), salt=salt, n=2**14, r=8, p=1).hex()
            right = hmac.compare_digest(known.get(credentials.name, "").encode(), shown.encode())
            return Identity(credentials.name) if right else None
    """


@hookspec
def authorize(requests: Sequence[AuthorizationRequest], context: PluginContext) -> Sequence[Denial | None] | None:
    """Refuse some of what the policy allows: one :class:`~registry.hooks.Denial` or None a request, in their order.

    Nothing can be granted here. It is asked each time something is decided, also when a token is given, with one
    request, and for lists once a page with as many as the page has; before any transaction, and not again in it. What
    it does not refuse to be pulled holds for half a second for the same client. So it is quick, reads no network, and
    has no effects: explanations ask as well. None in place of the list refuses nothing. What is raised, or no list of
    that length, refuses all requests, by the plugin's name. What the registry does by itself, as operator, job or
    plugin, is not asked about::

        from registry.hooks import Denial, hookimpl

        NIGHT = Denial("nobody deletes at night: it is done again after six (UTC)")

        @hookimpl
        def authorize(requests):
            return [NIGHT if one.action == "delete" and one.time.hour < 6 else None for one in requests]
    """


@hookspec
def event_happened(event: Event, consumer: str, context: PluginContext) -> None:
    """Hear of what happened, after its commit, in a worker: in order for one repository, and at least once.

    What is raised means "not yet": the event is told again later, then put aside as a dead letter, which
    ``moorage events dead`` lists. No request ever waits for it. :class:`~registry.hooks.NotYet` says so without being
    a failure of the plugin, and may say that the consumer takes nothing at all for the time being. ``consumer`` is
    empty, unless the plugin names some by :func:`event_consumers`::

        from registry.hooks import hookimpl

        @hookimpl
        def event_happened(event, context):
            if event.type == "org.moorage.tag.changed":
                context.log.info("%s:%s moved", event.repository, event.subject)
    """


@hookspec
def event_consumers(context: PluginContext) -> Iterable[str] | None:
    """Name consumers that hear events each by itself; without it the plugin as a whole is one.

    Asked every second, and given up after two (a fifth of the deadline of hooks): all stays as it was then.

    Each is told every event by :func:`event_happened`, has its own place in the log, retries and dead letters, and
    begins at the present; one that cannot take events now holds back no other. A name is 128 letters, digits, dots,
    dashes and underscores at most; one that is named no more is forgotten::

        from registry.hooks import hookimpl

        @hookimpl
        def event_consumers(context):
            return list(context.store.keys("receiver-"))

        @hookimpl
        def event_happened(event, consumer, context):
            receiver = context.store.get(consumer)
            context.log.info("%s is for %s", event.id, receiver.value["url"])
    """


@hookspec
def artifact_types(context: PluginContext) -> Iterable[str] | None:
    """Name the artifact types inside OCI manifests that this plugin owns. Collected at start-up, one owner each.

    An artifact's type is its ``artifactType``, or where there is none, its config's media type (OCI image-spec)::

        from registry.hooks import hookimpl

        @hookimpl
        def artifact_types():
            return ["application/vnd.example.model.v1"]
    """


@hookspec(firstresult=True)
def validate_artifact(manifest: ParsedManifest, content: ContentReader) -> None:
    """Check an artifact when it is pushed, on top of what its format's owner does. Called on the type's owner.

    Raises :class:`~registry.hooks.ManifestInvalid` with a reason for the client::

        from registry.hooks import ManifestInvalid, hookimpl

        @hookimpl
        def artifact_types():
            return ["application/vnd.example.model.v1"]

        @hookimpl
        def validate_artifact(manifest, content):
            if len(manifest.blobs) != 2:
                raise ManifestInvalid("a model is its config and one file of weights")
    """


@hookspec(firstresult=True)
def artifact_layers(manifest: ParsedManifest, content: ContentReader) -> Sequence[Layer] | None:
    """List an artifact's files as layers; default: what the format's owner says. Called on the type's owner.

    ::

        from registry.hooks import Layer, hookimpl

        @hookimpl
        def artifact_types():
            return ["application/vnd.example.model.v1"]

        @hookimpl
        def artifact_layers(manifest, content):
            files = [blob.descriptor for blob in manifest.blobs if blob.descriptor != manifest.config]
            return [Layer(file.digest, file.size, file.media_type, comment="weights") for file in files]
    """


@hookspec(firstresult=True)
def artifact_labels(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str] | None:
    """Return further labels of an artifact, on top of those its format's owner gives. Called on the type's owner.

    ::

        from registry.hooks import decode_object, hookimpl

        @hookimpl
        def artifact_types():
            return ["application/vnd.example.model.v1"]

        @hookimpl
        def artifact_labels(manifest, content):
            model = decode_object(content.read(manifest.config.digest))
            return {"org.example.model.name": str(model.get("name", ""))}
    """


@hookspec
def jobs(context: PluginContext) -> Iterable[PluginJob] | None:
    """Give the worker something to do by a schedule, or when somebody runs ``moorage job run PLUGIN.NAME``.

    A run that raises, or returns what is no JSON, has failed: ``moorage job runs`` tells why, and the next one is due
    as before. It may go on where one was stopped, so it does in steps what takes long::

        from datetime import timedelta

        from registry.hooks import PluginJob, hookimpl

        @hookimpl
        def jobs(context):
            def count(run):
                tags = {name: sum(1 for _ in context.reader(name).tags()) for name in context.repositories()}
                context.store.put("tags", tags)
                return {"repositories": len(tags)}

            return [PluginJob("count", "count the tags of every repository", count, every=timedelta(hours=1))]
    """


@hookspec
def cli_commands(open_context: Callable[[], PluginContext]) -> Iterable[object] | None:
    """Add commands of `click` to ``moorage``. ``open_context`` opens the registry: call it when a command runs.

    It works on the local data folder or the database that the settings name; each command takes ``--config``,
    ``--data``, ``--database-url`` and ``--storage-url`` for that, beside its own options. Two commands of one name, or
    one that is called as ours, stop the start with both names::

        import click

        from registry.hooks import hookimpl

        @hookimpl
        def cli_commands(open_context):
            @click.command("hello", help="Greet every repository.")
            def hello():
                for name in open_context().repositories():
                    click.echo(f"hello, {name}")

            return [hello]
    """


@hookspec
def blueprints(context: PluginContext) -> Iterable[object] | None:
    """Add pages and endpoints: blueprints of Flask, not under ``/v2``, ``/api``, ``/token``, ``/health`` or ``/login``.

    A path's first part is fixed, and two rules for one path stop the start with both plugins' names. What fails here
    is answered by a 500 (``application/problem+json``), and what is refused by ``flask.abort`` by a problem, too. A
    blueprint that acts on requests which are not its own (``before_app_request``, ``app_errorhandler``) is left out::

        from flask import Blueprint

        from registry.hooks import hookimpl

        @hookimpl
        def blueprints(context):
            pages = Blueprint("hello", __name__)

            @pages.get("/hello/<path:repository>")
            def hello(repository):
                return {"tags": [tag.name for tag in context.reader(repository).tags()]}

            return [pages]
    """
