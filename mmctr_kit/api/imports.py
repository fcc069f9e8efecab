"""Import logs, items and pictures from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath, Settings, as_lines, names_of
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from mmctr_kit.datasets.imports.load import GuessedSpec
    from mmctr_kit.datasets.imports.spec import Spec
    from mmctr_kit.datasets.imports.write import ImportedData


def import_data(
    spec: AnyPath,
    out: AnyPath,
    *,
    items: AnyPath | None = None,
    source: AnyPath | None = None,
    set: Settings = (),
    progress: Progress = None,
) -> "ImportedData":
    """Write a data folder from somebody's log, items and pictures, as a SPEC says.

    Parameters
    ----------
    spec : str or Path
        A YAML file; the name of a shipped SPEC such as ``"movielens-csv"`` (``example`` explains
        every key); or a log, for which the SPEC is guessed.
    out : str or Path
        A new folder. Besides the data it gets ``import/``: a report of every row that was left
        out, the SPEC with every key, and the original ids of users and items.
    items : str or Path, optional
        A table of the items, if ``spec`` is a log.
    source : str or Path, optional
        The folder that the paths in the SPEC start from. By default that of the SPEC; of a shipped
        SPEC the working folder.
    set : mapping or list of str
        Keys of the SPEC to override, such as ``{"split.by": "time"}``.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    ImportedData
        The folder, and the numbers of its report.

    Raises
    ------
    UsageError
        If the SPEC is wrong or its guess has gaps, a file is missing, or ``out`` is not empty.
    DataError
        If a file cannot be read, or makes no data set; it names the file and the row.

    Examples
    --------
    >>> from pathlib import Path
    >>> log = [f"{u},{i},{10 * u + i}" for u in range(40) for i in range(u % 7, u % 7 + 9)]
    >>> _ = Path("log.csv").write_text("\\n".join(["user,item,time", *log]))
    >>> keys = "{files: log.csv, user: user, item: item, time: time, time_unit: s}"
    >>> _ = Path("spec.yaml").write_text(f"interactions: {keys}")
    >>> made = mmctr_kit.import_data("spec.yaml", "mine", set={"rows.per_positive": 1})
    >>> made.users, made.items, round(made.label_mean, 2)
    (39, 15, 0.5)
    """
    from mmctr_kit.datasets.imports.load import find_spec, load_shipped, load_spec, shipped
    from mmctr_kit.datasets.imports.load import guess_spec as guess_tables
    from mmctr_kit.datasets.imports.sources import is_table

    if is_table(Path(spec)):
        if source is not None:
            raise UsageError(f"source goes with a SPEC; found the log '{spec}'; name its path")
        tables = [Path(spec), *([Path(items)] if items else [])]
        guess = guess_tables(tables, as_lines(set))
        return _run(guess.spec, Path(), Path(out), progress, guess)
    if items is not None:
        raise UsageError(f"items goes with a log as SPEC; found '{spec}', whose key is items.files")
    path = find_spec(str(spec))
    if source is None and path in shipped().values():
        return _run(load_shipped(path.stem, as_lines(set)), Path(), Path(out), progress)
    folder = path.parent if source is None else Path(source)
    return _run(load_spec(path, as_lines(set)), folder, Path(out), progress)


def import_movielens(
    source: AnyPath, out: AnyPath, *, seed: int = 0, progress: Progress = None
) -> "ImportedData":
    """Write a data folder from MovieLens ratings, in any format of GroupLens or RecBole.

    The files tell which shipped SPEC fits; ratings of 4 or more are positives. Arguments and
    errors are otherwise those of :func:`import_data`.

    Parameters
    ----------
    source : str or Path
        A folder with u.data, ratings.dat, ratings.csv or a RecBole .inter file, or that file.
    out : str or Path
        A new folder.
    seed : int
        Draws the negatives and the split.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    ImportedData
        The folder, and the numbers of its report.

    Raises
    ------
    UsageError
        If there is no ratings file, or ``out`` is not empty.
    DataError
        If a file cannot be read; it names the file and the row.

    Examples
    --------
    >>> from pathlib import Path
    >>> Path("ml").mkdir()
    >>> log = [f"{u},{m},{3 + m % 3},{10 * u + m}" for u in range(40) for m in range(u, u + 20)]
    >>> head = "userId,movieId,rating,timestamp"
    >>> _ = Path("ml/ratings.csv").write_text("\\n".join([head, *log]))
    >>> films = [f"{m},Film {m} (1995),Drama|War" for m in range(60)]
    >>> _ = Path("ml/movies.csv").write_text("\\n".join(["movieId,title,genres", *films]))
    >>> made = mmctr_kit.import_movielens("ml", "ml-mmctr")
    >>> made.users, made.items, made.label_mean
    (38, 59, 0.25)
    """
    from mmctr_kit.datasets.imports.movielens import spec_of

    spec, folder = spec_of(Path(source), seed)
    return _run(spec, folder, Path(out), progress)


def _run(
    spec: "Spec", folder: Path, out: Path, progress: Progress, guess: "GuessedSpec | None" = None
) -> "ImportedData":
    from mmctr_kit.datasets.imports.write import import_data as run

    with listening(progress) as listen:
        return run(
            spec,
            folder,
            out,
            lambda stage, done: listen(ProgressEvent("load", "", stage, done, 1.0)),
            guess.notes if guess else (),
            guess.guessed_rules if guess else (),
        )


def guess_spec(files: Sequence[AnyPath]) -> str:
    """The SPEC that tables seem to need, as commented YAML to look through and mend.

    Parameters
    ----------
    files : list of str or Path
        The log, and tables of items if there are some; their headers and first rows are read.

    Returns
    -------
    str
        A SPEC for :func:`import_data`. A comment says where the tables do not tell.

    Raises
    ------
    UsageError
        If a file is missing.
    DataError
        If a file is no table.

    Examples
    --------
    >>> from pathlib import Path
    >>> rows = ["u1,a,1600000000,1", "u1,b,1600000100,0", "u2,a,1600000200,1"]
    >>> _ = Path("clicks.csv").write_text("\\n".join(["userId,itemId,timestamp,click", *rows]))
    >>> spec = mmctr_kit.guess_spec(["clicks.csv"])
    >>> print([line for line in spec.splitlines() if "positive:" in line])
    ['  positive: click == 1']
    """
    from mmctr_kit.datasets.imports.guess import guess

    return guess([Path(file) for file in names_of(files, "files")])
