"""Certificates for servers on this machine, each its own authority."""

import datetime as dt
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEYS: Mapping[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


LOCALHOST = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


def make_pair(
    folder: Path,
    kind: str = "ec",
    *,
    names: Sequence[x509.GeneralName] = LOCALHOST,
    days: float = 30,
    age: float = 1,
    now_ms: int | None = None,
) -> tuple[Path, Path]:
    """Write `cert.pem`, for `names`, and `key.pem` into a folder; it began `age` days ago and ends in `days`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = KEYS[kind]()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC) if now_ms is None else dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=age))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, private


def der_of(cert: Path) -> bytes:
    """Return the certificate in a PEM file as a client is shown it."""
    return x509.load_pem_x509_certificate(cert.read_bytes()).public_bytes(Encoding.DER)
