"""PostgreSQL, Redis and an S3 server on loopback, in a folder of their own: what holds the state of a platform."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs import Program, free_port, listens, wait_until

NOBODY = "postgres"
"""The user that Debian's package makes; PostgreSQL refuses to be run by root."""
PASSWORDS = {"POSTGRES_PASSWORD": "of-the-tests-1", "REDIS_PASSWORD": "of-the-tests-2", "S3_SECRET_KEY": "of-the-tests-3"}
KEYS = {"AWS_ACCESS_KEY_ID": "recpipe", "AWS_SECRET_ACCESS_KEY": PASSWORDS["S3_SECRET_KEY"]}


@dataclass
class Stores:
    """The three, with their ports.

    Attributes
    ----------
    folder
        Where their data and logs lie.
    postgres, redis, s3
        The programs; each can be stopped, killed and started again.
    postgres_port, redis_port, s3_port
        Where they listen, on 127.0.0.1.
    """

    folder: Path
    postgres: Program
    redis: Program
    s3: Program
    postgres_port: int
    redis_port: int
    s3_port: int

    def database(self, name: str, driver: str = "postgresql+psycopg2") -> str:
        """Return the address of a database (``airflow``, ``mlflow``) for SQLAlchemy."""
        return f"{driver}://airflow:{PASSWORDS['POSTGRES_PASSWORD']}@127.0.0.1:{self.postgres_port}/{name}"

    @property
    def s3_url(self) -> str:
        """Address of the S3 server."""
        return f"http://127.0.0.1:{self.s3_port}"

    @property
    def s3_options(self) -> dict[str, str]:
        """Storage options with which Delta reaches it, secrets included."""
        return {
            "AWS_ENDPOINT_URL": self.s3_url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "conditional_put": "etag", **KEYS,
        }  # fmt: skip

    def s3_client(self, url: str = "") -> Any:
        """Return a client of boto3."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=url or self.s3_url, region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def restart_postgres(self) -> None:
        """Restart PostgreSQL as an administrator would: every connection is cut."""
        self.postgres.stop(signal.SIGINT)
        self.postgres.start()
        self.wait_for_postgres()

    def wait_for_postgres(self) -> None:
        """Wait until it takes connections."""
        import psycopg2

        def ready() -> bool:
            try:
                psycopg2.connect(self.database("airflow", "postgresql")).close()
            except psycopg2.OperationalError:
                return False
            return True

        wait_until("PostgreSQL takes connections", ready, [self.postgres])

    def stop(self) -> None:
        """Stop all three."""
        self.postgres.stop(signal.SIGINT)
        self.redis.stop()
        self.s3.stop()


def start_stores(folder: Path) -> Stores:
    """Start the three under a folder, which must not be closed to other users, and return them when they answer."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "AWS_"))}
    port, redis_port, s3_port = free_port(), free_port(), free_port()
    stores = Stores(
        folder,
        Program("postgres", _as_nobody(_postgres(folder, port)), plain, folder),
        Program("redis", _redis(folder, redis_port), plain, folder),
        Program("s3", (sys.executable, str(Path(__file__).with_name("s3_server.py")), str(s3_port)), plain, folder),
        port, redis_port, s3_port,
    )  # fmt: skip
    try:
        _create_cluster(folder)
        for program in (stores.postgres, stores.redis, stores.s3):
            program.start()
        wait_until("Redis listens", lambda: listens(redis_port), [stores.redis])
        wait_until("S3 listens", lambda: listens(s3_port), [stores.s3])
        _create_databases(stores)
    except BaseException:
        stores.stop()
        raise
    return stores


def binary(name: str) -> str:
    """Return the path of a program of PostgreSQL, of the newest version that Debian installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"There is no {name}: run tests/services/install.sh."
    return path


def _as_nobody(command: tuple[str, ...]) -> tuple[str, ...]:
    if os.geteuid():
        return command
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--init-groups", *command)


def _postgres(folder: Path, port: int) -> tuple[str, ...]:
    data = folder / "postgres"
    # a crash of the machine would lose what stands here, and nobody would mind
    options = ("fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}", "max_connections=200")
    return (binary("postgres"), "-D", str(data), "-p", str(port), *(word for option in options for word in ("-c", option)))


def _create_cluster(folder: Path) -> None:
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    word = folder / "password"
    word.write_text(PASSWORDS["POSTGRES_PASSWORD"])
    if not os.geteuid():
        shutil.chown(data, NOBODY, NOBODY)
        shutil.chown(word, NOBODY)
    options = ("--username=airflow", f"--pwfile={word}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-locale")
    done = subprocess.run(
        _as_nobody((binary("initdb"), "-D", str(data), *options)), capture_output=True, text=True, cwd=folder, check=False
    )
    word.unlink()
    assert done.returncode == 0, done.stdout + done.stderr


def _create_databases(stores: Stores) -> None:
    import psycopg2

    def ask(statement: str) -> None:
        connection = psycopg2.connect(stores.database("postgres", "postgresql"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def created() -> bool:
        try:
            ask("CREATE DATABASE airflow OWNER airflow")
        except psycopg2.OperationalError:
            return False
        return True

    wait_until("PostgreSQL takes connections", created, [stores.postgres])
    ask(Path(__file__).parents[2].joinpath("docker", "postgres-mlflow.sql").read_text().partition("\n")[2])


def _redis(folder: Path, port: int) -> tuple[str, ...]:
    settings = folder / "redis.conf"
    lines = (f"port {port}", "bind 127.0.0.1", f"requirepass {PASSWORDS['REDIS_PASSWORD']}", f"dir {folder}", "save ''")
    settings.write_text("\n".join(lines) + "\n")
    settings.chmod(0o600)
    return ("redis-server", str(settings))
