"""Logins by somebody else's word leave records as those by passwords do, and count as asked by no policy."""

import pytest

from tests.access.oidc import ALICE, back, browser, calm, house, login, provider
from tests.support.asking import CHIEF, basic
from tests.support.auditing import Log, kinds
from tests.support.issuer import Issuer

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

ROBOT = "team+ci"


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture
def made(folder, process):
    with house(folder, provider(process, groups_claim="groups", teams={"devs": "builders"})) as found:
        calm(process, found)
        yield found


@pytest.fixture
def told(made):
    return Log(made.services)


def test_a_browser_that_comes_back_is_a_login_and_so_is_one_that_is_refused(made, process, told):
    made.access.teams.create(CHIEF, "builders")
    process.person(**ALICE, groups=["devs"])
    told.new()
    at = browser(made, "192.0.2.7")
    at.press(at.go(login()), "allow")
    found = {record["kind"]: record for record in told.new()}
    assert found.keys() >= {"login", "user.created", "team.joined", "key.created"}
    assert {(one["principal"], one["address"]) for one in found.values()} == {("alice", "192.0.2.7")}
    assert found["login"]["detail"] == {"provider": "company", "with": "provider"}
    assert {one["action"] for one in found.values()} == {""}
    other = browser(made, "192.0.2.8")
    stolen = back(process, at)
    assert other.go(stolen).status == 400
    (refused,) = told.new()
    assert (refused["kind"], refused["outcome"], refused["address"]) == ("login", "denied", "192.0.2.8")
    assert "was not begun in this browser" in refused["detail"]["why"]
    assert told.breaks() == []


def test_a_token_of_another_issuer_is_a_login_of_its_robot(made, process, told):
    made.robot("team", "ci")
    trust = {"issuer": process.url, "audiences": ["moorage"], "claims": {"repository": ["acme/app"]}}
    made.access.trusts.create(CHIEF, "job", ROBOT, trust)
    told.new()
    good = process.sign(aud="moorage", repository="acme/app")
    assert made.client.get("/api/v1/whoami", headers=basic(ROBOT, good)).status_code == 200
    wrong = process.sign(aud="moorage", repository="acme/other")
    assert made.client.get("/api/v1/whoami", headers=basic(ROBOT, wrong)).status_code == 401
    one, two = told.new()
    assert (one["kind"], one["outcome"], one["principal"]) == ("login", "allowed", ROBOT)
    assert (two["kind"], two["outcome"], two["principal"]) == ("login", "denied", ROBOT)
    assert one["detail"]["with"] == two["detail"]["with"] == "token of another issuer"
    assert not any(token in told.text() for token in (good, wrong))


def test_who_came_by_a_login_alone_makes_no_difference_to_another_policy(made, told):
    at = browser(made)
    at.press(at.go(login()), "allow")
    assert "key.created" in kinds(told.new())
    found = made.services.simulator.simulate(CHIEF, {}, 0, None)
    assert [one for one in found.differences if one.principal == "alice"] == []
