"""The plugin of rules keeps the contract of admission, by rules about manifests and about tags."""

import moorage_admission
from registry.testing.contracts import AdmissionContract
from registry.testing.images import image, layer

NAMED, NAMELESS = image(layer({"a": b"1"}), labels={"team": "red"}), image(layer({"a": b"1"}))


class TestRules(AdmissionContract):
    plugin = moorage_admission
    settings = {"rules": [{"name": "team", "labels": {"team": "*"}}]}
    admitted = (NAMED,)
    refused = {"rule team: the label team is missing": NAMELESS}


class TestRulesAboutTags(AdmissionContract):
    plugin = moorage_admission
    settings = {"rules": [{"tags": ["v*"], "labels": {"team": "red"}, "max_layers": 1}]}
    admitted = (NAMED,)
    refused = {"the label team is missing": NAMELESS}
