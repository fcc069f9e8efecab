"""A PostgreSQL server of the tests' own, from Debian's package, started and stopped by them."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

USER, PASSWORD = "tuner", "se cr@t/%{}"
"""Whoever does not quote the password fails."""


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl; None if there is no PostgreSQL here."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    return max((p.parent for p in debian), key=lambda p: int(p.parent.name), default=None)


class Server:
    """A cluster in a new folder, with one user and an empty database ``tuning``; not started."""

    def __init__(self) -> None:
        found = binaries()
        assert found is not None
        self.bin, self.folder = found, Path(tempfile.mkdtemp(prefix="mmctr-kit-postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        login = (f"--username={USER}", f"--pwfile={secret}", "--auth=scram-sha-256")
        self._do("initdb", f"--pgdata={self.folder / 'cluster'}", *login, "--no-sync")

    @property
    def url(self) -> str:
        from sqlalchemy import URL

        made = URL.create("postgresql", USER, PASSWORD, "127.0.0.1", self.port, "tuning")
        return made.render_as_string(hide_password=False)

    @property
    def place(self) -> str:
        """What may be shown of the URL."""
        return f"postgresql://127.0.0.1:{self.port}/tuning"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._do("pg_ctl", "start", *self._cluster, "--wait", f"--options={options}")

    def stop(self, mode: str) -> None:
        """Stop the server: "fast", or "immediate", which is a crash."""
        self._do("pg_ctl", "stop", *self._cluster, "--wait", f"--mode={mode}")

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def sql(self, line: str, database: str = "tuning") -> list[tuple[Any, ...]]:
        """The rows that a statement returns, done outside of a transaction."""
        import psycopg

        login = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD}
        with psycopg.connect(dbname=database, autocommit=True, **login) as connection:
            cursor = connection.execute(line)
            return cursor.fetchall() if cursor.description else []

    @property
    def _cluster(self) -> tuple[str, str]:
        return f"--pgdata={self.folder / 'cluster'}", f"--log={self.folder / 'log'}"

    def _do(self, program: str, *arguments: str) -> None:
        # Not to a pipe: the server would keep it open.
        with (self.folder / f"{program}.out").open("a") as out:
            command = [str(self.bin / program), *arguments]
            done = subprocess.run(
                command, user=self.user, cwd=self.folder, stdout=out, stderr=out, timeout=60
            )
        assert done.returncode == 0, (self.folder / f"{program}.out").read_text()
