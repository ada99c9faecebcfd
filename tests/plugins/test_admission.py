"""The plugin of rules: what each rule finds, through a whole app, and the dry run."""

import json
import re
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner

import moorage_admission
from moorage_admission import Rule, Settings
from registry.errors import Denied
from registry.hooks import Digest, hookimpl
from registry.names import TagName
from registry.revisions import Condition
from registry.testing.images import (
    DOCKER,
    OCI,
    Blob,
    Manifest,
    artifact,
    image,
    index,
    layer,
    simple_image,
    simple_index,
    to_json,
)

SMALL = layer({"f": b"x"})
APP = simple_image("app")


class Configured:
    """The plugin with the settings of a test."""

    __name__ = "rules"

    def __init__(self, *rules):
        self.settings = Settings(rules)

    def given(self, context):
        return replace(context, settings=self.settings)

    @hookimpl
    def admission_hooks(self, context):
        return moorage_admission.admission_hooks(self.given(context))

    @hookimpl
    def admit_manifest(self, push, reader, context):
        return moorage_admission.admit_manifest(push, reader, self.given(context))

    @hookimpl
    def admit_tag_change(self, change, reader, context):
        return moorage_admission.admit_tag_change(change, reader, self.given(context))


@pytest.fixture
def start(with_plugins):
    """Give the function that makes an app with rules."""
    return lambda *rules: with_plugins(Configured(*rules))


def refused(reason):
    return pytest.raises(Denied, match=f"^refused by rules: {reason}$")


def move(direct, tag, manifest):
    digest = Digest.parse(manifest.digest)
    return direct.services.changes.move(direct.actor, direct.repository, TagName.parse(tag), digest, Condition())


def test_without_rules_nothing_is_asked(with_plugins):
    direct = with_plugins()
    assert "admission" in {plugin.name for plugin in direct.services.plugins}
    for hook in ("admit_manifest", "admit_tag_change", "admit_pull"):
        assert direct.services.admission.asked(hook) == []


def test_only_what_there_are_rules_for_is_asked(start):
    assert start(Rule(labels={"a": "*"})).services.admission.asked("admit_tag_change") == []
    assert start(Rule(tags=("v*",), labels={"a": "*"})).services.admission.asked("admit_manifest") == []


def test_media_types_are_those_allowed(start):
    direct = start(Rule(name="oci", media_types=("application/vnd.oci.*",)))
    direct.push(APP, "v1")
    direct.push(simple_index("app"), "v2")
    with refused(r"rule oci: the media type application/vnd.docker.distribution.manifest.v2\+json is not allowed here"):
        direct.push(simple_image("app", DOCKER), "v3")
    with refused("rule oci: the media type .*manifest.list.*"):
        direct.put(index(APP, flavour=DOCKER), "v3")


def test_artifacts_are_judged_where_a_rule_is_about_them(start):
    direct = start(Rule(subjects="artifacts", artifact_types=("application/vnd.example.good",)))
    direct.push(APP, "v1")
    direct.push(artifact("application/vnd.example.good"), "v2")
    with refused("the artifact type application/vnd.example.bad is not allowed here"):
        direct.push(artifact("application/vnd.example.bad"), "v3")


def test_rules_about_images_leave_signatures_alone(start):
    direct = start(Rule(labels={"team": "*"}))
    direct.push(artifact("application/vnd.example.signature", Blob(b"s")), "v1")
    with refused("the label team is missing"):
        direct.push(APP, "v2")


def test_required_labels_and_annotations_have_values_by_pattern(start):
    direct = start(
        Rule(name="who", labels={"team": "[a-z]*"}, annotations={"org.example.source": "https://git.example/*"})
    )
    good = image(SMALL, labels={"team": "red"}, annotations={"org.example.source": "https://git.example/app"})
    direct.push(good, "v1")
    bad = image(SMALL, labels={"team": "RED"}, annotations={"org.example.source": "https://evil.example/app"})
    with refused(
        r"rule who: the annotation org.example.source is 'https://evil.example/app', and not like 'https://git.*';"
        r" rule who: the label team is 'RED', and not like '\[a-z\]\*'"
    ):
        direct.push(bad, "v2")


@pytest.mark.parametrize("by", ["digest", "name"])
def test_base_images_are_those_allowed(start, by):
    digest, other = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    allowed = {"base_digests": (digest,)} if by == "digest" else {"base_names": ("docker.io/library/debian:*",)}
    direct = start(Rule(**allowed))

    def based(found, name=""):
        names = {"org.opencontainers.image.base.name": name} if name else {}
        return image(SMALL, annotations={"org.opencontainers.image.base.digest": found, **names})

    direct.push(based(digest, "docker.io/library/debian:12"), "v1")
    with refused("the base image .* is not allowed here"):
        direct.push(based(other, "docker.io/library/alpine:3"), "v2")
    with refused(r"it does not say which image it is based on \(.*base.digest or .*base.name\)"):
        direct.push(APP, "v3")


def test_limits_of_size_and_layers(start):
    direct = start(Rule(max_size=300, max_layers=2))
    direct.push(image(SMALL), "v1")
    with refused("it has 3 layers, and 2 are allowed"):
        direct.push(image(SMALL, layer({"g": b""}), layer({"h": b""})), "v2")
    with refused("its layers have [0-9]+ bytes, and 300 are allowed"):
        direct.push(image(layer({"g": b"x" * 400}, gzipped=False)), "v2")


