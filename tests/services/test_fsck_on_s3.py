"""fsck and scrub over a real S3 service: what is damaged, lost or left over there is found, and healed."""

import itertools
from contextlib import closing
from types import SimpleNamespace

import pytest

from registry.digest import Digest
from registry.errors import BlobUnknown
from registry.fsck.findings import Severity
from registry.testing.images import Blob, image, layer
from tests.support.direct import Pieces, body
from tests.support.scale import scaled

pytestmark = pytest.mark.needs_tools
MIB = 1 << 20
_numbers = itertools.count()


@pytest.fixture
def bucket(s3_gateway):
    return s3_gateway.create_bucket(f"fsck-{next(_numbers)}")


@pytest.fixture
def direct(start, s3_gateway, bucket):
    options = {
        "endpoint_url": s3_gateway.endpoint_url,
        "region": s3_gateway.region,
        "access_key_id": s3_gateway.access_key,
        "secret_access_key": s3_gateway.secret_key,
    }
    return start(storage_url=f"s3://{bucket}/some/prefix", storage_options=options)


@pytest.fixture
def client(s3_gateway):
    with closing(s3_gateway.client()) as client:
        yield client


def errors(direct, **how):
    report = direct.services.fsck.run(direct.actor, **how)
    return {one.kind for one in report.findings if one.severity is Severity.ERROR}


def name_of(direct, blob):
    (key,) = direct.column("SELECT storage_key FROM blob WHERE digest = :d", d=blob.digest)
    return f"some/prefix/blobs/{key[:2]}/{key}"


def scrub_of(direct):
    (scrub,) = [one.job for one in direct.services.runs.schedules(direct.actor) if one.job.name == "scrub"]
    context = SimpleNamespace(arguments={"everything": True}, progress=lambda *_: None, stopping=lambda: False)
    return scrub.run(context)


@pytest.mark.soak
@pytest.mark.parametrize("finder", ["fsck --deep", "scrub"])
def test_every_flipped_bit_is_found_and_healed_by_a_push(direct, bucket, client, finder, figure):
    blobs = [Blob(f"blob {number}".encode()) for number in range(scaled(100, 5))]
    for blob in blobs:
        direct.upload(blob)
        client.put_object(Bucket=bucket, Key=name_of(direct, blob), Body=bytes([blob.data[0] ^ 1]) + blob.data[1:])
    direct.clock.turn(ms=1)
    assert errors(direct) == set()
    if finder == "scrub":
        found = scrub_of(direct)["damaged"]
    else:
        report = direct.services.fsck.run(direct.actor, deep=True, repair=True)
        found = report.kinds[Severity.REPAIRED, "blob damaged"]
    assert found == len(blobs)
    for blob in blobs:
        with pytest.raises(BlobUnknown):
            direct.blob_bytes(blob.digest)
        direct.upload(blob)
        assert direct.blob_bytes(blob.digest) == blob.data
    assert errors(direct, deep=True) == set()
    figure(f"{found} of {len(blobs)} flipped bits found, all healed by a push")


def test_what_is_lost_or_left_over_is_found(direct, bucket, client):
    made = image(layer({"f": b"image"}))
    direct.push(made, "v1")
    client.delete_object(Bucket=bucket, Key=name_of(direct, made.blobs[1]))
    assert errors(direct) == {"blob damaged"}
    direct.services.fsck.run(direct.actor, repair=True)
    direct.upload(made.blobs[1])
    assert errors(direct, deep=True) == set()
    left = ["blobs/00/" + "0" * 32, "uploads/" + "1" * 32 + ".tail"]
    for name in left:
        client.put_object(Bucket=bucket, Key=f"some/prefix/{name}", Body=b"left over")
    client.create_multipart_upload(Bucket=bucket, Key="some/prefix/blobs/22/" + "2" * 32)
    assert errors(direct) == set()  # they are young
    direct.services.fsck._orphans._young_ms = -60_000
    report = direct.services.fsck.run(direct.actor, repair=True)
    assert report.kinds[Severity.REPAIRED, "orphan bytes"] == 3
    direct.clock.turn(seconds=14 * 86_400)
    direct.services.deletions.drain()
    names = [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", ())]
    assert not [name for name in names if name.removeprefix("some/prefix/") in left]
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert errors(direct) == set()


def test_an_upload_in_parts_is_sound_also_after_its_writer_was_given_up(direct):
    uploads, pieces = direct.services.uploads, [bytes([number]) * MIB for number in range(20)]
    uuid = uploads.start(direct.actor, direct.repository, None).uuid

    def append(*more, at):
        return uploads.append(direct.actor, direct.repository, uuid, Pieces(more, len(more) * MIB), at * MIB)

    append(*pieces[:18], at=0)
    assert errors(direct) == set()
    direct.change("UPDATE upload SET state = 'WRITING', deadline_ms = 0")  # as a writer leaves it that was killed
    append(pieces[18], at=18)
    assert errors(direct) == set()
    append(pieces[19], at=19)
    whole = Blob(b"".join(pieces))
    assert errors(direct) == set()
    uploads.finish(direct.actor, direct.repository, uuid, Digest.parse(whole.digest), body(b""), None)
    assert direct.blob_bytes(whole.digest) == whole.data
    assert errors(direct, deep=True) == set()
