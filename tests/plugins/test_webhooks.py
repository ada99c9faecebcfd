"""The plugin that tells other hosts, alone: subscriptions, signatures, deliveries and what is kept of them."""

import hashlib
import hmac
import json
from dataclasses import replace

import pytest

import moorage_webhooks
from moorage_webhooks import signing
from moorage_webhooks.envelope import cloud_event
from moorage_webhooks.journal import Journal
from moorage_webhooks.sending import Deliveries, UnknownDelivery
from moorage_webhooks.settings import Declared, Settings
from moorage_webhooks.subscriptions import NoSuchSubscription, Subscription, SubscriptionInvalid, Subscriptions
from registry.hooks import EgressRefused, NotYet
from tests.support.plugin_parts import made_event, memory_context, nobody_there

URL, KEY = "https://ci.example.org/hook", "0123456789abcdef"
TYPE = "org.moorage.tag.changed"


@pytest.fixture
def context():
    return memory_context("webhooks", Settings(attempts=3, deliveries_kept=5, dead_kept=2))


@pytest.fixture
def subscriptions(context):
    return Subscriptions(context)


@pytest.fixture
def subscribed(subscriptions):
    return subscriptions.add(Subscription("ci", URL, (KEY,)))


def log(context, name="ci"):
    return list(Journal(context).entries(name))


def dead(context, name="ci"):
    return list(Journal(context).dead(name))


# Subscriptions


