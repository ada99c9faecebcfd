"""Races of 32 clients against a server of two workers: one truth at the end, and no 500 on the way."""

import http
import itertools
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import Blob, digest_of, simple_image
from tests.support.ports import PATIENCE
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(600))]

CLIENTS = 32
ROUNDS = scaled(40)
PATCH_PUT_RACES = scaled(1000, 20)
_numbers = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request, tmp_path_factory):
    """Give a server of two workers on each database."""
    env = {}
    if request.param == "postgresql":
        env["MOORAGE_DATABASE_URL"] = request.getfixturevalue("postgres").create_database("races")
    with MoorageServer(tmp_path_factory.mktemp("races") / "data", workers=2, threads=8, env=env) as running:
        yield running


@pytest.fixture
def clients(server):
    """Give 32 clients, each with a connection of its own."""
    # Nobody speaks TLS here, and a context for each client takes longer to make than a race.
    shared = ssl.create_default_context()
    made = [httpx.Client(base_url=server.url, timeout=PATIENCE, verify=shared) for _ in range(CLIENTS)]
    yield [RegistryClient(client) for client in made]
    for client in made:
        client.close()


@pytest.fixture
def repository() -> str:
    return f"race/r{next(_numbers)}"


def together(clients: list[RegistryClient], act: Callable[[RegistryClient, int], object]) -> list:
    """Let all clients act at once."""
    start = threading.Barrier(len(clients))

    def one(numbered):
        start.wait()
        return act(numbered[1], numbered[0])

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(one, enumerate(clients)))


def counted(statuses: Counter[int]) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))


def no_500(*answers: httpx.Response) -> None:
    assert [answer.text for answer in answers if answer.status_code >= http.HTTPStatus.INTERNAL_SERVER_ERROR] == []


def session(client: RegistryClient, repository: str) -> str:
    answer = client.http.post(f"/v2/{repository}/blobs/uploads/")
    assert answer.status_code == http.HTTPStatus.ACCEPTED
    return answer.headers["Location"]


def finish(client: RegistryClient, location: str, digest: str, data: bytes = b"") -> httpx.Response:
    url = httpx.URL(location).copy_merge_params({"digest": digest})
    return client.http.put(url, content=data, headers={"Content-Type": "application/octet-stream"})


def patch(client: RegistryClient, location: str, data: bytes, start: int | None = None) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream"}
    if start is not None:
        headers["Content-Range"] = f"{start}-{start + len(data) - 1}"
    return client.http.patch(location, content=data, headers=headers)


def test_the_same_blob(clients, repository, figure):
    for number in range(ROUNDS):
        data = f"{repository} {number}".encode() * 1000
        answers = together(
            clients, lambda client, _, data=data: finish(client, session(client, repository), digest_of(data), data)
        )
        assert {answer.status_code for answer in answers} == {http.HTTPStatus.CREATED}
        assert {
            bytes(one)
            for one in together(clients, lambda client, _, data=data: client.blob(repository, digest_of(data)))
        } == {data}
    figure(f"{ROUNDS} blobs, each pushed by {CLIENTS} clients at once and read by all")


def test_the_same_manifest(clients, repository, figure):
    for number in range(ROUNDS):
        made = simple_image(f"{repository} {number}")
        for blob in made.blobs:
            clients[0].push_blob(repository, blob)
        together(clients, lambda client, _, made=made: client.put_manifest(repository, made, made.digest))
        assert clients[0].everything(repository, made.digest).keys() == made.everything().keys()
    figure(f"{ROUNDS} manifests, each pushed by {CLIENTS} clients at once")


def test_the_same_tag_with_different_manifests(clients, repository, figure):
    made = [simple_image(f"{repository} {number}") for number in range(CLIENTS)]
    for one in made:
        clients[0].push(repository, one)
    for _ in range(ROUNDS):
        together(clients, lambda client, number: client.put_manifest(repository, made[number], "race"))
        seen = set(together(clients, lambda client, _: client.digest(repository, "race")))
        assert len(seen) == 1
        assert seen <= {one.digest for one in made}
    assert clients[0].tags(repository) == ["race"]
    for one in made:
        assert clients[0].has_manifest(repository, one.digest)
    figure(f"{ROUNDS} times {CLIENTS} clients moved one tag at once, and all then saw one manifest")


def test_a_tag_that_is_moved_and_deleted_at_once(clients, repository, figure):
    told = Counter()
    made = [simple_image(f"{repository} {number}") for number in range(CLIENTS)]
    for one in made:
        clients[0].push(repository, one)
    for _ in range(ROUNDS):

        def act(client, number):
            if number % 4:
                return client.put_manifest(repository, made[number], "race")
            return client.http.delete(f"/v2/{repository}/manifests/race")

        answers = together(clients, act)
        no_500(*answers)
        allowed = {http.HTTPStatus.CREATED, http.HTTPStatus.ACCEPTED, http.HTTPStatus.NOT_FOUND}
        told.update(answer.status_code for answer in answers)
        assert set(told) <= allowed
        assert len({client.has_manifest(repository, "race") for client in clients}) == 1
    figure(f"{ROUNDS} times {CLIENTS} clients moved or deleted one tag at once: {counted(told)}")


