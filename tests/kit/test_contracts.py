"""The contracts refuse what breaks them, and say what they want."""

import json
from datetime import timedelta
from types import ModuleType

import pytest

from registry.hooks import (
    BlobReference,
    Descriptor,
    Digest,
    EmitEvent,
    ExpireTag,
    KeepLast,
    LabelAction,
    LabelValueRefused,
    Layer,
    ManifestInvalid,
    ParsedManifest,
    Pin,
    decode_object,
    hookimpl,
)
from registry.testing.content import DictContent
from registry.testing.contracts import FormatContract, LabelActionContract, StorageDriverContract
from registry.testing.contracts.pieces import MIB
from registry.testing.hooks import Implementations
from registry.testing.images import Blob, Manifest, to_json

pytest_plugins = ["pytester"]
NOTE = "application/vnd.example.note.v1+json"
PAGE = Blob(b"a page", "text/plain")
GOOD = Manifest(to_json({"text": "x", "page": PAGE.digest, "size": 6}), NOTE, blobs=(PAGE,))


def module(**functions):
    made = ModuleType("note")
    vars(made).update({name: hookimpl(function) for name, function in functions.items()})
    return made


def parse(media_type, payload):
    note = decode_object(payload)
    if not isinstance(note.get("text"), str):
        raise ManifestInvalid("a note needs a text", detail={"field": "text"})
    try:
        page = Descriptor("text/plain", Digest.parse(note["page"]), int(note["size"]))
    except (KeyError, TypeError, ValueError):
        raise ManifestInvalid("a note needs a page", detail={"field": "page"}) from None
    if page.size < 0:
        raise ManifestInvalid("a page has a size", detail={"field": "size"})
    blobs = (BlobReference(page),)
    return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload, blobs=blobs, document=note)


def note(**functions):
    return module(**{"manifest_media_types": lambda: [NOTE], "parse_manifest": parse, **functions})


class Notes(FormatContract):
    good = (GOOD,)
    bad = {"no text": Blob(b"{}", NOTE)}


class TestANoteKeepsTheContract(Notes):
    plugin = note()


def loose(media_type, payload):
    try:
        text = json.loads(payload)["text"]
    except (ValueError, RecursionError):
        raise ManifestInvalid("not JSON") from None
    return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload, document=text)


def plain(**changes):
    return lambda media_type, payload: ParsedManifest(
        **{"payload": payload, "media_type": media_type, "digest_bytes": payload, **changes}
    )


BROKEN_FORMATS = [
    ("it_names_its_media_types", {"manifest_media_types": lambda: NOTE}, "not one text"),
    ("it_names_its_media_types", {"manifest_media_types": lambda: ()}, "one media type at least"),
    ("it_names_its_media_types", {"manifest_media_types": lambda: ["note"]}, "is no media type"),
    ("it_names_its_media_types", {"manifest_media_types": lambda: [NOTE, NOTE]}, "twice"),
    ("there_are_examples", {"manifest_media_types": lambda: ["text/x"]}, "does not own"),
    ("a_good_manifest_is_parsed", {"parse_manifest": lambda: 1}, "not a ParsedManifest"),
    ("a_good_manifest_is_parsed", {"parse_manifest": plain(payload=b"")}, "very bytes"),
    ("a_good_manifest_is_parsed", {"parse_manifest": plain(media_type="text/x")}, "asked for"),
    ("a_good_manifest_is_parsed", {"parse_manifest": plain(document=1)}, "does not name"),
    ("what_is_parsed_is_made_of_values", {"parse_manifest": plain(blobs=["sha256:..."])}, "BlobReferences"),
    ("what_is_parsed_is_made_of_values", {"parse_manifest": plain(children=[{}])}, "no Descriptor"),
    ("what_is_parsed_is_made_of_values", {"parse_manifest": plain(annotations={"a": 1})}, "annotations are texts"),
    ("a_bad_manifest_is_refused_with_a_reason", {"parse_manifest": plain()}, "a manifest with no text is taken"),
    ("hostile_bytes_are_parsed_or_refused", {"parse_manifest": loose}, "null: raises TypeError"),
    ("what_was_parsed_passes_the_other_hooks", {"manifest_layers": lambda: "none"}, "returns a list"),
    ("what_was_parsed_passes_the_other_hooks", {"manifest_labels": lambda: {"a": 1}}, "manifest_labels are texts"),
    ("what_was_parsed_passes_the_other_hooks", {"needs_empty_layer": lambda: 1}, "returns a boolean"),
    ("what_was_parsed_passes_the_other_hooks", {"manifest_children": lambda: [1]}, "list of Descriptor"),
    ("what_was_parsed_passes_the_other_hooks", {"legacy_image_ids": lambda: ["a"]}, "those asked for"),
    ("what_was_parsed_passes_the_other_hooks", {"manifest_layers": lambda: 1 / 0}, "manifest_layers raises Zero"),
    ("what_was_parsed_passes_the_other_hooks", {"convert_manifest": lambda: b""}, "ParsedManifest or None"),
]