def test_what_was_added_is_found_again(context, subscriptions):
    added = Subscription("ci", URL, (KEY,), ("org.moorage.tag.*",), ("team/*", "base"))
    kept = subscriptions.add(added)
    assert replace(kept, generation="") == added
    assert Subscriptions(context).all() == [kept]
    subscriptions.remove("ci")
    assert Subscriptions(context).all() == []
    with pytest.raises(NoSuchSubscription):
        subscriptions.get("ci")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "CI"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://example.org/" + "x" * 2048}, "url"),
        ({"types": ()}, "types"),
        ({"types": ("a b",)}, "types"),
        ({"types": ("*",) * 51}, "types"),
        ({"repositories": ("",)}, "repositories"),
        ({"keys": ("short",)}, "secret"),
        ({"keys": ("0123456789abcdef\n",)}, "secret"),
        ({"keys": ()}, "secret"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field(context, subscriptions, change, field):
    with pytest.raises(SubscriptionInvalid, match=f"^{field}: "):
        subscriptions.add(replace(Subscription("ci", URL, (KEY,)), **change))
    assert subscriptions.all() == []


def test_a_url_that_is_never_sent_to_is_refused_at_once(context, subscriptions):
    context.egress.answers[URL] = EgressRefused("10.0.0.1 is no public address")
    with pytest.raises(SubscriptionInvalid, match=r"^url: 10\.0\.0\.1 is no public address"):
        subscriptions.add(Subscription("ci", URL, (KEY,)))


def test_a_name_is_taken_once(subscriptions, subscribed):
    with pytest.raises(SubscriptionInvalid, match="ci is subscribed already"):
        subscriptions.add(replace(subscribed, url="https://other.example.org/"))
    assert subscriptions.get("ci") == subscribed


def test_there_is_an_end_to_subscriptions(monkeypatch, subscriptions, subscribed):
    monkeypatch.setattr("moorage_webhooks.subscriptions.MOST", 1)
    with pytest.raises(SubscriptionInvalid, match="there are 1 subscriptions already"):
        subscriptions.add(replace(subscribed, name="more"))


def test_declared_ones_are_there_and_are_changed_in_the_settings_alone():
    declared = Declared(name="audit", url=URL, secret=KEY, previous_secret="f" * 16, types=("org.moorage.*",))
    subscriptions = Subscriptions(memory_context("webhooks", Settings(subscriptions=(declared,))))
    assert subscriptions.get("audit").keys == (KEY, "f" * 16)
    for change in (subscriptions.remove, subscriptions.rotate):
        with pytest.raises(SubscriptionInvalid, match="audit is declared in the settings"):
            change("audit")
    with pytest.raises(SubscriptionInvalid, match="declared in the settings"):
        subscriptions.add(Subscription("audit", URL, (KEY,)))
    subscriptions.pause("audit", "by hand")
    assert subscriptions.get("audit").paused == "by hand"
    subscriptions.resume("audit")
    assert subscriptions.get("audit").paused == ""


def test_each_subscription_is_a_consumer_unless_the_settings_switch_it_off():
    declared = [Declared(name=name, url=URL, secret=KEY, enabled=name == "on") for name in ("on", "off")]
    context = memory_context("webhooks", Settings(subscriptions=tuple(declared)))
    added = Subscriptions(context).add(Subscription("ci", URL, (KEY,)))
    Subscriptions(context).pause("ci", "by hand")
    assert moorage_webhooks.event_consumers(context) == [added.consumer, "on"]


def test_a_consumer_is_told_by_its_name(context, subscribed):
    moorage_webhooks.event_happened(made_event(), subscribed.consumer, context)
    moorage_webhooks.event_happened(made_event(), "gone.0123abcd", context)
    assert [url for url, _, _ in context.egress.sent] == [URL]


def test_one_that_is_added_again_hears_nothing_that_was_kept_for_the_one_before(context, subscriptions, subscribed):
    subscriptions.remove("ci")
    again = subscriptions.add(subscribed)
    assert moorage_webhooks.event_consumers(context) == [again.consumer] != [subscribed.consumer]
    moorage_webhooks.event_happened(made_event(), subscribed.consumer, context)
    assert context.egress.sent == []
    moorage_webhooks.event_happened(made_event(), again.consumer, context)
    assert [url for url, _, _ in context.egress.sent] == [URL]


def test_a_change_of_the_secret_leaves_it_the_same_consumer(subscriptions, subscribed):
    subscriptions.rotate("ci")
    assert subscriptions.get("ci").consumer == subscribed.consumer


def test_one_that_was_stored_without_a_generation_is_a_consumer_of_its_name(context, subscribed):
    stored = context.store.get("subscription/ci").value
    del stored["generation"]
    context.store.put("subscription/ci", stored)
    assert moorage_webhooks.event_consumers(context) == ["ci"]
    moorage_webhooks.event_happened(made_event(), "ci", context)
    assert [url for url, _, _ in context.egress.sent] == [URL]
    Subscriptions(context).rotate("ci")
    assert moorage_webhooks.event_consumers(context) == ["ci"]


def test_consumers_are_named_with_one_read_for_each_that_is_stored():
    declared = Declared(name="on", url=URL, secret=KEY)
    context = memory_context("webhooks", Settings(subscriptions=(declared,)))
    Subscriptions(context).add(Subscription("ci", URL, (KEY,)))
    read, reads = context.store.get, []
    context.store.get = lambda key: (reads.append(key), read(key))[1]
    moorage_webhooks.event_consumers(context)
    assert reads == ["subscription/ci"]


def test_a_delivery_asks_once_what_time_it_is(context, subscribed):
    times = []

    def clock():
        times.append(context.clock())
        return times[-1]

    Deliveries(replace(context, clock=clock)).tell(subscribed, made_event())
    assert len(times) == 1


def test_a_paused_one_waits_with_what_it_is_subscribed_to(context, subscriptions, subscribed):
    subscriptions.pause("ci", "by hand")
    with pytest.raises(NotYet, match="ci is paused: by hand") as raised:
        moorage_webhooks.event_happened(made_event(), subscribed.consumer, context)
    assert raised.value.paused
    assert (context.egress.sent, log(context)) == ([], [])


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: Declared(name="audit", url=URL), "secret"),
        (lambda: Declared(name="audit", secret=KEY), "url"),
        (lambda: Settings(subscriptions=(Declared(name="a", url=URL, secret=KEY),) * 2), "one name"),
        (lambda: Settings(timeout_seconds=0), "timeout_seconds"),
        (lambda: Settings(timeout_seconds=31), "timeout_seconds"),
        (lambda: Settings(attempts=0), "attempts"),
        (lambda: Settings(attempts=16), "attempts"),
        (lambda: Settings(deliveries_kept=0), "deliveries_kept"),
        (lambda: Settings(dead_kept=0), "dead_kept"),
    ],
)
def test_settings_that_cannot_be_are_refused(made, reason):
    with pytest.raises(ValueError, match=reason):
        made()


def test_secrets_are_in_no_text_that_is_shown(subscribed):
    assert KEY not in repr(subscribed)
    assert KEY not in json.dumps(subscribed.shown())


def test_a_new_secret_signs_beside_the_old_one_until_that_is_done_with(subscriptions, subscribed):
    new = subscriptions.rotate("ci")
    assert subscriptions.get("ci").keys == (new, KEY)
    newer = subscriptions.rotate("ci")
    assert subscriptions.get("ci").keys == (newer, new)
    assert subscriptions.rotate("ci", finish=True) == ""
    assert subscriptions.get("ci").keys == (newer,)


