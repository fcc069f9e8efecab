"""The address of a database that stores trials: checked, and shown without who logs in and how."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

_EXPECTED = (
    "expected postgresql://USER@HOST/DATABASE, mysql+pymysql://USER@HOST/DATABASE or "
    "sqlite:///FILE.db"
)
_SQLITE = "sqlite"
_BACKENDS = ("postgresql", "mysql", _SQLITE)

_SECONDS = 5
"""How long to wait for a server that does not answer."""
_LIBPQ = {
    "connect_timeout": _SECONDS,
    # A connection whose server has vanished from the network breaks after a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_CONNECT: dict[str, dict[str, Any]] = {
    "psycopg": _LIBPQ,
    "psycopg2": _LIBPQ,
    "pymysql": {"connect_timeout": _SECONDS},
    "mysqldb": {"connect_timeout": _SECONDS},
    # How long one waits for the others' writes.
    "pysqlite": {"timeout": 60},
}
"""Options for the connection of each driver, unless the URL has others."""


@dataclass(frozen=True)
class Address:
    """A database that SQLAlchemy can open: its driver is installed.

    ``url`` may hold a password: it is for SQLAlchemy alone. ``place`` is the URL without user,
    password, driver and options: it may be shown and written to files. ``options`` are the
    driver's. ``file`` is the file of an SQLite database.
    """

    url: str = field(repr=False)
    place: str
    options: dict[str, Any]
    file: Path | None

    @property
    def has_password(self) -> bool:
        """Whether a password is in the URL, not with the user or in the environment."""
        from sqlalchemy import make_url

        url = make_url(self.url)
        return url.password is not None or any("passw" in key for key in url.query)

    def without_password(self, text: str) -> str:
        """The text on one line, with stars for the password if it is in there."""
        from sqlalchemy import make_url

        secret, line = make_url(self.url).password, " ".join(text.split())
        return line.replace(str(secret), "***") if secret else line


def parse_address(text: str) -> Address:
    """Parse a URL like ``postgresql://me@host/tuning``; a driver for PostgreSQL is chosen.

    Raises UsageError, which does not repeat the text, if it is no URL of a database that can hold
    a study or if the driver is not installed.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        # Not "from" it: its text may have the password.
        raise UsageError(f"--storage is no URL of a database; {_EXPECTED}") from None
    backend, _, driver = url.drivername.partition("+")
    backend = {"postgres": "postgresql"}.get(backend, backend)
    if backend not in _BACKENDS:
        raise UsageError(f"--storage {backend}://... holds no studies; {_EXPECTED}")
    if backend == "postgresql":
        url = url.set(drivername=f"{backend}+{driver or 'psycopg'}")
    file = None
    if backend == _SQLITE:
        if url.database in (None, "", ":memory:"):
            raise UsageError("--storage sqlite:// names no file; expected sqlite:///FILE.db")
        file = Path(str(url.database)).resolve()
        if not file.parent.is_dir():
            raise UsageError(f"--storage: there is no folder {file.parent} for {file.name}")
        url = url.set(database=str(file))
    try:
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except NoSuchModuleError as e:
        raise UsageError(f"--storage: SQLAlchemy knows no {url.drivername}; {_EXPECTED}") from e
    except ImportError as e:
        raise UsageError(_absent(backend, dialect.driver)) from e
    given = _CONNECT.get(dialect.driver, {})
    options = {key: value for key, value in given.items() if key not in url.query}
    return Address(url.render_as_string(hide_password=False), _place(backend, url), options, file)


def _absent(backend: str, driver: str) -> str:
    needs = f"--storage {backend}://... needs {driver}, not installed here"
    if driver == "psycopg":
        return f"{needs}; pip install 'mmctr-kit[postgres]'"
    other = f"; or write {backend}+DRIVER:// for a driver that is" if backend == "mysql" else ""
    return f"{needs}; install it{other}"


def _place(backend: str, url: "URL") -> str:
    """The backend, host, port and database: the same for everybody who uses that database."""
    hosts = url.host or url.query.get("host", "")
    host = hosts if isinstance(hosts, str) else ",".join(hosts)
    port = "" if url.port is None else f":{url.port}"
    return f"{backend}://{host}{port}/{url.database or ''}"
