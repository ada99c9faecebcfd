"""The plugin that tells other hosts keeps the contract of observers: each of its subscriptions does."""

from dataclasses import replace

import pytest

import moorage_webhooks
from registry.testing.contracts import ObserverContract
from tests.support.plugin_parts import ScriptedEgress

KEY = "0123456789abcdef"


class TestWebhooks(ObserverContract):
    plugin = moorage_webhooks
    settings = {
        "subscriptions": [
            {"name": "all", "url": "https://all.example.org/", "secret": KEY},
            {"name": "some", "url": "https://some.example.org/", "secret": KEY, "types": ["org.moorage.tag.*"]},
        ]
    }

    @pytest.fixture
    def context(self, moorage_context):
        return replace(moorage_context, egress=ScriptedEgress())

    def test_every_consumer_is_told(self, events, context):
        for one in events:
            self._tell(one, context)
        urls = [url for url, _, _ in context.egress.sent]
        assert urls.count("https://all.example.org/") == len(events)
        assert 0 < urls.count("https://some.example.org/") < len(events)
