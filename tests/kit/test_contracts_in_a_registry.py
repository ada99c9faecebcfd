"""The contracts of admission and of observers refuse what breaks them, in a whole registry."""

from dataclasses import dataclass
from types import ModuleType

import pytest

from registry.hooks import Denied, hookimpl
from registry.testing.contracts import AdmissionContract, ObserverContract
from registry.testing.events import EVENT_TYPES, event
from registry.testing.images import image, layer

pytestmark = pytest.mark.needs_tools  # they need none, but take long

SOURCE = "org.opencontainers.image.source"
WITH = image(layer({"a": b"1"}), labels={SOURCE: "https://example.com"})
WITHOUT = image(layer({"a": b"1"}))


def module(name, **functions):
    made = ModuleType(name)
    vars(made).update({hook: hookimpl(function) for hook, function in functions.items()})
    return made


@dataclass(frozen=True)
class Settings:
    label: str = "nothing"


def admit(push, context):
    if context.settings.label not in push.labels and push.manifest.is_image:
        raise Denied(f"an image has the label {context.settings.label}")


def careless(push):
    if not push.labels[SOURCE].startswith("https:"):
        raise Denied("https")


class TestAPluginWithSettingsKeepsTheContract(AdmissionContract):
    plugin = module("source", admit_manifest=admit, plugin_settings=lambda: Settings)
    settings = {"label": SOURCE}
    admitted = (WITH,)
    refused = {"has the label": WITHOUT}


class TestOneThatRefusesPullsKeepsTheContract(AdmissionContract):
    @staticmethod
    def admit_pull(pull):
        if SOURCE not in pull.labels:
            raise Denied("not without a source")

    plugin = module("pulls", admit_pull=admit_pull)
    admitted = (WITH,)
    refused = {"not without a source": WITHOUT}


class Careless(AdmissionContract):
    plugin = module("careless", admit_manifest=careless)
    admitted = (WITH,)
    refused = {"https": WITHOUT}


@pytest.mark.moorage(plugins=[Careless.plugin])
def test_a_hook_that_fails_is_told(moorage_client):
    with pytest.raises(AssertionError, match="failed instead of raising Denied"):
        Careless().test_anything_is_decided(moorage_client)
    with pytest.raises(AssertionError, match="failed instead of raising Denied"):
        Careless().test_what_is_refused_is_refused_for_the_reason(moorage_client)


@pytest.mark.moorage(plugins=[module("lax", admit_manifest=lambda: None)])
def test_what_is_admitted_and_should_not_is_told(moorage_client):
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        Careless().test_what_is_refused_is_refused_for_the_reason(moorage_client)


def of_the_config(push, reader):
    if push.manifest.is_image and b"amd64" not in reader.read(push.manifest.config.digest):
        raise Denied("amd64")


@pytest.mark.moorage(plugins=[module("config", admit_manifest=of_the_config)])
def test_a_hook_that_takes_a_config_for_granted_is_told(moorage_client):
    with pytest.raises(AssertionError, match="failed instead of raising Denied"):
        Careless().test_anything_is_decided(moorage_client)


@pytest.mark.moorage(plugins=[module("content", admit_manifest=of_the_config)], settings={"allow_sparse": True})
def test_a_hook_that_takes_content_for_granted_is_told(moorage_client):
    with pytest.raises(AssertionError, match="failed instead of raising Denied"):
        Careless().test_what_is_missing_is_decided(moorage_client)


def test_a_plugin_that_admits_nothing_is_told():
    contract = Careless()
    contract.plugin, contract.admitted = module("none", label_actions=lambda: ()), ()
    with pytest.raises(AssertionError, match="none of admit_manifest"):
        contract.test_it_admits()
    with pytest.raises(AssertionError, match="give manifests that are admitted"):
        contract.test_there_are_examples()


def count(event, context):
    if event.type == "org.moorage.tag.changed":
        seen = context.store.get("seen")
        context.store.put("seen", (seen.value if seen else 0) + 1)


class TestAnObserverKeepsTheContract(ObserverContract):
    plugin = module("counting", event_happened=count)

    def test_it_has_a_store(self, events, context):
        self._tell(events[0], context)
        self._tell(event("org.moorage.tag.changed"), context)
        assert context.store.get("seen").value == 1
        assert context.plugin == "counting"


BROKEN = [
    (lambda event: event.data["digest"].upper(), "raises"),
    (lambda event: "done", "returns nothing"),
]


@pytest.mark.parametrize(("hear", "reason"), BROKEN)
def test_an_observer_that_breaks_is_told(hear, reason):
    contract = ObserverContract()
    contract.plugin = module("broken", event_happened=hear)
    with pytest.raises((AssertionError, pytest.fail.Exception), match=reason):
        contract.test_every_event_is_taken([event("org.moorage.tag.changed")], None)


def test_an_observer_that_hears_nothing_is_told():
    contract = ObserverContract()
    contract.plugin = module("deaf", label_actions=lambda: ())
    with pytest.raises(AssertionError, match="and not event_happened"):
        contract.test_it_hears()


def tell(consumer, context):
    if consumer != "one":
        raise LookupError(consumer)


def test_each_consumer_of_an_observer_is_told():
    contract = ObserverContract()
    contract.plugin = module("several", event_happened=tell, event_consumers=lambda context: ["one", "two"])
    with pytest.raises(pytest.fail.Exception, match="about v1, for two: event_happened raises LookupError: two"):
        contract.test_every_event_is_taken([event("org.moorage.tag.changed")], None)
    contract.plugin = module("several", event_happened=tell, event_consumers=lambda context: iter(["one"]))
    contract.test_every_event_is_taken([event("org.moorage.tag.changed")], None)


def test_an_observer_without_a_consumer_is_told():
    contract = ObserverContract()
    contract.plugin = module("lonely", event_happened=tell, event_consumers=lambda context: [])
    with pytest.raises(pytest.fail.Exception, match="event_consumers names nobody: give settings with which it does"):
        contract.test_every_event_is_taken([event("org.moorage.tag.changed")], None)


def test_there_are_events_of_every_type():
    assert {"org.moorage.manifest.pushed", "org.moorage.tag.deleted"} <= set(EVENT_TYPES)
    assert "digest" in event("org.moorage.tag.changed").data
