"""Settings: precedence, grammar, messages that help, and secrets that stay secret."""

import dataclasses

import pytest

from registry.setting_sources import line_of
from registry.setting_values import hide_password
from registry.settings import FIELDS, Settings, SettingsError, load_settings, refuse_open_listen


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def toml(tmp_path):
    def write(text, name="m.toml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def problems(flags=None, environ=None):
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, environ or {})
    return caught.value.problems


def test_flags_win_over_variables_over_the_file_over_defaults(toml):
    file = toml('threads = 5\nworkers = 6\nlisten = "127.0.0.1:1"\n')
    environ = {"MOORAGE_CONFIG": file, "MOORAGE_WORKERS": "7", "MOORAGE_LISTEN": "127.0.0.1:2"}
    settings = load_settings({"listen": "127.0.0.1:3", "data": None}, environ)
    assert (settings.threads, settings.workers, settings.listen) == (5, 7, "127.0.0.1:3")
    assert settings.sources == {"threads": f"{file}:1", "workers": "MOORAGE_WORKERS", "listen": "--listen"}
    assert settings.page_size_max == 1000


def test_the_working_directorys_file_is_found_and_a_flag_names_another(toml):
    toml("threads = 3\n", "moorage.toml")
    assert load_settings({}, {}).threads == 3
    assert load_settings({"config": toml("threads = 4\n")}, {"MOORAGE_CONFIG": "/nowhere"}).threads == 4


def test_database_and_storage_follow_the_data_folder(tmp_path):
    settings = load_settings({"data": "here"}, {})
    assert settings.data == tmp_path / "here"
    assert settings.database_url == f"sqlite:///{tmp_path}/here/moorage.db"
    assert settings.storage_url == f"file://{tmp_path}/here/storage"
    assert Settings(data=tmp_path).storage_url == f"file://{tmp_path}/storage"
    assert Settings().workers >= 1


def test_every_problem_is_told_at_once_with_its_place_and_the_nearest_name(toml):
    file = toml('lisen = "x"\n\nthreads = "many"\n[s33]\nregion = 1\n')
    found = problems({"config": file}, {"MOORAGE_WORKRES": "2", "MOORAGE_LOG_LEVEL": "loud"})
    assert found == (
        f"{file}:1: there is no setting lisen; did you mean listen?",
        f"{file}:3: threads: expected a whole number, not 'many'",
        f"{file}:4: there is no setting s33; did you mean s3?",
        "MOORAGE_LOG_LEVEL: log_level: expected one of debug, info, warning, error, not 'loud'",
        "MOORAGE_WORKRES: there is no setting MOORAGE_WORKRES; did you mean MOORAGE_WORKERS?",
    )


def test_a_file_that_is_missing_or_no_toml_is_told(toml):
    assert "/nowhere: cannot read" in problems({"config": "/nowhere"})[0]
    assert "not TOML" in problems({"config": toml("threads = \n")})[0]
    assert "line 1" in problems({"config": toml("threads = \n")})[0]


def test_variables_of_tests_are_left_alone_and_empty_ones_are_not_set():
    environ = {"MOORAGE_PLUGIN_X": "", "MOORAGE_TOOLS": "/t", "MOORAGE_TEST_SCALE": "1", "MOORAGE_THREADS": ""}
    assert load_settings({}, environ) == load_settings({}, {})


