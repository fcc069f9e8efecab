"""The URL of a database: what is refused, what is shown, what is never shown."""

import importlib.util
from pathlib import Path

import pytest
import sqlalchemy

from mmctr_kit.errors import UsageError
from mmctr_kit.tuning.address import parse_address

HAS_PSYCOPG = importlib.util.find_spec("psycopg") is not None


@pytest.fixture
def any_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if psycopg were installed."""
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    monkeypatch.setattr(PGDialect_psycopg, "import_dbapi", classmethod(lambda _: None))


@pytest.mark.usefixtures("any_driver")
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_plain_url_gets_the_driver_of_the_extra(scheme: str) -> None:
    address = parse_address(f"{scheme}://me:s%40cret@db.lab:5433/tuning?sslmode=require")
    assert address.url == "postgresql+psycopg://me:s%40cret@db.lab:5433/tuning?sslmode=require"
    assert address.place == "postgresql://db.lab:5433/tuning"
    assert 0 < address.options["connect_timeout"] <= 10


@pytest.mark.usefixtures("any_driver")
def test_what_the_url_asks_of_its_driver_is_left_to_it() -> None:
    address = parse_address("postgresql:///tuning?host=/run/postgresql&connect_timeout=60")
    assert "connect_timeout" not in address.options
    assert address.place == "postgresql:///run/postgresql/tuning"


@pytest.mark.usefixtures("any_driver")
def test_the_password_is_in_nothing_that_is_shown() -> None:
    address = parse_address("postgresql://me:s%40cret@db.lab/tuning?passfile=s@cret")
    assert address.has_password
    assert not parse_address("postgresql://me@db.lab/tuning").has_password
    assert "cret" not in repr(address)
    assert "cret" not in address.place
    assert address.without_password("bad\npassword s@cret") == "bad password ***"


def test_the_file_of_sqlite_is_the_same_wherever_a_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = parse_address("sqlite:///tuning.db")
    assert address.file == tmp_path / "tuning.db"
    assert sqlalchemy.make_url(address.url).database == str(tmp_path / "tuning.db")
    assert address == parse_address(f"sqlite:///{tmp_path}/tuning.db")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3cret", "--storage is no URL of a database; expected postgresql://USER@HOST/DATABASE, "),
        ("postgresql://me:pass@host:s3cret/tuning", "--storage is no URL of a database; expected"),
        ("oracle://me:s3cret@host/tuning", "--storage oracle://... holds no studies; expected"),
        ("grpc://me:s3cret@host", "--storage grpc://... holds no studies; expected postgresql"),
        ("mysql+no://me:s3cret@host/x", "--storage: SQLAlchemy knows no mysql+no; expected"),
        ("mysql://me:s3cret@host/x", "--storage mysql://... needs mysqldb, not installed here; "),
        ("sqlite://", "--storage sqlite:// names no file; expected sqlite:///FILE.db"),
        ("sqlite:////nowhere/s.db", "--storage: there is no folder /nowhere for s.db"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_address(url)
    assert str(refused.value).startswith(told)
    assert "s3cret" not in str(refused.value)


@pytest.mark.skipif(HAS_PSYCOPG, reason="psycopg is installed")
def test_a_missing_driver_is_told_with_the_extra_that_brings_it() -> None:
    with pytest.raises(UsageError) as refused:
        parse_address("postgresql://me@host/tuning")
    assert str(refused.value) == (
        "--storage postgresql://... needs psycopg, not installed here; "
        "pip install 'mmctr-kit[postgres]'"
    )