def test_two_that_change_a_secret_at_once_both_see_theirs_kept(context, subscriptions, subscribed):
    other, read = [], context.store.get

    def interrupted(key):
        found = read(key)
        if key == "subscription/ci" and not other:
            other.append("")
            other[0] = Subscriptions(context).rotate("ci")
        return found

    context.store.get = interrupted
    new = subscriptions.rotate("ci")
    assert subscriptions.get("ci").keys == (new, *other)


@pytest.mark.parametrize(
    ("types", "repositories", "kind", "repository", "wanted"),
    [
        (("*",), ("*",), TYPE, "team/app", True),
        (("*",), ("*",), TYPE, "", True),
        (("org.moorage.tag.*",), ("*",), TYPE, "a", True),
        (("org.moorage.tag.*",), ("*",), "org.moorage.manifest.pushed", "a", False),
        (("*",), ("team/*",), TYPE, "team/app", True),
        (("*",), ("team/*",), TYPE, "other/team/app", False),
        (("*",), ("Team/*",), TYPE, "team/app", False),
        (("x", TYPE), ("a", "b"), TYPE, "b", True),
    ],
)
def test_globs_choose_events(types, repositories, kind, repository, wanted):
    subscription = Subscription("ci", URL, (KEY,), types, repositories)
    assert subscription.wants(made_event(kind=kind, repository=repository)) is wanted


# Deliveries


def test_a_delivery_is_a_signed_cloud_event(context, subscribed):
    event = made_event()
    Deliveries(context).tell(subscribed, event)
    [(url, body, headers)] = context.egress.sent
    assert url == URL
    assert json.loads(body) == {
        "specversion": "1.0",
        "id": event.id,
        "source": "/api/v1/repositories/team/app",
        "type": TYPE,
        "subject": "latest",
        "time": "2026-01-02T03:04:05.678Z",
        "repository": "team/app",
        "actor": "alice",
        "sequence": "0000000000000001",
        "datacontenttype": "application/json",
        "data": {"digest": "sha256:x"},
    }
    timestamp = int(context.clock().timestamp())
    text = f"moorage-webhook-v1\n{timestamp}\n{event.id}\n{len(body)}\n{hashlib.sha256(body).hexdigest()}"
    signature = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert headers == {
        "Content-Type": "application/cloudevents+json",
        "Moorage-Event-Id": event.id,
        "Moorage-Signature": f"t={timestamp},v1={signature}",
    }


def test_attributes_that_are_empty_are_left_out():
    envelope = json.loads(cloud_event(replace(made_event(), repository="", subject="", actor="")))
    assert not {"repository", "subject", "actor"} & set(envelope)


def test_an_event_that_is_not_wanted_is_not_sent(context, subscribed):
    Deliveries(context).tell(replace(subscribed, types=("other.*",)), made_event())
    assert (context.egress.sent, log(context)) == ([], [])


def test_the_log_tells_of_each_attempt(context, subscribed):
    deliveries, event = Deliveries(context), made_event()
    for answer, reason in ((500, "the receiver answered 500"), (nobody_there(), "Connection refused")):
        context.egress.answers[URL] = answer
        with pytest.raises(NotYet, match=reason):
            deliveries.tell(subscribed, event)
        context.clock.move(seconds=1)
    context.egress.answers[URL] = 200
    deliveries.tell(subscribed, event)
    told = [(one["attempt"], one["state"], one["status"], one["error"]) for one in log(context)]
    assert told == [
        (3, "delivered", 200, ""),
        (2, "failed", None, "Connection refused"),
        (1, "failed", 500, "the receiver answered 500"),
    ]
    assert {(one["event"], one["type"], one["repository"]) for one in log(context)} == {(event.id, TYPE, "team/app")}
    assert len({body for _, body, _ in context.egress.sent}) == 1
    assert len({headers["Moorage-Event-Id"] for _, _, headers in context.egress.sent}) == 1
    assert list(context.store.keys("waiting/")) == []


@pytest.mark.parametrize("status", [101, 300, 301, 307, 400, 404, 429, 500, 503])
def test_any_other_answer_than_success_is_none(context, subscribed, status):
    context.egress.answers[URL] = status
    with pytest.raises(NotYet):
        Deliveries(context).tell(subscribed, made_event())


def test_after_the_last_attempt_a_delivery_is_dead_and_the_next_event_goes_on(context, subscribed):
    context.egress.answers[URL] = 503
    deliveries, event = Deliveries(context), made_event()
    for _ in range(2):
        with pytest.raises(NotYet):
            deliveries.tell(subscribed, event)
    deliveries.tell(subscribed, event)
    assert [(one["event"], one["state"], one["attempt"]) for one in dead(context)] == [(event.id, "dead", 3)]
    assert log(context)[0]["state"] == "dead"
    context.egress.answers[URL] = 204
    deliveries.tell(subscribed, made_event(2))
    assert len(dead(context)) == 1


