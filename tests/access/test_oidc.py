"""Logging in with a browser, at a real provider: whatever does not fit what was asked is refused, once and for good."""

import base64
import hashlib
import json
import threading
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey, RSAKey

from registry.access import issuers as issuers_module
from registry.access import providers as providers_module
from registry.access.principals import PrincipalWish
from registry.access.providers import Sent
from tests.access.oidc import ADDRESS, ALICE, CLIENT, back, browser, calm, house, login, provider
from tests.support.asking import CHIEF, basic, world
from tests.support.browsing import browser_of
from tests.support.issuer import BROKEN, DOWN, GARBLED, HANGING, HUGE, MOVED, UP, Issuer
from tests.support.ports import PATIENCE, wait_until

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

CONFIRM = f"{ADDRESS}/login/-/confirm"


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture(scope="module")
def other_process(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("other"), path="/realms/other") as running:
        yield running


@pytest.fixture
def made(folder, process):
    with house(folder, provider(process)) as found:
        yield found


@pytest.fixture
def issuer(process, made):
    calm(process, made)
    return process


@pytest.fixture
def alice(made, issuer):
    return browser(made)


def key_of(page):
    found = [word for word in page.words.split() if word.startswith("mk_")]
    assert len(found) == 1, page.words
    return found[0]


def whoami(made, key, name="alice"):
    answer = made.client.get("/api/v1/whoami", headers=basic(name, key))
    return json.loads(answer.data) if answer.status_code == 200 else answer.status_code


def refused(page, status, *words):
    assert page.status == status, page.words
    for word in words:
        assert word in page.words
    assert "mk_" not in page.text
    return page


# What goes well


def test_a_browser_logs_in_and_is_shown_a_key_once(made, issuer, alice):
    page = alice.go(login())
    assert page.status == 200
    assert page.url == CONFIRM, "the code does not stay in the address"
    assert "logged in as alice" in page.words
    shown = alice.press(page, "allow")
    key = key_of(shown)
    assert whoami(made, key)["principal"] == "alice"
    (row,) = made.access.keys.list(CHIEF, "alice")
    assert (row.name, row.actor) == ("login by browser", "alice")
    assert row.expires_ms - row.created_ms == 12 * 3_600_000
    user = made.access.principals.show(CHIEF, "alice")
    assert (user.source, user.has_password) == ("oidc", False)
    refused(alice.press(page, "allow"), 400, "begin anew")
    refused(alice.go(CONFIRM), 400, "begin anew")


def test_an_answer_is_good_once(made, issuer):
    client = made.app.test_client()
    at = browser_of(client, ADDRESS)
    page = at.go(login())
    cookie = client.get_cookie("moorage-login").value
    assert key_of(at.press(page, "allow"))
    client.set_cookie("moorage-login", cookie)
    refused(at.press(page, "allow"), 400, "done already")


def test_whoever_says_no_gets_nothing(made, issuer, alice):
    page = alice.press(alice.go(login()), "deny")
    assert "Refused" in page.words
    assert made.access.keys.list(CHIEF, "alice") == []
    refused(alice.go(CONFIRM), 400)


def test_the_same_subject_is_the_same_user_whatever_it_is_called(made, issuer, alice):
    alice.press(alice.go(login()), "allow")
    issuer.person(**{**ALICE, "preferred_username": "alicia", "email": "other@example.net"})
    key = key_of(alice.press(alice.go(login()), "allow"))
    assert whoami(made, key)["principal"] == "alice"
    assert len(made.access.principals.list(CHIEF, robots=False, limit=10, last="").items) == 1


def test_pages_run_nothing_and_belong_in_no_frame(made, issuer, alice):
    pages = [alice.go(f"{ADDRESS}/login"), alice.go(login()), alice.press(alice.go(login()), "allow")]
    for page in [*pages, alice.go(login("nowhere")), alice.go(CONFIRM)]:
        policy = page.headers["Content-Security-Policy"]
        style = page.text.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "<script" not in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"


def test_the_cookie_is_of_this_host_alone(folder, issuer):
    values = {"oidc": {"company": provider(issuer)}, "external_url": "https://registry.example"}
    with world(folder, **values) as made:
        calm(issuer, made)
        answer = made.client.get("/login/company", base_url="https://registry.example")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-moorage-login=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


def test_cookies_are_no_credentials_of_the_api(made, issuer):
    client = made.app.test_client()
    at = browser_of(client, ADDRESS)
    at.go(login())
    assert json.loads(client.get("/api/v1/whoami").data)["principal"] == "anonymous"
    assert client.get("/v2/").status_code == 401


