"""The settings of the plugin that asks for signatures: what is wrong is said, with what to change."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import moorage_signed
from moorage_signed.keys import load_keys
from registry.hooks.configuration import PluginSettingsRefused
from registry.plugin_loading import find_plugins, settings_of_plugins
from registry.settings import load_settings
from tests.support import signatures as made

SIGNER = made.ecdsa_signer()


def public(key):
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private(key, kind=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, kind, encryption or NoEncryption()).decode()


def test_a_key_is_called_by_its_file_or_by_its_fingerprint(tmp_path):
    (tmp_path / "release.pub").write_text("# the release team's\n" + SIGNER.pem)
    (by_file,) = load_keys(str(tmp_path / "release.pub"))
    (by_text,) = load_keys(SIGNER.pem)
    assert by_file.name == "release.pub"
    assert by_file.key == by_text.key
    assert by_text.name.startswith("sha256:")
    assert len(by_text.name) == len("sha256:") + 12


def test_a_file_may_hold_several_keys(tmp_path):
    (tmp_path / "all.pem").write_text(SIGNER.pem + made.ed25519_signer().pem)
    assert [key.name for key in load_keys(str(tmp_path / "all.pem"))] == ["all.pem", "all.pem"]


def test_a_key_s_file_is_read_once(tmp_path):
    file = tmp_path / "release.pub"
    file.write_text(SIGNER.pem)
    rule = moorage_signed.Rule((str(file),))
    file.unlink()
    assert [key.name for key in rule.public_keys] == ["release.pub"]


@pytest.mark.parametrize("home", ["~/release.pub", "release.pub"])
def test_a_path_may_start_at_home_or_where_the_server_does(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "release.pub").write_text(SIGNER.pem)
    assert load_keys(home)[0].name == "release.pub"


BROKEN = SIGNER.pem.replace("MFkw", "AAAA")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BROKEN, "a key that cannot be read"),
        (SIGNER.pem[:60], "holds no key"),
        (private(SIGNER.key), "holds a private key: give the public one"),
        (private(SIGNER.key, PrivateFormat.TraditionalOpenSSL), "holds a private key"),
        (private(SIGNER.key, encryption=BestAvailableEncryption(b"x")), "holds a private key"),
        (
            "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----",
            "private",
        ),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "holds a certificate: expected"),
        (public(rsa.generate_private_key(65537, 1024).public_key()), "RSA key of 1024 bits: use one of 2048"),
        (public(ec.generate_private_key(ec.SECP256K1()).public_key()), "a key of another kind: use ECDSA"),
        (public(x25519.X25519PrivateKey.generate().public_key()), "a key of another kind"),
        (public(dsa.generate_private_key(1024).public_key()), "a key of another kind"),
        (SIGNER.pem + BROKEN, "a key that cannot be read"),
        (SIGNER.pem + private(SIGNER.key), "holds a private key"),
    ],
)
def test_what_is_no_public_key_of_a_known_kind_is_told(tmp_path, text, reason):
    with pytest.raises(ValueError, match=reason):
        load_keys(text)
    (tmp_path / "some.pub").write_text(text)
    with pytest.raises(ValueError, match=rf"some\.pub.*{reason}"):
        moorage_signed.Rule((str(tmp_path / "some.pub"),))


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"the key .*/absent\.pub cannot be read: No such file"):
        moorage_signed.Rule((str(tmp_path / "absent.pub"),))
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        moorage_signed.Rule((str(tmp_path),))
    (tmp_path / "long.pub").write_bytes(b"x" * 70_000)
    with pytest.raises(ValueError, match="longer than 65536 bytes"):
        moorage_signed.Rule((str(tmp_path / "long.pub"),))
    (tmp_path / "binary.pub").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="holds no key"):
        moorage_signed.Rule((str(tmp_path / "binary.pub"),))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"keys": ()}, "keys is empty"),
        ({"repositories": ()}, "repositories is empty"),
        ({"tags": ()}, "tags is empty"),
        ({"at": "push"}, "at is 'push': use one of pull, tag, both"),
        ({"require": "cosign"}, "require is 'cosign': use one of signature, attestation"),
        ({"require": "attestation"}, "the whole URI"),
        ({"require": "attestation", "predicate_type": "slsaprovenance"}, "'slsaprovenance': .* the whole URI"),
        ({"predicate_type": made.PROVENANCE}, 'add require = "attestation"'),
    ],
)
def test_a_rule_that_cannot_be_meant_is_told(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        moorage_signed.Rule(**{"keys": (SIGNER.pem,), **wrong})


def test_the_plugin_declares_its_settings():
    assert moorage_signed.plugin_settings() is moorage_signed.Settings
    assert moorage_signed.Settings().rules == ()


def test_a_configuration_file_makes_the_rules_and_each_mistake_is_told_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "release.pub").write_text(SIGNER.pem)
    config = tmp_path / "moorage.toml"
    monkeypatch.setenv("MOORAGE_CONFIG", str(config))
    good = f"""
[[plugins.signed.rules]]
repositories = ["prod/*"]
keys = ["{tmp_path}/release.pub"]
"""
    wrong = f"""
[[plugins.signed.rules]]
keys = ["{tmp_path}/absent.pub"]

[[plugins.signed.rules]]
keys = ["{tmp_path}/release.pub"]
at = "push"
"""
    config.write_text(good + wrong)
    with pytest.raises(PluginSettingsRefused) as refused:
        configured()
    assert [problem.partition(f"{config}:")[2] for problem in refused.value.problems] == [
        f"6: plugins.signed.rules[1]: the key {tmp_path}/absent.pub cannot be read: No such file or directory",
        "9: plugins.signed.rules[2]: at is 'push': use one of pull, tag, both",
    ]
    config.write_text(good)
    (rule,) = configured().rules
    assert rule.holds_for("prod/app", "1.2", "pull")
    assert not rule.holds_for("dev/app", "1.2", "pull")


def test_public_keys_are_shown(tmp_path, monkeypatch):
    (tmp_path / "release.pub").write_text(SIGNER.pem)
    config = tmp_path / "moorage.toml"
    config.write_text(f"[[plugins.signed.rules]]\nkeys = ['{tmp_path}/release.pub', '''{SIGNER.pem}''']\n")
    monkeypatch.setenv("MOORAGE_CONFIG", str(config))
    (shown,) = [line for line in read().shown if line.name == "plugins.signed.rules"]
    assert shown.value[0]["keys"] == [f"{tmp_path}/release.pub", SIGNER.pem]


def configured():
    return read().values["signed"]


def read():
    settings = load_settings()
    return settings_of_plugins(find_plugins(settings), settings)
