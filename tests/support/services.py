"""Real services for tests: PostgreSQL, an S3 gateway, Docker's daemon, containerd.

Each is a context manager with folders of its own directly under the temporary folder: sockets' paths
must stay short, and PostgreSQL runs as another user, who must be able to pass every parent.
"""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tests.support.ports import free_port, is_open
from tests.support.processes import Child, children, killed_after
from tests.support.tools import postgres_program, require_root, tool

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SHORT = "/tmp"
# As with DROP DATABASE ... WITH (FORCE), nobody goes on with it. Foreign keys, which are triggers, do not ask for an order.
_EMPTY = """
DO $$ DECLARE one text; BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;
  FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND {tables} LOOP
    EXECUTE format('DELETE FROM %I', one);
  END LOOP;
  FOR one IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
    EXECUTE format('ALTER SEQUENCE %I RESTART', one);
  END LOOP;
END $$
"""


@dataclass
class Service:
    """What the services share: a folder, a child, and the end of both."""

    folder: Path = field(init=False)
    child: Child = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="moorage-", dir=_SHORT))
        try:
            self.child = self.prepare()
            self.child.start()
            self.started()
        except BaseException:
            self.clean()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.child.__exit__(kind, error, trace)
        finally:
            self.clean()

    def prepare(self) -> Child:
        """Make what the program needs and return it, not started."""
        raise NotImplementedError

    def started(self) -> None:
        """Do what has to be done once after the start."""

    def clean(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self.child.pid

    def stop(self) -> None:
        """Stop the program and keep its data."""
        self.child.stop()

    def kill9(self) -> None:
        """Kill the program's whole group and keep its data."""
        self.child.kill9()

    def start(self) -> None:
        """Start the program again on the same data and port."""
        self.child.start()


@dataclass
class PostgresServer(Service):
    """A PostgreSQL server with a cluster of its own, trusting every local connection.

    With `durable` it syncs to disk as in production; without, as suits tests of anything else.
    """

    port: int = field(default_factory=free_port)
    durable: bool = False

    def prepare(self) -> Child:
        """Make the cluster, owned by who will run it: PostgreSQL refuses root."""
        user = "postgres" if os.geteuid() == 0 else None
        self.folder.chmod(0o700)
        if user:
            shutil.chown(self.folder, user, user)
        data = self.folder / "data"
        subprocess.run(
            [
                postgres_program("initdb"),
                "-D",
                str(data),
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--no-locale",
                "-N",
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
        options = {"listen_addresses": "127.0.0.1", "max_connections": "200"}
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return Child(
            argv=[
                postgres_program("postgres"),
                "-D",
                str(data),
                "-k",
                str(self.folder),
                "-p",
                str(self.port),
                *flags,
            ],
            log=self.folder / "log",
            ready=self.accepts,
            cwd=self.folder,
            user=user,
            stop_signal=signal.SIGINT,  # the fast shutdown: clients are disconnected
        )

    @property
    def url(self) -> str:
        """The URL of the database that is always there."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def kill9(self) -> None:
        """Kill all its processes: each has a group of its own, and would outlive the first one for a moment."""
        with killed_after(children(self.pid)):
            super().kill9()

    def accepts(self) -> bool:
        """Tell whether the server takes statements, not only connections."""
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Execute one statement outside a transaction."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            connection.execute(statement.encode())

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database as a copy of the template, and return its URL."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.database_url(name)

    def empty_database(self, name: str, keep: Iterable[str] = ()) -> None:
        """Delete the rows of all tables but those to keep, whoever is connected, and let numbers begin anew."""
        tables = f"tablename <> ALL ('{{{','.join(keep)}}}')"
        self.execute(_EMPTY.format(tables=tables), name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@dataclass
class VersityGateway(Service):
    """An S3 service over a folder. `objects` may name one (on a small disk, say); `flags` are further ones of its own."""

    port: int = field(default_factory=free_port)
    objects: Path | None = None
    flags: Sequence[str] = ()
    access_key: str = "test"
    secret_key: str = "testtest"
    region: str = "us-east-1"

    def prepare(self) -> Child:
        """Return the gateway over a folder."""
        objects = self.objects or self.folder / "objects"
        objects.mkdir(exist_ok=True)
        return Child(
            argv=[
                tool("versitygw"),
                "--quiet",
                "--port",
                f"127.0.0.1:{self.port}",
                "--region",
                self.region,
                *self.flags,
                "posix",
                str(objects),
            ],
            log=self.folder / "log",
            ready=lambda: is_open(self.port),
            env={**os.environ, "ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
            cwd=self.folder,
        )

    @property
    def endpoint_url(self) -> str:
        """The URL for clients, who must use path-style addresses."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> "S3Client":
        """Return a boto3 client of the gateway; close it after use."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def create_bucket(self, name: str) -> str:
        """Create a bucket and return its name."""
        with contextlib.closing(self.client()) as client:
            client.create_bucket(Bucket=name)
        return name

    def settings(self, bucket: str, prefix: str = "") -> dict[str, str]:
        """Return the settings that make Moorage keep its blobs in a bucket here."""
        return {
            "MOORAGE_STORAGE_URL": f"s3://{bucket}/{prefix}".rstrip("/"),
            "MOORAGE_S3_ENDPOINT_URL": self.endpoint_url,
            "MOORAGE_S3_ACCESS_KEY_ID": self.access_key,
            "MOORAGE_S3_SECRET_ACCESS_KEY": self.secret_key,
            "MOORAGE_S3_REGION": self.region,
        }


@dataclass
class Dockerd(Service):
    """Docker's daemon without a network of its own, and its client."""

    insecure_registries: tuple[str, ...] = ()

    def prepare(self) -> Child:
        """Return the daemon; it starts a containerd of its own."""
        require_root()
        registries = [word for host in self.insecure_registries for word in ("--insecure-registry", host)]
        return Child(
            argv=[
                tool("dockerd"),
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
                "--storage-driver",
                "vfs",
                "--data-root",
                str(self.folder / "data"),
                "--exec-root",
                str(self.folder / "exec"),
                "-H",
                f"unix://{self.socket}",
                "--pidfile",
                str(self.folder / "pid"),
                *registries,
            ],
            log=self.folder / "log",
            ready=self.answers,
            cwd=self.folder,
        )

    def clean(self) -> None:
        """Remove the folder, and what running containers left mounted in it."""
        for mount in _mounts_below(self.folder):
            subprocess.run([tool("umount"), "--lazy", mount], check=False, capture_output=True)
        super().clean()

    @property
    def socket(self) -> Path:
        """The socket the daemon listens on."""
        return self.folder / "sock"

    @property
    def environment(self) -> dict[str, str]:
        """What makes any Docker client speak to this daemon, with credentials of its own."""
        return {
            **os.environ,
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.folder / "config"),
        }

    def answers(self) -> bool:
        """Ask the daemon whether it is up."""
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(5)
            connection.sock.connect(str(self.socket))
            connection.request("GET", "/_ping")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def docker(self, *args: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Call Debian's docker client; with `check` a failure raises with its output."""
        return _run([tool("docker"), *args], self.environment, check=check, timeout=timeout)


@dataclass
class Containerd(Service):
    """containerd alone, and its client `ctr`."""

    def prepare(self) -> Child:
        """Write the configuration and return the daemon."""
        require_root()
        config = self.folder / "config.toml"
        config.write_text(
            "version = 2\n"
            f'root = "{self.folder}/root"\n'
            f'state = "{self.folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{self.socket}"\n'
            f'[ttrpc]\n  address = "{self.socket}.ttrpc"\n'
        )
        return Child(
            argv=[tool("containerd"), "-c", str(config)],
            log=self.folder / "log",
            ready=lambda: self.ctr("version", check=False).returncode == 0,
            cwd=self.folder,
        )

    def clean(self) -> None:
        """Remove the folder, and what was left mounted in it."""
        for mount in _mounts_below(self.folder):
            subprocess.run([tool("umount"), "--lazy", mount], check=False, capture_output=True)
        super().clean()

    @property
    def socket(self) -> Path:
        """The socket the daemon listens on."""
        return self.folder / "sock"

    def ctr(self, *args: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Call `ctr`; with `check` a failure raises with its output."""
        return _run([tool("ctr"), "-a", str(self.socket), *args], None, check=check, timeout=timeout)


def _run(
    argv: list[str], env: dict[str, str] | None, *, check: bool, timeout: float
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def _mounts_below(folder: Path) -> list[str]:
    """Return the mount points under a folder, the innermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{folder}/")), key=len, reverse=True)
