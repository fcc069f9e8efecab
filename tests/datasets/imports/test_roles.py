"""What columns hold: the time above all, by its name or by its values."""

from pathlib import Path

import pytest

from mmctr_kit.datasets.imports.roles import Roles, item_roles, likeness, log_roles, time_by_values
from mmctr_kit.datasets.imports.sample import Sample, take_sample

ROWS = [(u, i, 1_600_000_000 + 50 * u + 1000 * i) for u in range(6) for i in range(8)]


def sample_of(folder: Path, header: str, *rows: str) -> Sample:
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    return take_sample(folder / "t.csv")


def names(roles: Roles) -> dict[str, str]:
    return {role: column.name for role, column in roles.items()}


@pytest.mark.parametrize("name", ["when", "Rated_At", "unix", "event_date", "created_at", "ts"])
@pytest.mark.parametrize("time", ["1600000000", "2020-09-13 12:26:40"])
def test_a_time_is_known_by_many_names(tmp_path: Path, name: str, time: str) -> None:
    sample = sample_of(tmp_path, f"user,movie,stars,{name}", f"1,2,3,{time}", f"1,3,4,{time}")
    assert names(log_roles(sample)) == {
        "user": "user", "item": "movie", "time": name, "rating": "stars",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([f"{t}" for *_, t in ROWS], True),
        ([f"{t}000" for *_, t in ROWS], True),
        ([f"2020-01-{1 + i:02} 10:00:00" for _, i, _ in ROWS[:-1]] + ["2021-01-01"], True),
        (["0", *(f"{t}" for *_, t in ROWS[1:])], True),
        (["soon", *(f"2020-01-{1 + u + i:02}" for u, i, _ in ROWS[1:])], True),
        (["", *(f"{t}" for *_, t in ROWS[1:])], False),  # an import needs one in every row
        ([f"{t - 1_200_000_000}" for *_, t in ROWS], False),  # 1982
        ([f"{1_600_000_000 + u}" for u, *_ in ROWS], False),  # of the user, as a birthday is
        ([f"2020-01-{1 + i:02}" for _, i, _ in ROWS], False),  # of the item, as its release is
        (["2020-01-01" for _ in ROWS], False),
    ],
)
def test_a_column_of_another_name_is_the_time_if_its_values_plainly_are(
    tmp_path: Path, values: list[str], found: bool
) -> None:
    rows = [f"{u},{i},{v}" for (u, i, _), v in zip(ROWS, values, strict=True)]
    sample = sample_of(tmp_path, "user,item,zeit", *rows)
    column = time_by_values(sample, log_roles(sample))
    assert (column.name if column else None) == ("zeit" if found else None)


def test_of_two_columns_of_times_neither_is_taken(tmp_path: Path) -> None:
    rows = [f"{u},{i},{t},{t + 7 * i}" for u, i, t in ROWS]
    sample = sample_of(tmp_path, "user,item,zeit,ende", *rows)
    assert time_by_values(sample, log_roles(sample)) is None


def test_a_table_of_items_is_known_by_the_ids_of_the_log(tmp_path: Path) -> None:
    log = log_roles(sample_of(tmp_path, "user,item", "a,x", "b,y"))
    items = sample_of(tmp_path, "key,title,genres", "x,Shoe,a|b", "y,Hat,b")
    assert names(item_roles(items, log)) == {"id": "key", "title": "title", "tags": "genres"}
    users = sample_of(tmp_path, "user,age", "a,3")
    assert likeness(items, log) > likeness(users, log)