# What a provider is sent, and what it must know


def test_the_code_is_bound_to_this_registry_by_pkce(made, issuer, alice):
    sent = alice.go(login(), until=issuer.url).query
    assert sent["code_challenge_method"] == "S256"
    assert sent["redirect_uri"] == f"{ADDRESS}/login/company/callback"
    assert sent["scope"] == "openid profile email"
    assert min(len(sent[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    providers = made.access.providers
    company = providers.find("company")
    mine = Sent.new()
    code = dict(parse_qsl(urlsplit(alice.ask("GET", providers.page(company, mine)).next).query))["code"]
    thief = Sent(mine.state, mine.nonce, Sent.new().verifier)
    with pytest.raises(Exception, match="done or expired"):
        providers.person(company, code, thief)
    code = dict(parse_qsl(urlsplit(alice.ask("GET", providers.page(company, mine)).next).query))["code"]
    assert providers.person(company, code, mine).subject == ALICE["sub"]


@pytest.mark.parametrize("methods", [None, ["client_secret_basic"], ["client_secret_post"]])
def test_the_clients_secret_is_shown_as_the_provider_wants_it(folder, process, tmp_path, methods):
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    with house(folder, provider(process, client_secret_file=secret)) as made:
        calm(process, made)
        process.client(CLIENT, "hush")
        process.lie(token_endpoint_auth_methods_supported=methods)
        try:
            at = browser(made)
            assert "logged in as alice" in at.go(login()).words
            secret.write_text("wrong")
            refused(at.go(login()), 502, "invalid_client")
            secret.unlink()
            refused(at.go(login()), 502, "the client's secret cannot be read")
        finally:
            process.client(CLIENT, "")


# What comes back, and does not fit


def test_another_browser_cannot_finish_a_login(made, issuer, alice):
    url = back(issuer, alice)
    mallory = browser(made)
    refused(mallory.go(url), 400, "not begun in this browser")
    back(issuer, mallory)  # with a cookie of its own
    refused(mallory.go(url), 400, "not begun in this browser")
    assert "logged in as alice" in alice.go(url).words, "whose it is can still finish it"


def test_a_state_of_nobody_is_refused(made, issuer, alice):
    url = back(issuer, alice)
    parts = dict(parse_qsl(urlsplit(url).query))
    for state in ("", "x", "x" * 43, "\0", "é" * 100):
        refused(alice.go(f"{login()}/callback?{urlencode({**parts, 'state': state})}"), 400)
    refused(alice.go(f"{login()}/callback"), 400)


def test_nothing_is_good_twice(made, issuer, alice):
    url = back(issuer, alice)
    assert "logged in as alice" in alice.go(url).words
    refused(alice.go(url), 400, "done already")
    again = back(issuer, alice)
    code = dict(parse_qsl(urlsplit(url).query))["code"]
    fresh = {**dict(parse_qsl(urlsplit(again).query)), "code": code}
    refused(alice.go(f"{login()}/callback?{urlencode(fresh)}"), 403, "done or expired")
    refused(alice.go(again), 400, "done already")


def test_of_two_that_finish_at_once_one_does(made, issuer):
    client = made.app.test_client()
    url = back(issuer, browser_of(client, ADDRESS))
    cookie = client.get_cookie("moorage-login").value
    barrier, found = threading.Barrier(2), []

    def finish():
        own = made.app.test_client()
        own.set_cookie("moorage-login", cookie)
        barrier.wait()
        found.append(own.get(url.removeprefix(ADDRESS)).status_code)

    threads = [threading.Thread(target=finish) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == [303, 400]


def test_a_login_waits_for_ten_minutes(made, issuer, alice):
    url = back(issuer, alice)
    made.clock.turn(seconds=601)
    issuer.at(made.clock.now // 1000)
    refused(alice.go(url), 400, "expired")
    page = alice.go(login())
    made.clock.turn(seconds=601)
    refused(alice.press(page, "allow"), 400, "expired")
    alice.go(login(), until=issuer.url)
    rows = made.services.database
    with rows.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM browser_login").scalar() == 1, "the others were swept"


WRONG_TOKENS = {
    "another nonce": ({"nonce": "x" * 43}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "another audience": ({"aud": "somebody-else"}, "audience"),
    "no audience": ({"aud": None}, "audience"),
    "several audiences without a party": ({"aud": [CLIENT, "other"]}, "azp"),
    "several audiences of another party": ({"aud": [CLIENT, "other"], "azp": "other"}, "azp"),
    "another party": ({"azp": "other"}, "azp"),
    "another issuer": ({"iss": "https://elsewhere.example"}, "issuer"),
    "expired": ({"exp": 1_000_000_000}, "expired"),
    "of tomorrow": ({"iat": 4_000_000_000}, "not valid yet"),
    "without an end": ({"exp": None}, "no exp"),
    "another access token": ({"at_hash": "x" * 22}, "at_hash"),
    "no subject": ({"sub": ""}, "sub"),
    "a subject that is a number": ({"sub": 5}, "sub"),
    "a subject that is too long": ({"sub": "x" * 256}, "sub"),
    "a subject with a NUL": ({"sub": "a\0b"}, "sub"),
}


@pytest.mark.parametrize("case", WRONG_TOKENS)
def test_an_id_token_that_is_not_the_answer_is_refused(made, issuer, alice, case):
    claims, word = WRONG_TOKENS[case]
    issuer.answer(**claims)
    refused(alice.go(login()), 502, "proves nothing", word)
    refused(alice.go(CONFIRM), 400)
    assert made.access.principals.list(CHIEF, robots=False, limit=10, last="").items == []


def test_what_may_be_in_an_id_token_is_taken(made, issuer, alice):
    issuer.answer(aud=[CLIENT, "other"], azp=CLIENT)
    assert "logged in as alice" in alice.go(login()).words
    digest = hashlib.sha256(b"access").digest()[:16]
    issuer.answer(members={"access_token": "access"}, at_hash=base64.urlsafe_b64encode(digest).rstrip(b"=").decode())
    assert "logged in as alice" in alice.go(login()).words


def forged(issuer, at, make):
    """Go through a login whose ID token ``make`` makes of the claims that would be right."""
    sent = at.go(login(), until=issuer.url)
    now = int(json.loads(base64.urlsafe_b64decode(issuer.sign({}).split(".")[1] + "=="))["iat"])
    claims = {**ALICE, "iss": issuer.url, "aud": CLIENT, "nonce": sent.query["nonce"], "iat": now, "exp": now + 60}
    issuer.answer(members={"id_token": make(claims)})
    return at.go(at.ask("GET", sent.next).next)


def unsigned(claims):
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in ({"alg": "none"}, claims)
    ]
    return f"{parts[0]}.{parts[1]}."


def test_what_the_provider_did_not_sign_proves_nothing(made, issuer, alice):
    shared = OctKey.import_key(json.dumps(issuer.jwks()["keys"][0]).encode())
    client = OctKey.import_key(CLIENT.encode().ljust(32, b"x"))
    kid = issuer.key()["kid"]
    for make in (
        unsigned,
        lambda claims: jwt.encode({"alg": "HS256", "kid": kid}, claims, shared),
        lambda claims: jwt.encode({"alg": "HS256"}, claims, client),
        lambda claims: "",
        lambda claims: "a.b.c",
        lambda claims: "x" * 50_000,
    ):
        refused(forged(issuer, alice, make), 502, "proves nothing")
    assert "logged in" in forged(issuer, alice, issuer.sign).words, "the forger signs as it should"


def test_claims_that_are_no_text_are_refused(made, issuer, alice):
    key, header = RSAKey.import_key(issuer.key()), {"alg": "RS256", "kid": issuer.key()["kid"]}
    for name in ("nonce", "sub", "preferred_username"):
        make = lambda claims, name=name: jws.serialize_compact(header, json.dumps({**claims, name: "\ud800"}), key)  # noqa: E731
        page = forged(issuer, alice, make)
        refused(page, 403 if name == "preferred_username" else 502)


def test_an_answer_without_an_id_token_is_refused(made, issuer, alice):
    for token in (None, 5, ["x"]):
        issuer.answer(members={"id_token": token})
        refused(alice.go(login()), 502, "no ID token")


def test_a_provider_cannot_speak_for_another(folder, process, other_process):
    with house(folder, provider(process), provider(other_process, "other")) as made:
        calm(process, made)
        calm(other_process, made)
        at = browser(made)
        url = back(process, at)
        query = urlsplit(url).query
        refused(at.go(f"{login('other')}/callback?{query}"), 400, "not begun")
        swapped = {**dict(parse_qsl(query)), "iss": other_process.url}
        refused(at.go(f"{login()}/callback?{urlencode(swapped)}"), 400, "another provider")
        # The same subject of another issuer is somebody else, and a name is not what says who it is.
        assert "logged in as alice" in at.go(login()).words
        refused(
            at.go(login("other")), 403, "the name alice is somebody else's here", "--oidc other --subject 248289761001"
        )
        process.answer(members={"id_token": other_process.sign({**ALICE, "aud": CLIENT})})
        refused(at.go(login()), 502, "proves nothing")


def test_a_provider_that_says_who_it_is_must_always_say_so(made, issuer, alice):
    url = back(issuer, alice)
    without = {name: text for name, text in parse_qsl(urlsplit(url).query) if name != "iss"}
    made.access.issuers.document(issuer.url)["authorization_response_iss_parameter_supported"] = True
    refused(alice.go(f"{login()}/callback?{urlencode(without)}"), 400, "another provider")


def test_what_the_provider_refuses_is_told(made, issuer, alice):
    state = dict(parse_qsl(urlsplit(back(issuer, alice)).query))["state"]
    told = {"state": state, "error": "access_denied", "error_description": "<b>no</b>"}
    page = refused(alice.go(f"{login()}/callback?{urlencode(told)}"), 403, "access_denied: <b>no</b>")
    assert "<b>no" not in page.text
    state = dict(parse_qsl(urlsplit(back(issuer, alice)).query))["state"]
    refused(alice.go(f"{login()}/callback?state={state}"), 400, "without a code")


# Providers that do not do as they should


@pytest.mark.parametrize("how", [DOWN, BROKEN, MOVED, HUGE, GARBLED])
def test_a_provider_that_fails_is_told_and_the_registry_goes_on(made, issuer, alice, how):
    url = back(issuer, alice)
    issuer.be(how)
    refused(alice.go(url), 502, "company does not answer as it should", "passwords and API keys go on being good")
    made.user("bob")
    assert whoami(made, made.keys["bob"], "bob")["principal"] == "bob"
    issuer.be(UP)
    assert "logged in as alice" in alice.go(login()).words


def test_a_provider_that_was_never_there(folder, process, tmp_path):
    with Issuer(tmp_path / "gone") as gone:
        gone.stop()
        with house(folder, provider(gone)) as made:
            refused(browser(made).go(login()), 502, "does not answer as it should")


def test_a_slow_provider_is_given_up(made, issuer, alice, monkeypatch):
    monkeypatch.setattr(providers_module, "TIMEOUT_SECONDS", 0.3)
    url = back(issuer, alice)
    issuer.be(HANGING)
    started = time.monotonic()
    refused(alice.go(url), 502, "no answer within 0.3 s")
    assert time.monotonic() - started < 20
    issuer.be(UP)


def test_a_hanging_provider_takes_few_threads(folder, issuer, monkeypatch):
    monkeypatch.setattr(providers_module, "AT_ONCE", 1)
    with house(folder, provider(issuer)) as made:
        at, other = browser(made), browser(made)
        url, second = back(issuer, at), back(issuer, other)
        asked = issuer.hits().get("/token", 0)
        issuer.be(HANGING)
        found = []
        thread = threading.Thread(target=lambda: found.append(at.go(url)))
        thread.start()
        wait_until(lambda: issuer.hits().get("/token", 0) > asked, PATIENCE, "the provider is asked")
        refused(other.go(second), 502, "1 other logins are waiting already")
        issuer.be(UP)
        thread.join()
        assert found[0].url == url, "and it is refused, as the provider hung up"
        assert "logged in as alice" in at.go(login()).words


def test_keys_that_change_on_the_way_are_found(made, issuer, alice, monkeypatch):
    monkeypatch.setattr(issuers_module, "AGAIN_SECONDS", 0)
    assert "logged in as alice" in alice.go(login()).words
    url = back(issuer, alice)
    issuer.rotate("ES256", keep=False)
    assert "logged in as alice" in alice.go(url).words
    issuer.rotate()


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        5,
        "javascript:alert(1)",
        "http://elsewhere.example/",
        "https://user@elsewhere.example/",
        "//x",
        "/authorize",
    ],
)
def test_browsers_are_sent_to_no_odd_place(folder, issuer, endpoint):
    with house(folder, provider(issuer)) as made:
        issuer.lie(authorization_endpoint=endpoint)
        page = browser(made).go(login(), until="any")
        refused(page, 502, "authorization_endpoint is wrong")
        assert "Location" not in page.headers


def test_a_query_of_the_providers_page_is_kept(folder, issuer):
    with house(folder, provider(issuer)) as made:
        issuer.lie(authorization_endpoint=f"{issuer.url}/authorize?policy=b2c")
        sent = browser(made).go(login(), until=issuer.url)
        assert sent.next.startswith(f"{issuer.url}/authorize?policy=b2c&response_type=code&")


@pytest.mark.parametrize(
    "name", ["nowhere", "Company", "..", "%2e%2e", "https:%2f%2fevil.example", "company%0d%0a", "x" * 500]
)
def test_a_provider_that_is_none(made, issuer, alice, name):
    page = alice.go(login(name), until="any")
    assert page.status == 404
    assert "Location" not in page.headers


# Who is let in


def test_who_may_log_in_is_said_by_the_settings(folder, process):
    limits = {"allowed_domains": ("example.org",), "required_claims": {"groups": ("staff", "ops"), "active": ("true",)}}
    with house(folder, provider(process, groups_claim="groups", **limits)) as made:
        calm(process, made)
        at = browser(made)
        good = {**ALICE, "groups": ["x", "ops"], "active": True}
        for wrong, word in (
            ({"email": "alice@example.net"}, "an e-mail address of example.org is needed"),
            ({"email": "alice@example.org.evil.example"}, "is needed"),
            ({"email": "alice@evil.example@example.net"}, "is needed"),
            ({"email": None}, "is needed"),
            ({"email": 5}, "is needed"),
            ({"email_verified": False}, "was verified"),
            ({"email_verified": None}, "was verified"),
            ({"email_verified": 1.5}, "was verified"),
            ({"groups": ["others"]}, "staff or ops in groups"),
            ({"groups": None}, "in groups"),
            ({"groups": {"ops": 1}}, "in groups"),
            ({"active": False}, "true in active"),
        ):
            process.person(**{**good, **wrong})
            refused(at.go(login()), 403, word, f"subject {ALICE['sub']}")
        assert made.access.principals.list(CHIEF, robots=False, limit=10, last="").items == []
        process.person(**good)
        assert "logged in as alice" in at.go(login()).words
        process.person(**{**good, "groups": []})
        refused(at.go(login()), 403, "in groups")


def test_without_a_word_about_who_may_only_those_are_let_in_who_were_linked(folder, process):
    with house(folder, provider(process, allow_anybody=False)) as made:
        calm(process, made)
        at = browser(made)
        refused(at.go(login()), 403, "only people that were linked", f"--oidc company --subject {ALICE['sub']}")
        made.user("carol", "carols-password")
        made.access.links.link(CHIEF, "carol", "company", ALICE["sub"])
        key = key_of(at.press(at.go(login()), "allow"))
        assert whoami(made, key, "carol")["principal"] == "carol"
        assert whoami(made, "carols-password", "carol")["principal"] == "carol", "the password goes on"
        (row,) = made.access.links.list(CHIEF, "carol")
        assert row.last_login_ms == made.clock.now
        made.access.links.unlink(CHIEF, "carol", row.id)
        refused(at.go(login()), 403, "only people that were linked")


@pytest.mark.parametrize(
    "name", ["bob", "robot", None, "", "a b", "team+ci", "operator", "system:x", "x" * 129, ["alice"], 5]
)
def test_a_name_that_cannot_be_or_is_somebodys_is_refused(made, issuer, alice, name):
    made.user("bob")
    issuer.person(**{**ALICE, "preferred_username": name})
    page = alice.go(login())
    if name == "robot":
        assert "logged in as robot" in page.words
        return
    refused(page, 403, "moorage user link NAME --oidc company --subject 248289761001")


def test_the_command_for_administrators_can_be_pasted(folder, process):
    with house(folder, provider(process, allow_anybody=False)) as made:
        calm(process, made)
        process.person(**{**ALICE, "sub": "auth0|$(reboot)"})
        refused(browser(made).go(login()), 403, "--subject 'auth0|$(reboot)'")


def test_an_unverified_address_is_no_name(folder, process):
    with house(folder, provider(process, username_claim="email")) as made:
        calm(process, made)
        for not_so in (False, "false", 0):
            process.person(**{**ALICE, "email_verified": not_so})
            refused(browser(made).go(login()), 403, "no name that a user can have")
        process.person(**ALICE)
        assert "logged in as alice@example.org" in browser(made).go(login()).words


def test_nobody_takes_a_name_of_the_htpasswd_file(folder, process, tmp_path):
    file = tmp_path / "users"
    file.write_text("alice:$2b$04$" + "a" * 53 + "\n")
    with house(folder, provider(process), htpasswd=file) as made:
        calm(process, made)
        refused(browser(made).go(login()), 403, "the name alice is somebody else's here")
        assert made.access.principals.list(CHIEF, robots=False, limit=9, last="").items == []


def test_who_is_disabled_is_refused_at_every_step(made, issuer, alice):
    asked = alice.go(login())
    made.access.principals.change(CHIEF, "alice", PrincipalWish(disabled=True))
    refused(alice.press(asked, "allow"), 403, "alice is disabled")
    refused(alice.go(CONFIRM), 403, "alice is disabled")
    page = refused(alice.go(login()), 403, "alice is disabled")
    assert "/callback?" in page.url, "already where the provider sends them back to"


def test_who_was_deleted_is_somebody_new(made, issuer, alice):
    asked = alice.go(login())
    made.access.teams.create(CHIEF, "builders")
    made.access.teams.join(CHIEF, "builders", "alice")
    first = made.access.principals.show(CHIEF, "alice").id
    made.access.principals.delete(CHIEF, "alice")
    refused(alice.press(asked, "allow"), 400)
    alice.press(alice.go(login()), "allow")
    again = made.access.principals.show(CHIEF, "alice")
    assert again.id != first
    assert again.teams == []


def test_teams_follow_groups_at_each_login(folder, process):
    teams = {"dev": "builders", "lead": "builders", "ops": "operators", "x": "nowhere"}
    with house(folder, provider(process, groups_claim="groups", teams=teams)) as made:
        calm(process, made)
        for team in ("builders", "operators", "by-hand"):
            made.access.teams.create(CHIEF, team)
        at = browser(made)

        def teams_with(groups):
            process.person(**{**ALICE, "groups": groups})
            assert "logged in as alice" in at.go(login()).words
            return list(made.access.principals.show(CHIEF, "alice").teams)

        assert teams_with(["dev", "builders", "x", "operators"]) == ["builders"]
        made.access.teams.join(CHIEF, "by-hand", "alice")
        assert teams_with("ops") == ["by-hand", "operators"]
        assert teams_with(["lead", 5, None, {}]) == ["builders", "by-hand"]
        assert teams_with(None) == ["by-hand"]
        made.rule("builders", "team:builders", role="push")
        assert teams_with(["dev"]) == ["builders", "by-hand"]
        key = key_of(at.press(at.go(login()), "allow"))
        assert whoami(made, key)["teams"] == ["builders", "by-hand"]


# Answers of forms


def test_only_the_page_that_asked_can_answer(made, issuer, alice):
    page = alice.go(login())
    for token in ("", "x", "é", page.fields["token"][:-1]):
        refused(alice.ask("POST", page.action, {"token": token, "answer": "allow"}), 400, "does not come from the page")
    mallory = browser(made)
    refused(mallory.ask("POST", page.action, {**page.fields, "answer": "allow"}), 400, "does not come from the page")
    mallory.go(login())
    refused(mallory.ask("POST", page.action, {**page.fields, "answer": "allow"}), 400, "does not come from the page")
    assert key_of(alice.press(page, "allow"))


def test_another_site_cannot_answer(made, issuer):
    at = browser_of(made.app.test_client(), ADDRESS, headers={"Sec-Fetch-Site": "cross-site"})
    page = at.go(login())
    refused(at.press(page, "allow"), 400, "another site")


def test_many_logins_from_one_place_are_stopped(made, issuer, monkeypatch):
    monkeypatch.setattr("registry.access.login_steps.MOST_OF_ONE_SOURCE", 3)
    at = browser(made, "192.0.2.1")
    for _ in range(3):
        at.go(login(), until=issuer.url)
    page = at.go(login(), until=issuer.url)
    refused(page, 429, "under way")
    assert page.headers["Retry-After"] == "60"
    assert browser(made, "192.0.2.2").go(login(), until=issuer.url).status == 303
    made.clock.turn(seconds=601)
    assert at.go(login(), until=issuer.url).status == 303


def test_no_provider_at_all(folder):
    with house(folder) as made:
        refused(browser(made).go(f"{ADDRESS}/login"), 404, "no provider is set")
        refused(browser(made).go(login()), 404)
        refused(browser(made).go(CONFIRM), 400)


def test_failures_are_left_to_the_log(made, issuer, alice, caplog):
    issuer.be(DOWN)
    refused(alice.go(login()), 502)
    assert "people cannot log in at company" in caplog.text
    assert made.client.get("/health/ready").status_code == 200
