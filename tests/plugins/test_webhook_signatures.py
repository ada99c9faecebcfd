"""The verifiers that docs/plugins/webhooks.md shows: they take what is genuine, and nothing else."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from moorage_webhooks import signing

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins" / "webhooks.md"
SECRET, EVENT, BODY, TIME = (
    "whsec_" + "a1" * 32,
    "8f14e45fceea167a5a36dedd4bea2543",
    b'{"specversion":"1.0"}\n',
    1_764_230_400,
)


def block(language):
    return PAGE.read_text().partition("## Check the signature")[2].partition(f"```{language}\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def is_genuine():
    namespace = {}
    exec(block("python"), namespace)
    return namespace["is_genuine"]


def delivery(*secrets, time=TIME):
    return EVENT, signing.sign(secrets or (SECRET,), time, EVENT, BODY), BODY


def test_what_was_signed_is_genuine(is_genuine):
    assert is_genuine(SECRET, *delivery(), now=TIME + 5)


def test_either_secret_is_enough_while_it_is_changed(is_genuine):
    for known in ("new-" * 8, "old-" * 8):
        assert is_genuine(known, *delivery("new-" * 8, "old-" * 8), now=TIME)
    assert not is_genuine("none" * 8, *delivery("new-" * 8, "old-" * 8), now=TIME)


@pytest.mark.parametrize("age", [301, -301, 10**9])
def test_what_was_kept_for_long_is_refused(is_genuine, age):
    assert not is_genuine(SECRET, *delivery(), now=TIME + age)


def mutations(chance, count):
    """Yield deliveries of which one signed part, or the signature, is another one."""
    event, header, body = delivery()
    while count:
        part = chance.randrange(3)
        parts = [event.encode(), header.encode(), body]
        raw = bytearray(parts[part])
        match chance.randrange(5):
            case 0:
                raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(7)
            case 1:
                raw.insert(chance.randrange(len(raw) + 1), chance.choice(b"\n0aA ,=\r\t"))
            case 2:
                del raw[chance.randrange(len(raw))]
            case 3:
                cut = chance.randrange(len(raw))
                raw = raw[cut:] + raw[:cut]
            case 4:  # what ends one part begins another
                other = (part + 1) % 3
                cut = chance.randrange(1, len(raw))
                parts[other] = bytes(raw[cut:]) + parts[other]
                del raw[cut:]
        parts[part] = bytes(raw)
        if parts != [event.encode(), header.encode(), body]:
            count -= 1
            yield parts[0].decode("latin-1"), parts[1].decode("latin-1"), parts[2]


def test_a_thousand_mutations_are_refused(is_genuine):
    refused = [not is_genuine(SECRET, *mutant, now=TIME) for mutant in mutations(random.Random(6), 1000)]
    assert (len(refused), all(refused)) == (1000, True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "v1=" + "0" * 64,
        f"t={TIME}",
        f"t={TIME},v1=",
        f"t={TIME},v0=" + "0" * 64,
        f"t={TIME},v1=" + "é" * 64,
        "t=\u0661,v1=" + "0" * 64,
    ],
)
def test_a_header_that_is_none_is_refused(is_genuine, header):
    assert not is_genuine(SECRET, EVENT, header, BODY, now=TIME)


def test_a_signature_of_another_use_of_the_secret_is_none(is_genuine):
    text = signing.signed_text(TIME, EVENT, BODY)
    assert text.startswith(b"moorage-webhook-v1\n")
    assert text.count(b"\n") == 4


def shell(tmp_path, text):
    return subprocess.run(["sh", "-euc", text], cwd=tmp_path, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_the_shell_agrees(tmp_path):
    code = block("sh")
    assert shell(tmp_path, code).stdout == "genuine\n"
    for genuine, forged in (
        ("8f14e45f", "9f14e45f"),
        ('{"specversion"', '{"Specversion"'),
        ("t=17642304", "t=17642305"),
    ):
        done = shell(tmp_path, code.replace(genuine, forged, 1))
        assert (done.returncode, done.stdout) == (1, "forged\n")
