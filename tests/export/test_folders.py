"""mmctr_kit.export.folders: copies that are folders."""

from pathlib import Path

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.export.folders import digest_in, mark, remove, require_folder
from mmctr_kit.export.record import Record

RECORD = Record("a", "k" * 64, {"kind": "cv"}, {}, {"valid_auc": 0.7})


def test_a_place_that_cannot_be_a_folder_is_one_line(tmp_path: Path) -> None:
    assert require_folder(tmp_path / "new" / "deep").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write to the folder .*file.*; name another"):
        require_folder(tmp_path / "file")


def test_a_folder_is_a_whole_copy_once_it_is_marked(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    assert digest_in([]) is None
    assert digest_in([folder]) == ""
    mark(folder, RECORD)
    assert digest_in([folder]) == RECORD.digest
    assert digest_in([folder, tmp_path]) == ""  # two copies: neither counts
    remove([folder])
    assert not folder.exists()
