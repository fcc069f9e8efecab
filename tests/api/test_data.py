"""A data set from Python: generated, loaded and checked by str or Path."""

from pathlib import Path

import pytest

import mmctr_kit


def test_a_generated_data_set_is_found_by_str_and_by_path(tmp_path: Path) -> None:
    made = mmctr_kit.generate_data(str(tmp_path / "world"), "tiny", seed=3)
    assert set(made.best_auc) == {"train", "valid", "test"}
    by_path, by_str = (mmctr_kit.load_data(folder) for folder in (made.data, str(made.data)))
    assert len(by_path.train) == len(by_str.train) == 2000
    assert mmctr_kit.check_data(made.data).ok


def test_a_wrong_preset_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(mmctr_kit.UsageError, match="no preset 'tyni'"):
        mmctr_kit.generate_data(tmp_path / "world", "tyni")
    assert not (tmp_path / "world").exists()
