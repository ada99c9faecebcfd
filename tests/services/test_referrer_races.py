"""Referrers pushed while their subject comes or goes: none is left that nothing would ever remove."""

import threading

import pytest

from registry.testing.images import artifact, simple_image
from tests.support.direct import ManualClock

pytestmark = [pytest.mark.needs_tools, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

DAY = 86_400
WINDOW = 14 * DAY
SUBJECT = simple_image("x")
SIGNATURE = artifact("application/vnd.example.signature", subject=SUBJECT)


class Beside:
    """Steps that run something in another thread, once, where a name is reached; it may have to wait for a lock."""

    def __init__(self, name):
        self.name, self.work, self.thread = name, None, None

    def __call__(self, name):
        if name == self.name and self.work is not None:
            self.thread, self.work = threading.Thread(target=self.work), None
            self.thread.start()
            self.thread.join(0.3)


@pytest.fixture
def beside():
    return Beside("manifest.store.commit")


@pytest.fixture
def direct(start_with_steps, beside):
    return start_with_steps(ManualClock(), beside)


def parts(direct, manifest):
    for blob in manifest.blobs:
        direct.upload(blob)


def test_a_subject_takes_over_a_referrer_that_was_pushed_just_then(direct, beside):
    parts(direct, SUBJECT)
    parts(direct, SIGNATURE)
    beside.work = lambda: direct.put(SUBJECT, "v1")
    direct.put(SIGNATURE)
    beside.thread.join()
    direct.clock.turn(seconds=DAY)
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW)
    direct.collect_all()
    direct.assert_sound()
    assert direct.column("SELECT count(*) FROM manifest") == [0]


def test_a_referrer_whose_subject_is_collected_just_then_is_seen(direct, beside):
    direct.push(SUBJECT, "v1")
    direct.clock.turn(seconds=DAY)
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW - DAY)
    parts(direct, SIGNATURE)
    direct.clock.turn(seconds=DAY + 1)
    beside.work = direct.collect
    direct.put(SIGNATURE)
    beside.thread.join()
    direct.assert_sound()
    direct.clock.turn(seconds=WINDOW)
    direct.collect_all()
    direct.assert_sound()