@pytest.mark.parametrize(("check", "functions", "reason"), BROKEN_FORMATS)
def test_a_broken_format_is_told_what_is_wrong(check, functions, reason):
    contract = Notes()
    contract.plugin = note(**functions)
    with pytest.raises((AssertionError, pytest.fail.Exception), match=reason):
        getattr(contract, f"test_{check}")(Implementations(contract.plugin))


def test_a_format_that_reads_without_looking_is_told():
    contract = Notes()
    contract.plugin = note(manifest_layers=lambda manifest, content: [Layer(None, len(content.read(digest(manifest))))])
    with pytest.raises(AssertionError, match="manifest_layers raises ContentMissing for content that cannot be read"):
        contract.test_content_may_be_missing_or_too_large(Implementations(contract.plugin), DictContent())


def digest(manifest):
    return manifest.blobs[0].descriptor.digest


def test_a_format_without_examples_is_told():
    contract = Notes()
    contract.plugin, contract.good = note(), ()
    with pytest.raises(AssertionError, match="give good manifests"):
        contract.test_there_are_examples(Implementations(contract.plugin))


KEY = "org.example.keep"


def keep(value):
    if not value.isascii() or not value.isdigit() or not 0 < len(value) < 5 or not int(value):
        raise LabelValueRefused("a number")
    return [KeepLast(int(value))]


def action(effects):
    return module(label_actions=lambda: [LabelAction(KEY, effects)])


class Keeping(LabelActionContract):
    understood = {(KEY, "1"): [KeepLast(1)]}
    refused = [(KEY, "none")]


class TestAnActionKeepsTheContract(Keeping):
    plugin = action(keep)


class TestAnActionThatUnderstandsAnyTextRefusesNone(LabelActionContract):
    plugin = action(lambda value: [Pin()])
    understood = {(KEY, "case 17"): [Pin()]}
    refused = ()


def test_an_action_that_refuses_wants_an_example_of_it():
    contract = Keeping()
    contract.refused = []
    with pytest.raises(pytest.fail.Exception, match="give labels whose values are refused"):
        contract.test_there_are_examples({KEY: LabelAction(KEY, keep)})


def refuse(reason):
    def effects(value):
        raise LabelValueRefused(reason)

    return effects


BROKEN_ACTIONS = [
    ("understood_values_have_their_effects", lambda value: [], "does"),
    ("other_values_are_refused_with_a_reason", lambda value: [], "is understood"),
    ("other_values_are_refused_with_a_reason", refuse(""), "say what values"),
    ("other_values_are_refused_with_a_reason", refuse("x" * 2000), "cut it"),
    ("any_text_is_understood_or_refused", lambda value: [KeepLast(int(value))], "raises ValueError"),
    ("any_text_is_understood_or_refused", lambda value: None, "returns a list"),
    ("any_text_is_understood_or_refused", lambda value: ["x"], "no Effect"),
    ("any_text_is_understood_or_refused", lambda value: [KeepLast(0)], "at least"),
    ("any_text_is_understood_or_refused", lambda value: [ExpireTag(timedelta())], "some time"),
    ("any_text_is_understood_or_refused", lambda value: [EmitEvent("Not A Name")], "lower-case"),
    ("any_text_is_understood_or_refused", lambda value: [EmitEvent("a", {"x": "y" * 70_000})], "64 KiB"),
]


@pytest.mark.parametrize(("check", "effects", "reason"), BROKEN_ACTIONS)
def test_a_broken_action_is_told_what_is_wrong(check, effects, reason):
    with pytest.raises((AssertionError, pytest.fail.Exception), match=reason):
        getattr(Keeping(), f"test_{check}")({KEY: LabelAction(KEY, effects)})


def test_two_actions_for_one_label_are_told():
    contract = Keeping()
    contract.plugin = module(label_actions=lambda: [LabelAction(KEY, keep), LabelAction(KEY, keep)])
    with pytest.raises(AssertionError, match="two actions"):
        Keeping.actions.__wrapped__(contract)


def test_a_driver_is_wanted():
    with pytest.raises(NotImplementedError, match="fixture driver"):
        StorageDriverContract.driver.__wrapped__(StorageDriverContract())
    assert StorageDriverContract.mib == MIB


def test_a_failed_check_ends_with_what_the_contract_wants(pytester):
    pytester.makepyfile(
        """
        from registry.hooks import hookimpl
        from registry.testing.contracts import LabelActionContract

        class Silent:
            @hookimpl
            def label_actions(self):
                return []

        class TestSilent(LabelActionContract):
            plugin = Silent()
        """
    )
    done = pytester.runpytest("-k", "it_names_its_labels", "-p", "no:randomly")
    done.assert_outcomes(failed=1, deselected=6)
    done.stdout.fnmatch_lines(
        ["*a label action acts on one label at least*", "*what the contract wants*", "*``label_actions`` returns*"]
    )
