"""The contracts of logins and of denials refuse what breaks them."""

import logging
from types import SimpleNamespace

import pytest

from registry.hooks import Denial, Identity
from registry.testing.access import access_request
from registry.testing.contracts import AuthenticationContract, AuthorizationContract
from tests.support.plugins import made_plugin

PASSWORD = "correct horse battery"
CONTEXT = SimpleNamespace(log=logging.getLogger("moorage.test"))
FAILED = (AssertionError, pytest.fail.Exception)


def right(credentials):
    return Identity("ann") if (credentials.name, credentials.password) == ("ann", PASSWORD) else None


def frozen(requests):
    return [Denial("it is frozen") if one.action == "push" else None for one in requests]


class TestSomebodyWhoKnowsUsersKeepsTheContract(AuthenticationContract):
    plugin = made_plugin("users", authenticate=right)
    known = {"ann": PASSWORD}


class TestSomebodyWhoRefusesKeepsTheContract(AuthorizationContract):
    plugin = made_plugin("freeze", authorize=frozen)
    allowed = (access_request("pull"), access_request("list", None))
    denied = {"it is frozen": access_request("push", reference="v1")}


def logins(**functions):
    contract = AuthenticationContract()
    contract.plugin, contract.known = made_plugin("users", **functions), {"ann": PASSWORD}
    return contract


def counting():
    seen = []

    def answer(credentials):
        seen.append(credentials)
        return Identity(f"ann{len(seen)}")

    return answer


def telling(credentials, context):
    context.log.info("%s shows %s", credentials.name, credentials.password)


BROKEN_LOGINS = {
    "a boolean": (lambda credentials: True, "test_who_is_known_has_one_name", "answered by True"),
    "another name each time": (counting(), "test_who_is_known_has_one_name", "and then"),
    "no user's name": (lambda credentials: Identity("cn=ann"), "test_who_is_known_has_one_name", "not 'cn=ann'"),
    "everybody": (lambda credentials: Identity("ann"), "test_a_wrong_password_is_answered_by_none", "is answered by"),
    "letters of any case": (
        lambda credentials: Identity("ann") if credentials.password.lower() == PASSWORD else None,
        "test_a_wrong_password_is_answered_by_none",
        "CORRECT HORSE",
    ),
    "a wildcard": (
        lambda credentials: Identity("ann") if "*" in credentials.name else None,
        "test_whoever_is_not_known_is_answered_by_none",
        "is answered by Identity",
    ),
    "an error for a stranger": (
        lambda credentials: {"ann": None}[credentials.name],
        "test_whoever_is_not_known_is_answered_by_none",
        "raises KeyError",
    ),
}


@pytest.mark.parametrize("way", BROKEN_LOGINS)
def test_a_login_that_breaks_the_contract_is_told(way):
    answer, check, reason = BROKEN_LOGINS[way]
    with pytest.raises(FAILED, match=reason):
        getattr(logins(authenticate=answer), check)(CONTEXT)


def test_a_password_in_the_log_is_told(caplog):
    with pytest.raises(AssertionError, match="the log holds the password"):
        logins(authenticate=telling).test_no_password_is_told(CONTEXT, caplog)


def test_logins_without_a_hook_or_examples_are_told():
    contract = logins(label_actions=lambda: ())
    contract.known = {}
    with pytest.raises(AssertionError, match="and not authenticate"):
        contract.test_it_knows_users()
    with pytest.raises(AssertionError, match="give users"):
        contract.test_there_are_examples()


BROKEN_DENIALS = {
    "refuses all": (
        lambda requests: [Denial("no")] * len(requests),
        "test_what_is_allowed_is_not_refused",
        "Denial",
    ),
    "refuses nothing": (lambda requests: None, "test_what_is_denied_is_refused_for_the_reason", "is not refused"),
    "other words": (
        lambda requests: [Denial("no")] * len(requests),
        "test_what_is_denied_is_refused_for_the_reason",
        "is not among the words",
    ),
    "no words": (lambda requests: [Denial("")] * len(requests), "test_anything_is_decided", "says why"),
    "a boolean": (lambda requests: [False] * len(requests), "test_anything_is_decided", "None or a Denial"),
    "one for all": (lambda requests: [None], "test_many_are_decided_as_each", "with 1"),
    "a repository for granted": (
        lambda requests: [Denial("no") if one.repository.startswith("team/") else None for one in requests],
        "test_anything_is_decided",
        "raises AttributeError",
    ),
    "by place": (
        lambda requests: [Denial("first")] + [None] * (len(requests) - 1),
        "test_many_are_decided_as_each",
        "together they are answered otherwise",
    ),
}


@pytest.mark.parametrize("way", BROKEN_DENIALS)
def test_a_denial_that_breaks_the_contract_is_told(way):
    answer, check, reason = BROKEN_DENIALS[way]
    contract = AuthorizationContract()
    contract.plugin = made_plugin("freeze", authorize=answer)
    contract.allowed, contract.denied = (access_request("pull"),), {"frozen": access_request("push")}
    with pytest.raises(FAILED, match=reason):
        getattr(contract, check)(CONTEXT)


def test_denials_without_a_hook_or_examples_are_told():
    contract = AuthorizationContract()
    contract.plugin, contract.allowed, contract.denied = made_plugin("none", label_actions=lambda: ()), (), {}
    with pytest.raises(AssertionError, match="and not authorize"):
        contract.test_it_decides()
    with pytest.raises(AssertionError, match="give requests that are allowed"):
        contract.test_there_are_examples()
