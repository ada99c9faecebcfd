"""The lifecycle rule that the documentation gives is one, and touches nothing but what crashes leave."""

import json
from pathlib import Path

from registry.settings import Settings
from registry.storage.keys import blob_path, upload_path
from tests.support.doc_blocks import blocks_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
KEY = "0" * 32


def test_the_rule_of_the_documentation(client):
    (block,) = [block for block in blocks_of(PAGE) if block.title == "lifecycle.json"]
    given = json.loads(block.text)
    client.create_bucket(Bucket="lifecycle")
    client.put_bucket_lifecycle_configuration(Bucket="lifecycle", LifecycleConfiguration=given)
    rules = client.get_bucket_lifecycle_configuration(Bucket="lifecycle")["Rules"]
    assert [rule["ID"] for rule in rules] == [rule["ID"] for rule in given["Rules"]]
    objects, parts = rules
    expiry_days = Settings().upload_expiry / 86_400
    assert upload_path(KEY).startswith(objects["Filter"]["Prefix"])
    assert objects["Expiration"]["Days"] > expiry_days
    assert blob_path(KEY).startswith(parts["Filter"]["Prefix"])
    assert "Expiration" not in parts
    assert parts["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > expiry_days
