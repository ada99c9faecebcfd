"""The bundled label actions keep the contract that every label action does."""

from datetime import timedelta

import moorage_expiry
import moorage_immutable
import moorage_keep
import moorage_pin
from registry.hooks import ExpireTag, KeepLast, Pin, ProtectTag
from registry.testing.contracts import LabelActionContract


class TestExpiry(LabelActionContract):
    plugin = moorage_expiry
    understood = {(key, "2d"): [ExpireTag(timedelta(days=2))] for key in moorage_expiry.KEYS}
    refused = [(key, "soon") for key in moorage_expiry.KEYS]


class TestImmutable(LabelActionContract):
    plugin = moorage_immutable
    understood = {(moorage_immutable.KEY, "true"): [ProtectTag()]}
    refused = [(moorage_immutable.KEY, "yes")]


class TestKeep(LabelActionContract):
    plugin = moorage_keep
    understood = {(moorage_keep.KEY, "5"): [KeepLast(5)]}
    refused = [(moorage_keep.KEY, "0"), (moorage_keep.KEY, "five")]


class TestPin(LabelActionContract):
    plugin = moorage_pin
    understood = {(moorage_pin.KEY, "true"): [Pin()]}
    refused = [(moorage_pin.KEY, "1")]
