"""mmctr_kit.tuning.journal_sum: a line of the journal that was changed or lost is noticed."""

from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.errors import RunError
from mmctr_kit.tuning.journal import journal_storage
from mmctr_kit.tuning.journal_sum import _line, require_intact, sum_file, sum_up


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of three trials. Read only."""
    path = tmp_path_factory.mktemp("s.study") / "study.journal"
    study = optuna.create_study(study_name="study", storage=journal_storage(path))
    for value in (0.1, 0.2, 0.3):
        study.tell(study.ask(), value)
    return path


@given(st.data())
def test_any_change_of_it_is_noticed(
    journal: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    copy = tmp_path_factory.mktemp("s.study") / "study.journal"
    sum_file(copy).write_bytes(sum_file(journal).read_bytes())
    content = bytearray(journal.read_bytes())
    copy.write_bytes(content)
    require_intact(copy)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    copy.write_bytes(content if data.draw(st.booleans()) else content[:place])
    with pytest.raises(RunError, match=r"study\.journal was changed since it was written"):
        require_intact(copy, anew=True)


def test_a_damaged_journal_is_neither_read_nor_written(journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study.journal"
    sum_file(copy).write_bytes(sum_file(journal).read_bytes())
    copy.write_bytes(journal.read_bytes())
    study = optuna.load_study(study_name="study", storage=journal_storage(copy))
    text = copy.read_text()
    sum_file(copy).write_text(_line(len(text), "0" * 64))
    with pytest.raises(RunError, match=r"study\.journal was changed"):
        study.ask()
    assert copy.read_text() == text


@pytest.mark.parametrize("text", ["", "x", "9 ", f"{10**30} {'0' * 64}", "\xff"])
def test_a_damaged_sum_is_named(journal: Path, tmp_path: Path, text: str) -> None:
    copy = tmp_path / "study.journal"
    copy.write_bytes(journal.read_bytes())
    sum_file(copy).write_text(text, "latin-1")
    with pytest.raises(RunError, match=r"study\.journal\.sum was changed"):
        require_intact(copy)


def test_lines_after_the_sum_are_those_of_a_killed_writer(journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study.journal"
    copy.write_bytes(journal.read_bytes())
    require_intact(copy)  # an earlier version began it
    sum_up(copy)
    with copy.open("a") as handle:
        handle.write('{"half": 1}\n{"no e')
    require_intact(copy)
    sum_up(copy)
    size, *_ = sum_file(copy).read_text().split()
    assert int(size) == len(copy.read_bytes().rpartition(b"\n")[0]) + 1
    copy.unlink()
    with pytest.raises(RunError, match=r"study\.journal is missing"):
        require_intact(copy)
