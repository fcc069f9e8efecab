"""Files written whole or not at all, read back with one-line errors; locks, free places."""

from mmctr_kit.files.formats import (
    Arrays,
    file_sha256,
    load_arrays,
    may_enter,
    read_columns,
    read_json,
    regular,
    save_arrays,
    write_json,
    write_table,
)
from mmctr_kit.files.locks import is_locked, locked
from mmctr_kit.files.writing import (
    Stamp,
    file_stamp,
    folder_size,
    is_workplace,
    made_folder,
    new_folder,
    remove_leftovers,
    require_free,
    require_new_folder,
    workplace,
    write_whole,
)

__all__ = [
    "Arrays",
    "Stamp",
    "file_sha256",
    "file_stamp",
    "folder_size",
    "is_locked",
    "is_workplace",
    "load_arrays",
    "locked",
    "made_folder",
    "may_enter",
    "new_folder",
    "read_columns",
    "read_json",
    "regular",
    "remove_leftovers",
    "require_free",
    "require_new_folder",
    "save_arrays",
    "workplace",
    "write_json",
    "write_table",
    "write_whole",
]