def test_what_is_set_for_plugins_is_kept_with_its_places(toml):
    file = toml('[plugins.a]\nx = 1\n[plugins."b-c"]\ny = 2\n[[plugins.a.z]]\n[[ plugins . a . z ]]\nx = 1\n')
    settings = load_settings({"config": file}, {"MOORAGE_PLUGIN_A_X": "2"})
    assert settings.plugins == {"a": {"x": 1, "z": [{}, {"x": 1}]}, "b-c": {"y": 2}}
    assert settings.plugin_variables == {"MOORAGE_PLUGIN_A_X": "2"}
    assert settings.sources == {
        "plugins.a": f"{file}:1",
        "plugins.a.x": f"{file}:2",
        "plugins.a.x[0]": f"{file}:2",
        "plugins.a.z": f"{file}:5",
        "plugins.a.z[0]": f"{file}:5",
        "plugins.a.z[1]": f"{file}:6",
        "plugins.b-c": f"{file}:3",
        "plugins.b-c.y": f"{file}:4",
        "plugins.b-c.y[0]": f"{file}:4",
    }
    inline = load_settings({"config": toml("plugins = { a = { x = 1 } }\n")}, {})
    assert inline.sources["plugins.a.x"].endswith(":1")
    dotted = load_settings({"config": toml("[plugins]\n# here\na.x = 1\n")}, {})
    assert dotted.sources["plugins.a.x"].endswith(":3")
    assert "plugins: expected a table a plugin" in problems({"config": toml("plugins = 1\n")})[0]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("24h", 86400), ("14d", 1209600), ("90", 90), ("500ms", 0.5)]
)
def test_durations(text, seconds):
    assert load_settings({"body_timeout": text}, {}).body_timeout == seconds


@pytest.mark.parametrize("text", ["", "abc", "1y", "-5s", "1h30m", "٣s", True, "0s", "nan"])
def test_bad_durations(text):
    assert problems({"body_timeout": text})[0].startswith("--body-timeout: expected")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "5000"),
        ("listen", "::1:5000"),
        ("listen", "127.0.0.1:99999"),
        ("listen", "a b:1"),
        ("external_url", "registry.example.org"),
        ("external_url", "https://u:p@registry.example.org"),
        ("external_url", "https://registry.example.org/v2"),
        ("insecure_anonymous", "perhaps"),
        ("workers", "0"),
        ("workers", True),
        ("workers", "²"),
        ("lease_seconds", "4s"),
        ("storage_url", "/a/path"),
        ("tls_cert", "missing.pem"),
        ("blocked_plugins", 5),
        ("log_format", "xml"),
        ("data", ""),
        ("data", "a\nb"),
    ],
)
def test_bad_values_are_refused_by_name(name, value):
    assert any(problem.startswith(f"--{name.replace('_', '-')}: ") for problem in problems({name: value}))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("", ()),
        ("10.0.0.0/8, ci.internal", ("10.0.0.0/8", "ci.internal")),
        (["10.1.2.3", "fd00::/8", "::1"], ("10.1.2.3", "fd00::/8", "::1")),
        (["Hooks.example.org."], ("Hooks.example.org.",)),
    ],
)
def test_networks_addresses_and_hosts_are_allowed(value, read):
    assert load_settings({"egress_allow": value}, {}).egress_allow == read


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/99", "10.0.0", "http://ci.internal", "ci.internal:80", "*.internal", "a b", "-x"]
)
def test_what_is_neither_network_nor_address_nor_host_is_refused(entry):
    (problem,) = problems({"egress_allow": ["ci.internal", entry]})
    assert problem.startswith("--egress-allow: expected networks such as 10.1.0.0/16, addresses and host names")
    assert repr(entry) in problem


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("off", ()),
        (False, ()),
        ("Always", ("always",)),
        (True, ("always",)),
        ("10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")),
        (["10.0.0.0/8"], ("10.0.0.0/8",)),
    ],
)
def test_clients_are_none_all_or_those_of_networks(value, read):
    assert load_settings({"storage_redirect": value}, {}).storage_redirect == read


@pytest.mark.parametrize("value", ["on and off", ["always"], ["10.0.0.0/8", "ci.internal"], 5])
def test_clients_that_are_not_known_by_their_network_are_refused(value):
    (problem,) = problems({"storage_redirect": value})
    assert problem.startswith("--storage-redirect: expected off, always, or a list of networks")


@pytest.mark.parametrize("url", ["mysql://db/x", "postgres://db/x", "oracle+x://db/x", "sqlitex:///x"])
def test_databases_that_moorage_does_not_know_are_refused_with_those_it_knows(url):
    assert "expected sqlite:////path/to/moorage.db or postgresql+psycopg://" in problems({"database_url": url})[0]