def test_a_receiver_that_is_gone_is_paused_and_keeps_its_event(context, subscriptions, subscribed):
    context.egress.answers[URL] = 410
    for _ in range(5):  # also beyond the number of attempts
        with pytest.raises(NotYet) as raised:
            Deliveries(context).tell(subscribed, made_event())
        assert raised.value.paused
    assert subscriptions.get("ci").paused == "the receiver answered 410 Gone"
    assert dead(context) == []
    subscriptions.resume("ci")
    assert subscriptions.get("ci") == subscribed


def test_a_dead_delivery_is_sent_again_with_the_same_bytes_and_id(context, subscribed):
    context.egress.answers[URL] = 503
    deliveries, event = Deliveries(context), made_event()
    for _ in range(2):
        with pytest.raises(NotYet):
            deliveries.tell(subscribed, event)
    deliveries.tell(subscribed, event)
    assert deliveries.again("ci", event.id)["state"] == "failed"
    assert len(dead(context)) == 1
    context.egress.answers[URL] = 204
    context.clock.move(hours=1)
    assert deliveries.again("ci", event.id)["state"] == "delivered"
    assert dead(context) == []
    assert len({(body, headers["Moorage-Event-Id"]) for _, body, headers in context.egress.sent}) == 1
    assert len({headers["Moorage-Signature"] for _, _, headers in context.egress.sent}) == 2


def test_what_was_delivered_can_be_sent_again(context, subscribed):
    deliveries = Deliveries(context)
    deliveries.tell(subscribed, made_event())
    assert deliveries.again("ci", made_event().id)["attempt"] == 2
    with pytest.raises(UnknownDelivery, match="ci has no delivery of event"):
        deliveries.again("ci", "f" * 32)
    with pytest.raises(NoSuchSubscription):
        deliveries.again("other", made_event().id)


def test_the_log_and_the_dead_are_bounded(context, subscribed):
    deliveries = Deliveries(context)
    for number in range(200):
        context.clock.move(seconds=1)
        deliveries.tell(subscribed, made_event(number))
    assert [one["event"] for one in log(context)] == [f"{number:032x}" for number in range(199, 194, -1)]
    assert len(list(context.store.keys("log/"))) < 5 + 100
    context.egress.answers[URL] = 503
    for number in range(200, 205):
        for attempt in range(3):
            if attempt < 2:
                with pytest.raises(NotYet):
                    deliveries.tell(subscribed, made_event(number))
            else:
                deliveries.tell(subscribed, made_event(number))
    assert [one["event"] for one in dead(context)] == [f"{number:032x}" for number in (204, 203)]


def test_one_receiver_that_is_down_says_nothing_about_another(context, subscriptions, subscribed):
    other = subscriptions.add(Subscription("other", "https://other.example.org/", (KEY,)))
    context.egress.answers[URL] = nobody_there()
    deliveries = Deliveries(context)
    with pytest.raises(NotYet):
        deliveries.tell(subscribed, made_event())
    deliveries.tell(other, made_event())
    assert [one["state"] for one in log(context, "other")] == ["delivered"]


def test_a_test_says_nothing_and_leaves_a_trace(context, subscribed):
    entry = Deliveries(context).test("ci")
    assert (entry["type"], entry["state"]) == ("org.moorage.webhooks.test", "delivered")
    assert json.loads(context.egress.sent[0][1])["data"] == {"subscription": "ci"}
    assert log(context) == [entry]


def test_removal_forgets_everything(context, subscriptions, subscribed):
    context.egress.answers[URL] = 500
    with pytest.raises(NotYet):
        Deliveries(context).tell(subscribed, made_event())
    subscriptions.pause("ci", "by hand")
    Journal(context).forget("ci")
    subscriptions.remove("ci")
    assert list(context.store.keys()) == []


def test_every_secret_signs(context, subscriptions, subscribed):
    new = subscriptions.rotate("ci")
    Deliveries(context).tell(subscriptions.get("ci"), made_event())
    [(_, body, headers)] = context.egress.sent
    time, *signatures = headers["Moorage-Signature"].split(",")
    text = signing.signed_text(int(time.removeprefix("t=")), headers["Moorage-Event-Id"], body)
    assert signatures == [f"v1={hmac.new(key.encode(), text, hashlib.sha256).hexdigest()}" for key in (new, KEY)]