def test_many_writers_in_one_session(clients, repository, figure):
    told = Counter()
    for number in range(ROUNDS):
        location = session(clients[0], repository)
        chunks = [f"{number}-{one:04}".encode() * 100 for one in range(CLIENTS)]
        answers = together(
            clients, lambda client, one, location=location, chunks=chunks: patch(client, location, chunks[one], 0)
        )
        no_500(*answers)
        told.update(answer.status_code for answer in answers)
        taken = [chunk for chunk, answer in zip(chunks, answers, strict=True) if answer.is_success]
        assert len(taken) == 1
        busy = {http.HTTPStatus.CONFLICT, http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
        assert {answer.status_code for answer in answers if not answer.is_success} <= busy
        assert finish(clients[0], location, digest_of(taken[0])).status_code == http.HTTPStatus.CREATED
        assert clients[1].blob(repository, digest_of(taken[0])) == taken[0]
    figure(f"{ROUNDS} uploads, each with {CLIENTS} chunks at once: {counted(told)}")


def test_one_session_is_committed_once(clients, repository, figure):
    told = Counter()
    for number in range(ROUNDS):
        data = f"{repository} {number}".encode() * 1000
        location = session(clients[0], repository)
        assert patch(clients[0], location, data).is_success
        answers = together(
            clients, lambda client, _, location=location, data=data: finish(client, location, digest_of(data))
        )
        no_500(*answers)
        told.update(answer.status_code for answer in answers)
        assert [answer.status_code for answer in answers].count(http.HTTPStatus.CREATED) == 1
        assert clients[1].blob(repository, digest_of(data)) == data
    figure(f"{ROUNDS} uploads, each closed by {CLIENTS} clients at once: {counted(told)}")


def test_patch_during_put(clients, repository, figure):
    """What was acknowledged is what is read: a chunk is in the blob, or its client was told that it is not."""
    first, second = clients[:2]
    mismatches, told = 0, Counter()
    for number in range(PATCH_PUT_RACES):
        head, tail = (f"{part} {repository} {number} ".encode() * 500 for part in ("head", "tail"))
        location = session(first, repository)
        assert patch(first, location, head).is_success

        def act(client, one, location=location, head=head, tail=tail):
            if one:
                return patch(client, location, tail, len(head))
            return finish(client, location, digest_of(head))

        put, added = together([first, second], act)
        no_500(put, added)
        told[put.status_code, added.status_code] += 1
        if put.status_code == http.HTTPStatus.CREATED:
            mismatches += added.is_success or first.blob(repository, digest_of(head)) != head
        else:
            known = first.http.get(location)
            if known.status_code == http.HTTPStatus.NO_CONTENT:
                length = len(head) + (len(tail) if added.is_success else 0)
                mismatches += known.headers["Range"] != f"0-{length - 1}"
    outcomes = ", ".join(f"{count} x PUT {put} PATCH {added}" for (put, added), count in sorted(told.items()))
    figure(f"{PATCH_PUT_RACES} races, {mismatches} mismatches: {outcomes}")
    assert mismatches == 0


def test_a_blob_deleted_while_a_manifest_that_names_it_is_pushed(clients, repository, figure):
    """Either the push is told that the blob is missing, or the deletion is refused."""
    races, won = ROUNDS * 5, 0
    for number in range(races):
        made = simple_image(f"{repository} {number}")
        for blob in made.blobs:
            clients[0].push_blob(repository, blob)

        def act(client, one, made=made):
            if one:
                return client.http.delete(f"/v2/{repository}/blobs/{made.config.digest}")
            headers = {"Content-Type": made.media_type}
            return client.http.put(f"/v2/{repository}/manifests/race", content=made.data, headers=headers)

        pushed, deleted = together(clients[:2], act)
        no_500(pushed, deleted)
        won += pushed.is_success
        if pushed.is_success:
            assert deleted.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED
            assert clients[0].everything(repository, made.digest).keys() == made.everything().keys()
        else:
            assert pushed.status_code == http.HTTPStatus.NOT_FOUND
            assert deleted.status_code == http.HTTPStatus.ACCEPTED
    figure(f"{races} races: {won} pushed and not deleted, {races - won} deleted and not pushed")


def test_the_first_push_to_a_repository(clients, figure):
    for number in range(ROUNDS):
        name = f"fresh{number}/{next(_numbers)}"
        blob = Blob(name.encode())
        together(clients, lambda client, _, name=name, blob=blob: client.push_blob(name, blob))
        assert clients[0].blob(name, blob.digest) == blob.data
    figure(f"{ROUNDS} repositories, each first pushed to by {CLIENTS} clients at once")
