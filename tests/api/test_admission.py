"""What clients see of admission."""

import pytest

from registry.errors import Denied
from registry.hooks import hookimpl
from registry.testing.apps import running_app
from registry.testing.images import image, layer
from tests.support.api import Api, error_of

APP, NEXT = image(layer({"f": b"app"})), image(layer({"f": b"next"}))


class Judge:
    """Answers each question as the test wants."""

    __name__ = "judge"

    def __init__(self):
        self.push = self.change = self.pull = lambda: None

    @hookimpl
    def admit_manifest(self):
        return self.push()

    @hookimpl
    def admit_tag_change(self):
        return self.change()

    @hookimpl
    def admit_pull(self):
        return self.pull()


def refuse():
    raise Denied("because of the fog")


def fail():
    raise RuntimeError("the password is hunter2")


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def api(judge, blank, tmp_path):
    with running_app(tmp_path / "data", blank=blank, with_plugins=[judge]) as app, app.test_client() as client:
        yield Api(client)


def refused(answer):
    error = error_of(answer, 403, "DENIED")
    assert error["message"] == "refused by judge: because of the fog"
    assert error["detail"] == {"plugin": "judge", "reason": "because of the fog"}


def test_a_refused_push_says_who_and_why(api, judge):
    api.push("team/app", APP, "v1")
    judge.push = refuse
    for reference in ("v2", APP.digest):
        refused(api.put_manifest("team/app", reference, APP))
    assert api.client.get("/v2/team/app/tags/list").json["tags"] == ["v1"]


def test_a_plugin_that_fails_refuses_and_tells_no_secrets(api, judge):
    judge.push = fail
    with pytest.raises(AssertionError):
        api.push("team/app", APP, "v1")
    answer = api.put_manifest("team/app", "v1", APP)
    assert error_of(answer, 403, "DENIED")["detail"] == {"plugin": "judge", "hook": "admit_manifest"}
    assert b"judge failed" in answer.data
    assert b"hunter2" not in answer.data


def test_a_refused_pull_by_tag_says_who_and_why(api, judge):
    api.push("team/app", APP, "v1")
    judge.pull = refuse
    refused(api.client.get("/v2/team/app/manifests/v1"))
    assert api.client.head("/v2/team/app/manifests/v1").status_code == 403
    assert api.client.get(f"/v2/team/app/manifests/{APP.digest}").status_code == 200
    assert api.client.head(f"/v2/team/app/manifests/{APP.digest}").status_code == 200
    known = api.client.get("/v2/team/app/manifests/v1", headers={"If-None-Match": f'"{APP.digest}"'})
    assert known.status_code == 403


def test_a_refused_change_of_a_tag_through_the_api_is_a_problem(api, judge):
    api.push("team/app", APP, "v1")
    judge.change = refuse
    answer = api.client.put("/api/v1/repositories/team/app/-/tags/v2", json={"digest": APP.digest})
    assert (answer.status_code, answer.json["code"]) == (403, "DENIED")
    assert answer.json["detail"] == "refused by judge: because of the fog"


def warned(api, judge, *texts):
    judge.push = lambda: texts
    return api.put_manifest("team/app", "v1", APP).headers.getlist("Warning")


def test_warnings_are_headers_of_the_answer(api, judge):
    api.push("team/app", APP, "v1")
    assert warned(api, judge) == []
    assert warned(api, judge, "an old base", 'say "please"\\n') == [
        '299 - "judge: an old base"',
        '299 - "judge: say \\"please\\"\\\\n"',
    ]


def test_warnings_cannot_forge_headers_and_are_bounded(api, judge):
    api.push("team/app", APP, "v1")
    (forged,) = warned(api, judge, "x\r\nSet-Cookie: a=b\0 é")
    assert forged == '299 - "judge: x\\\\r\\\\nSet-Cookie: a=b\\\\x00 ?"'
    many = warned(api, judge, *["x" * 900] * 50)
    assert len(many) == 4
    assert sum(map(len, many)) <= 4096


def test_warnings_of_a_tag_s_change_go_out_with_the_push(api, judge):
    api.push("team/app", APP, "v1")
    judge.change = lambda: ["v1 is moved a lot"]
    answer = api.put_manifest("team/app", "v1", APP)
    assert answer.headers.getlist("Warning") == ['299 - "judge: v1 is moved a lot"']