def test_tls_needs_both_files(tmp_path):
    (tmp_path / "cert.pem").write_text("")
    assert problems({"tls_cert": "cert.pem"}) == ("tls_cert and tls_key belong together: give both or neither",)


def test_lists_come_from_toml_and_from_commas(toml):
    assert load_settings({"config": toml('blocked_plugins = ["a", "b"]\n')}, {}).blocked_plugins == ("a", "b")
    assert load_settings({}, {"MOORAGE_BLOCKED_PLUGINS": " a, b ,"}).blocked_plugins == ("a", "b")


def test_options_go_to_the_driver_of_the_storage_url(toml):
    file = toml('storage_url = "s3://bucket"\n[s3]\nregion = "r"\npath_style = true\n')
    settings = load_settings({"config": file}, {"MOORAGE_S3_REGION": "other"})
    assert settings.storage_options == {"region": "other", "path_style": "true"}
    assert settings.sources["s3.region"] == "MOORAGE_S3_REGION"
    assert settings.sources["s3.path_style"] == f"{file}:4"
    assert load_settings({"config": file, "storage_url": "file:///x"}, {}).storage_options == {}
    tape = load_settings({}, {"MOORAGE_STORAGE_URL": "tape://x", "MOORAGE_TAPE_SPEED": "9"})
    assert tape.storage_options == {"speed": "9"}
    assert "MOORAGE_TAPE_SPEED" in problems({}, {"MOORAGE_TAPE_SPEED": "9"})[0]


def test_secrets_are_shown_nowhere():
    environ = {
        "MOORAGE_DATABASE_URL": "postgresql://moorage:hush@db/x?sslpassword=hush",
        "MOORAGE_STORAGE_URL": "s3://bucket",
        "MOORAGE_S3_SECRET_ACCESS_KEY": "hush",
    }
    settings = load_settings({}, environ)
    assert settings.storage_options["secret_access_key"] == "hush"
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings.describe())
    assert "moorage:********@db" in str(settings.describe())
    assert "hush" not in str(problems({"database_url": "//moorage:hush@db"}, {}))
    assert hide_password("a://u:p@ss@h and b://u:x@h") == "a://u:********@h and b://u:********@h"
    assert hide_password("/x?code=a&state=b&n=1&my_token=c") == "/x?code=********&state=********&n=1&my_token=********"


def test_every_setting_describes_itself():
    shown = {item.name: item for item in load_settings({}, {}).describe()}
    assert set(shown) == set(FIELDS)
    assert all(item.help and item.source == "default" for item in shown.values())
    assert shown["keep_alive"].value == "75s"
    assert shown["listen"].variable == "MOORAGE_LISTEN"


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().listen = "0.0.0.0:1"


@pytest.mark.parametrize("listen", ["127.0.0.1:5000", "127.8.8.8:1", "[::1]:5000", "localhost:5000", "unix:/run/x"])
def test_loopback_needs_nothing_more(listen):
    refuse_open_listen(load_settings({"listen": listen}, {}))


@pytest.mark.parametrize("listen", ["0.0.0.0:5000", ":5000", "[::]:5000", "10.0.0.1:5000", "registry.example:5000"])
def test_an_open_address_needs_consent(listen):
    with pytest.raises(SettingsError, match="--insecure-anonymous"):
        refuse_open_listen(load_settings({"listen": listen}, {}))
    refuse_open_listen(load_settings({"listen": listen, "insecure_anonymous": True}, {}))


def test_the_line_of_a_key_is_found_in_every_spelling():
    text = 'a = 1\n"b" = 2\ns3.c = 3\n[s3]\nd = 4\n"e" = 5\n[t]\na = 6\n[s3.sub]\nf = 1\n'
    found = [line_of(text, "a"), line_of(text, "b"), line_of(text, "c", "s3"), line_of(text, "d", "s3")]
    assert found == [1, 2, 3, 5]
    assert [line_of(text, "e", "s3"), line_of(text, "a", "t"), line_of(text, "t")] == [6, 8, 7]
    assert line_of("x = 1\ns3 = { c = 1 }\n", "c", "s3") == 2
