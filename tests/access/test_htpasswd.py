"""The file of users: what it says holds at once, whatever is wrong with the rest of it."""

import logging

import bcrypt
import pytest

from registry.access.htpasswd import HTPASSWD, HtpasswdFile
from tests.support.asking import CHIEF, PASSWORD, basic, world

LONG = "x" * 72


def line(name, password=PASSWORD, sign=b"2y"):
    kept = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).replace(b"$2b$", b"$" + sign + b"$").decode()
    return f"{name}:{kept}\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "users"


@pytest.fixture
def file(path):
    path.write_text(line("hans"))
    return HtpasswdFile(path)


def right(file, name, password=PASSWORD):
    return file.verify(file.find(name), password)


@pytest.mark.parametrize("sign", [b"2a", b"2b", b"2y"])
def test_each_sign_of_bcrypt_is_known(path, sign):
    path.write_text(line("hans", sign=sign))
    file = HtpasswdFile(path)
    assert right(file, "hans")
    assert not right(file, "hans", "wrong")


def test_a_change_is_seen_at_once(file, path):
    assert right(file, "hans")
    path.write_text(line("hans", "other") + line("july"))
    assert not right(file, "hans")
    assert right(file, "hans", "other")
    assert right(file, "july")
    path.write_text(line("july"))
    assert not right(file, "hans", "other")
    assert not file.vouches(HTPASSWD, "hans")
    assert file.vouches("local", "hans")


@pytest.mark.parametrize(
    "damage",
    [
        "no colon\n", ":\n", ":$2y$05$x\n", "a:\n", "a:plain\n", "a:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n",
        "a:$apr1$x$y\n", "a:$2y$\n", "a:$2y$xx$short\n", "a:$2y$99$" + "a" * 53 + "\n", "a:$2x$05$" + "a" * 53 + "\n",
        "a:$2b$05$" + "\N{SNOWMAN}" * 20 + "\n", "\0\0\0\n", "# a comment\n", "\n\n", "  \n", "a:$2b$04$\0\n",
    ],
)  # fmt: skip
def test_damaged_lines_let_nobody_in_and_hide_nobody(path, damage):
    path.write_bytes((damage + line("hans") + damage).encode())
    file = HtpasswdFile(path)
    assert right(file, "hans")
    for name in ("a", "", "no colon", "# a comment", "\0\0\0"):
        assert not right(file, name)
        assert not right(file, name, "")


def test_bytes_that_are_no_text_hide_nobody(path):
    path.write_bytes(b"\xff\xfe:\xff\n" + line("hans").encode() + b"\x80\n")
    file = HtpasswdFile(path)
    assert right(file, "hans")


def test_the_first_of_two_lines_counts(path):
    path.write_text(line("hans") + line("hans", "other"))
    file = HtpasswdFile(path)
    assert right(file, "hans")
    assert not right(file, "hans", "other")


def test_no_byte_of_a_password_is_ignored(path):
    path.write_text(line("hans", LONG))
    file = HtpasswdFile(path)
    assert right(file, "hans", LONG)
    assert not right(file, "hans", LONG + "y")
    assert not right(file, "hans", LONG[:-1])
    assert not right(file, "hans", "\0")
    assert not right(file, "hans", "")


def test_a_file_that_is_gone_lets_nobody_in_until_it_is_back(file, path, caplog):
    assert right(file, "hans")
    text = path.read_text()
    path.unlink()
    assert not right(file, "hans")
    assert not file.vouches(HTPASSWD, "hans")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    path.write_text(text)
    assert right(file, "hans")


def test_a_link_that_is_turned_is_followed(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(line(name))
    link = tmp_path / "users"
    link.symlink_to("one")
    file = HtpasswdFile(link)
    assert right(file, "one")
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(link)
    assert right(file, "two")
    assert not right(file, "one")
    link.unlink()
    link.symlink_to("nowhere")
    assert not right(file, "two")


def test_two_processes_see_the_same(folder, path):
    path.write_text(line("hans") + line("july"))
    with world(folder, htpasswd=path) as one, world(folder, one.clock, htpasswd=path) as other:
        one.rule("all", "everybody", role="pull")
        for app in (one, other):
            for name in ("hans", "july"):
                assert app.client.get("/v2/", headers=basic(name, PASSWORD)).status_code == 200
        assert one.access.principals.show(CHIEF, "hans").source == HTPASSWD
        path.write_text(line("july", "other"))
        for app in (other, one):
            assert app.client.get("/v2/", headers=basic("hans", PASSWORD)).status_code == 401
            assert app.client.get("/v2/", headers=basic("july", PASSWORD)).status_code == 401
            assert app.client.get("/v2/", headers=basic("july", "other")).status_code == 200


@pytest.mark.parametrize(
    "name", ["operator", "Anonymous", "everybody", "team+ci", "plugin", "a b", "é", "x" * 129, "-", "a/b"]
)
def test_names_that_mean_something_else_are_no_users(folder, path, name):
    path.write_text(line(name))
    with world(folder, htpasswd=path) as app:
        app.rule("all", "everybody", role="admin")
        status = app.client.get("/v2/_catalog", headers=basic(name, PASSWORD)).status_code
        assert status == (200 if name == "plugin" else 401)


def test_a_robot_or_local_user_is_not_let_in_by_the_file(folder, path):
    path.write_text(line("local") + line("team+ci"))
    with world(folder, htpasswd=path) as app:
        app.user("local", "a password of its own")
        app.robot("team", "ci")
        for name in ("local", "team+ci"):
            assert app.client.get("/v2/", headers=basic(name, PASSWORD)).status_code == 401
        assert app.client.get("/v2/", headers=basic("local", "a password of its own")).status_code == 200
