"""System calls of the workers that fail at every n-th call: nothing is acknowledged that did not happen."""

import pytest

from tests.support.faults import Injection
from tests.support.pushers import pushing
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(1800))]

REFUSALS = {503, 507}
CALLS = {
    "fsync": "fsync,fdatasync",
    "write": "pwrite64",
    "rename": "rename,renameat,renameat2",
    "truncate": "ftruncate,truncate",
    "unlink": "unlink,unlinkat",
}


@pytest.mark.parametrize(
    ("call", "error", "every"),
    [("fsync", "EIO", 1), ("fsync", "EIO", 3), ("rename", "EIO", 2), ("rename", "ENOSPC", 1), ("write", "ENOSPC", 9)],
)
def test_every_nth_call_fails(tmp_path, server, ledger, figure, call, error, every):
    rounds = scaled(100, minimum=5)
    with pushing(server.url, ledger, clients=2, length=20_000):
        ledger.wait_for(rounds)
        with Injection(
            server.worker_pids, CALLS[call], f"error={error}:when={every}+{every}", tmp_path / "strace"
        ) as injected:
            injected.wait_for(3 * rounds)
        # All goes on without a restart.
        ledger.wait_for(ledger.acknowledged + rounds)
    kept = ledger.summary(server.url)
    assert set(ledger.refused) <= REFUSALS, ledger.texts
    assert ledger.refused
    server.kill9()
    server.start()
    assert ledger.summary(server.url) == kept
    figure(f"{injected.count} calls failed; {kept}")


@pytest.mark.parametrize("call", ["write", "fsync", "truncate"])
def test_the_commit_fails_at_every_second_call(tmp_path, server, ledger, figure, call):
    rounds = scaled(100, minimum=5)
    names = [server.data / f"moorage.db{suffix}" for suffix in ("", "-wal", "-journal")]
    with pushing(server.url, ledger, clients=2, length=2000):
        ledger.wait_for(rounds)
        with Injection(server.worker_pids, CALLS[call], "error=EIO:when=2+2", tmp_path / "strace", names) as injected:
            injected.wait_for(2 * rounds)
        ledger.wait_for(ledger.acknowledged + rounds)
    kept = ledger.summary(server.url)
    assert set(ledger.refused) <= REFUSALS, ledger.texts
    server.kill9()
    server.start()
    assert ledger.summary(server.url) == kept
    figure(f"{injected.count} calls failed; {kept}")


@pytest.mark.parametrize("call", ["fsync", "write", "rename"])
def test_a_worker_killed_at_the_call_loses_nothing(tmp_path, ledger, figure, call):
    """A worker that makes the call for the n-th time dies there; the master starts another."""
    rounds, deaths = scaled(40, minimum=2), 0
    with MoorageServer(tmp_path / "data", workers=2, threads=8, env={"MOORAGE_UPLOAD_DEADLINE": "1"}) as server:
        with pushing(server.url, ledger, clients=2, length=20_000, lasting=True):
            for nth in range(1, rounds + 1):
                ledger.wait_for(ledger.acknowledged + 3)
                with Injection(
                    server.worker_pids, CALLS[call], f"signal=KILL:when={nth}", tmp_path / "strace"
                ) as injected:
                    injected.wait_for_death()
                deaths += injected.deaths
                ledger.wait_for(ledger.acknowledged + 3)
        figure(f"{deaths} workers killed; {ledger.summary(server.url)}")
    assert deaths >= rounds
    # A client that asks again meets the dead writer, or an upload that is being closed (a PUT with its body once
    # more is then 416), that was closed, or that has its bytes twice.
    assert set(ledger.refused) <= {0, 400, 404, 409, 416, *REFUSALS}, ledger.texts
    assert all("being closed" in text for text in ledger.texts if text.startswith("416"))