def test_tags_are_named_as_they_may_be(start):
    direct = start(Rule(tag_names=("v[0-9]*", "edge")))
    direct.push(APP, "v1", "edge")
    with refused(r"a tag is named like v\[0-9\]\* or edge, not latest"):
        direct.push(APP, "latest")
    with refused(".*not latest"):
        move(direct, "latest", APP)
    assert direct.tags() == ["edge", "v1"]


def test_a_rule_for_tags_holds_for_moves_to_them_too(start):
    direct = start(Rule(tags=("release-*",), labels={"approved": "yes"}))
    direct.push(APP, "v1")
    for change in (lambda: direct.push(APP, "release-1"), lambda: move(direct, "release-1", APP)):
        with refused("the label approved is missing"):
            change()
    direct.services.labels.add(direct.actor, direct.repository, Digest.parse(APP.digest), "approved", "yes")
    move(direct, "release-1", APP)
    direct.push(APP, "release-2")


def test_a_rule_holds_for_its_repositories(start):
    direct = start(Rule(repositories=("other/*",), labels={"team": "*"}))
    direct.push(APP, "v1")
    direct.repository = type(direct.repository).parse("other/app")
    with refused("the label team is missing"):
        direct.push(APP, "v1")


def test_an_index_is_judged_by_each_of_its_images(start):
    direct = start(Rule(tags=("release-*",), labels={"team": "red"}))
    red, blue = image(SMALL, labels={"team": "red"}), image(SMALL, labels={"team": "blue"})
    direct.push(index(red), "release-1")
    nested = index(index(red), blue)
    direct.push(nested, "v1")
    with refused(f"{blue.digest}: the label team is 'blue', and not like 'red'"):
        move(direct, "release-2", nested)


def attested(image, **fields):
    """Return an index whose only entry calls itself an attestation."""
    marked = {"platform": {"os": "unknown", "architecture": "unknown"}, **fields}
    marked["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    return Blob(to_json({**index().body, "manifests": [image.descriptor(**marked)]}), OCI.index)


def test_an_image_that_calls_itself_an_attestation_is_judged_all_the_same(start):
    direct = start(Rule(tags=("release-*",), labels={"team": "red"}))
    direct.push(APP)
    with refused(f"{APP.digest}: the label team is missing"):
        direct.put(attested(APP, platform={"os": "linux", "architecture": "amd64"}), "release-1")


@pytest.mark.parametrize("subjects", ["images", "artifacts", "all"])
def test_an_index_that_offers_nothing_but_attestations_is_judged_itself(start, subjects):
    direct = start(Rule(tags=("release-*",), subjects=subjects, media_types=("none",), labels={"team": "red"}))
    direct.push(APP)
    whole = attested(APP)
    with refused(f"the media type {re.escape(OCI.index)} is not allowed here; the label team is missing"):
        direct.put(whole, "release-1")
    direct.put(whole, "v1")
    with refused(f".*{whole.digest}: the label team is missing"):
        direct.put(index(Manifest(whole.data, whole.media_type)), "release-1")


def test_an_index_with_an_image_that_is_not_here_cannot_be_judged(with_plugins):
    direct = with_plugins(Configured(Rule(labels={"team": "*"})), allow_sparse=True)
    with refused("sha256:.* of the index is not here, so nobody can tell what it is"):
        direct.put(simple_index("app"), "v1")


def test_a_rule_may_warn(start):
    direct = start(Rule(name="team", action="warn", labels={"team": "*"}), Rule(labels={"text": "*"}))
    assert direct.push(APP, "v1").warnings == ["rules: rule team: the label team is missing"]
    with refused("the label text is missing"):
        direct.push(image(SMALL), "v2")


@pytest.mark.parametrize(
    "wrong", [{"action": "forbid"}, {"subjects": "charts"}, {"max_size": -1}, {"max_layers": -1}], ids=str
)
def test_a_rule_that_cannot_be_meant_says_so(wrong):
    with pytest.raises(ValueError, match="rule 'odd'"):
        Rule(name="odd", **wrong)


@pytest.fixture
def check(with_plugins):
    """Run the dry run by rules over an app that has none."""
    direct = with_plugins()
    direct.push(APP, "v1", "latest")
    direct.push(simple_index("app"), "multi")

    def run(*arguments, rules=()):
        def opened():
            return replace(direct.services.contexts("admission"), settings=Settings(rules))

        main = click.Group(commands={one.name: one for one in moorage_admission.cli_commands(opened)})
        return CliRunner().invoke(main, ["admission", "check", *arguments], catch_exceptions=False)

    return run


def test_the_dry_run_tells_what_would_be_refused_or_warned_of(check):
    rules = (
        Rule(name="team", labels={"team": "*"}, action="warn"),
        Rule(name="names", tag_names=("v*", "multi"), action="deny"),
    )
    done = check(rules=rules)
    assert done.exit_code == 1
    assert f"warn  team/app@{APP.digest}  rule team: the label team is missing" in done.stdout.splitlines()
    assert "deny  team/app:latest  rule names: a tag is named like v* or multi, not latest" in done.stdout.splitlines()
    assert "findings" in done.stderr
    found = json.loads(check("--json", rules=rules).stdout)
    assert {"repository", "tag", "digest", "rule", "action", "text"} == set(found[0])
    assert len(found) == len(done.stdout.splitlines())


def test_the_dry_run_of_what_is_fine_finds_nothing(check):
    done = check(rules=(Rule(labels={"text": "app"}),))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "0 findings\n")
    assert check("--json").stdout == "[]\n"
    assert check("other/*", rules=(Rule(labels={"team": "*"}),)).exit_code == 0
    assert check("team/*", rules=(Rule(labels={"team": "*"}),)).exit_code == 1
