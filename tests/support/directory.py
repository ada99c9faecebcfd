"""A real LDAP directory for tests: OpenLDAP's slapd, with a few people and groups."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from tests.support.certificates import make_pair
from tests.support.ports import free_port, is_open
from tests.support.processes import Child
from tests.support.services import Service
from tests.support.tools import tool

BASE = "dc=example,dc=org"
PEOPLE, GROUPS, SEARCHER = f"ou=people,{BASE}", f"ou=groups,{BASE}", f"cn=registry,{BASE}"
DIRECTORY_PASSWORD = "Correct horse battery"
_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
database mdb
suffix "{base}"
directory {folder}/data
maxsize 10485760
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{searcher}" read by self read by users read by * none
"""


@dataclass
class Directory(Service):
    """The server, on 127.0.0.1 alone: in the clear with StartTLS, and over TLS. Its certificate is for localhost."""

    people: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("alice", "bob"), DIRECTORY_PASSWORD))
    groups: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"developers": ("alice", "bob")})
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)

    def prepare(self) -> Child:
        """Fill the directory, and return the server."""
        make_pair(self.folder, names=[x509.DNSName("localhost")])
        (self.folder / "data").mkdir()
        config, entries = self.folder / "slapd.conf", self.folder / "entries.ldif"
        config.write_text(_CONF.format(folder=self.folder, base=BASE, searcher=SEARCHER))
        entries.write_text("\n\n".join(self._entries()) + "\n")
        slapd = tool("slapd")
        subprocess.run([slapd, "-T", "add", "-f", str(config), "-l", str(entries)], check=True, capture_output=True)
        urls = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"
        return Child(
            argv=[slapd, "-f", str(config), "-h", urls, "-d", "0"],
            log=self.folder / "log",
            ready=lambda: is_open(self.port) and is_open(self.tls_port),
            cwd=self.folder,
        )

    @property
    def certificate(self) -> Path:
        """The file of its certificate, which it signed itself."""
        return self.folder / "cert.pem"

    def settings(self, **changed: object) -> dict[str, object]:
        """Return what the example's plugin is to be set to, over TLS."""
        return {
            "url": f"ldaps://localhost:{self.tls_port}",
            "ca_file": str(self.certificate),
            "search_base": PEOPLE,
            "search_filter": "(|(uid={name})(mail={name}))",
            "search_dn": SEARCHER,
            "search_password": DIRECTORY_PASSWORD,
            "group_base": GROUPS,
            **changed,
        }

    def _entries(self) -> list[str]:
        found = [
            f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example",
            *(f"dn: {one}\nobjectClass: organizationalUnit" for one in (PEOPLE, GROUPS)),
            f"dn: {SEARCHER}\nobjectClass: person\nsn: registry\nuserPassword: {DIRECTORY_PASSWORD}",
        ]
        for name, password in self.people.items():
            found.append(
                f"dn: uid={name},{PEOPLE}\nobjectClass: inetOrgPerson\ncn: {name}\nsn: {name}\n"
                f"mail: {name}@example.org\nuserPassword: {password}"
            )
        for name, members in self.groups.items():
            listed = "\n".join(f"member: uid={one},{PEOPLE}" for one in members)
            found.append(f"dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\n{listed}")
        return found
