"""Finds the shipped SPEC of a MovieLens folder by its files."""

from pathlib import Path

from mmctr_kit.datasets.imports.load import load_spec, shipped
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.errors import DataError, UsageError

MAX_SEED = 2**31 - 1
_SPECS = {
    "u.data": "movielens-100k",
    "ratings.dat": "movielens-dat",
    "ratings.csv": "movielens-csv",
}
_KNOWN = "u.data, ratings.dat, ratings.csv or a RecBole *.inter file"


def spec_of(source: Path, seed: int) -> tuple[Spec, Path]:
    """The SPEC for ``source``, a folder or the ratings file itself, and the folder of the files.

    Raises UsageError if there is no ratings file or several, and for a seed out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed is {seed}; expected 0 to {MAX_SEED}")
    ratings = _ratings_file(source)
    name = "recbole" if ratings.suffix == ".inter" else _SPECS[ratings.name]
    settings = [f"seed={seed}"]
    if name == "recbole" and (source.is_file() or len(list(ratings.parent.glob("*.item"))) != 1):
        items = _recbole_items(ratings)
        settings += [f"interactions.files={ratings.name!r}", f"items.files={items.name!r}"]
    return load_spec(shipped()[name], settings), ratings.parent


def _ratings_file(source: Path) -> Path:
    if source.is_file():
        if source.suffix != ".inter" and source.name not in _SPECS:
            raise UsageError(f"'{source}' is no ratings file by its name; expected {_KNOWN}")
        return source
    if not source.is_dir():
        raise UsageError(f"nothing at '{source}'; expected a folder with {_KNOWN}")
    files = [source / n for n in _SPECS if (source / n).is_file()]
    files += sorted(source.glob("*.inter"))
    if not files:
        raise DataError(f"no ratings file in '{source}'; expected {_KNOWN}")
    if len(files) > 1:
        names = ", ".join(p.name for p in files)
        raise UsageError(f"several ratings files in '{source}' ({names}); name one of them as SRC")
    return files[0]


def _recbole_items(ratings: Path) -> Path:
    same, others = ratings.with_suffix(".item"), sorted(ratings.parent.glob("*.item"))
    return others[0] if not same.is_file() and len(others) == 1 else same
