"""The reverse proxies of deploy/, with the addresses and files of a test in the place of the examples'."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import make_pair
from tests.support.ports import free_port, is_open
from tests.support.processes import Child
from tests.support.services import Service
from tests.support.tools import tool

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
_NGINX = """\
daemon off; worker_processes 2; pid n.pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
access_log off; client_body_temp_path tmp/b; proxy_temp_path tmp/p;
fastcgi_temp_path tmp/f; uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
{site}
}}
"""
_CADDY = "{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {plain}\n\thttps_port {port}\n}}\n{site}"


@dataclass
class Proxy(Service):
    """A proxy before two replicas, whose ports these are; it speaks TLS on ``port``, and HTTP on ``plain``."""

    replicas: Sequence[int] = ()
    port: int = field(default_factory=free_port)
    plain: int = field(default_factory=free_port)

    @property
    def host(self) -> str:
        """The name clients use in image references."""
        return f"localhost:{self.port}"

    @property
    def authority(self) -> Path:
        """The file of the certificate, which is its own authority."""
        return self.folder / "cert.pem"

    def prepare(self) -> Child:
        """Make the certificate and the configuration."""
        self.folder.chmod(0o755)  # nginx's processes are nobody's
        certificate, key = make_pair(self.folder)
        (self.folder / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
        first, second = (f"127.0.0.1:{port}" for port in self.replicas)
        self.common = {"registry-1:5000": first, "registry-2:5000": second}
        return Child(
            argv=self.command(),
            log=self.folder / "log",
            ready=lambda: is_open(self.port),
            cwd=self.folder,
            env={**os.environ, "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)},
            stop_signal=signal.SIGTERM,
        )

    def command(self) -> Sequence[str]:
        """Write the configuration; return the command that serves it."""
        raise NotImplementedError

    def site(self, name: str, replaced: Mapping[str, str]) -> str:
        """Return a file of deploy/ with some texts replaced, each of which must be in it."""
        text = (DEPLOY / name).read_text()
        for old, new in {**self.common, **replaced}.items():
            assert old in text, f"{name} has no {old}"
            text = text.replace(old, new)
        return text


class Nginx(Proxy):
    """nginx with deploy/nginx/moorage.conf."""

    def command(self) -> Sequence[str]:
        """Put the site into a whole configuration."""
        (self.folder / "tmp").mkdir(mode=0o777)
        replaced = {
            "listen 80;": f"listen 127.0.0.1:{self.plain};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "server_name registry.example;": "server_name localhost;",
            "/etc/nginx/tls/tls.crt": str(self.folder / "cert.pem"),
            "/etc/nginx/tls/tls.key": str(self.folder / "key.pem"),
        }
        config = self.folder / "nginx.conf"
        config.write_text(_NGINX.format(site=self.site("nginx/moorage.conf", replaced)))
        return [tool("nginx"), "-p", str(self.folder), "-c", str(config)]


class Caddy(Proxy):
    """Caddy with deploy/caddy/Caddyfile."""

    def command(self) -> Sequence[str]:
        """Put options before the site that keep it from this machine's own ports and folders."""
        replaced = {
            "registry.example {": f"localhost:{self.port} {{",
            "/etc/caddy/tls/tls.crt": str(self.folder / "cert.pem"),
            "/etc/caddy/tls/tls.key": str(self.folder / "key.pem"),
        }
        config = self.folder / "Caddyfile"
        config.write_text(_CADDY.format(plain=self.plain, port=self.port, site=self.site("caddy/Caddyfile", replaced)))
        return [tool("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]


class Haproxy(Proxy):
    """HAProxy with deploy/haproxy/haproxy.cfg."""

    def command(self) -> Sequence[str]:
        """Write the file."""
        replaced = {
            "bind :80": f"bind 127.0.0.1:{self.plain}",
            "bind :443": f"bind 127.0.0.1:{self.port}",
            "/etc/haproxy/tls/registry.pem": str(self.folder / "both.pem"),
        }
        config = self.folder / "haproxy.cfg"
        config.write_text(self.site("haproxy/haproxy.cfg", replaced))
        return [tool("haproxy"), "-f", str(config)]


PROXIES: Mapping[str, Callable[..., Proxy]] = {"nginx": Nginx, "haproxy": Haproxy, "caddy": Caddy}
