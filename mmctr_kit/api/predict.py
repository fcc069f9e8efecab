"""Score other rows with a finished run from Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmctr_kit.api.preflight import AnyPath, as_data
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.api.results import html
from mmctr_kit.errors import UsageError, plural

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mmctr_kit.cv.fold import Job
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.data.new_rows import NewRows
    from mmctr_kit.runs.run import Run


@dataclass(frozen=True, repr=False)
class PredictedRows:
    """Scores of the rows of a file, in its order.

    ``path``: the file that was written, if any. ``new_users``: how many rows are of users who have
    no train row; ``new_items``: how many have an item that is the target of no train row. Of
    ``shortened`` rows, the histories lost ``left_out`` items that item_info does not have.
    """

    run: str
    path: Path | None
    columns: "dict[str, NDArray[Any]]"
    new_users: int
    new_items: int
    shortened: int
    left_out: int

    @property
    def rows(self) -> int:
        """How many rows were scored."""
        return len(self.columns["logit"])

    def table(self) -> "pd.DataFrame":
        """``ID``, or ``user_id`` and ``item_id``; ``logit``; ``score`` in [0, 1], in its order."""
        import pandas as pd

        return pd.DataFrame(self.columns)

    def remark(self) -> str:
        """What the run does not know of the rows, in one line."""
        return (
            f"of {plural(self.rows, 'row')}, {self.new_users:,} are of users that the run has not "
            f"trained on, and {self.new_items:,} ask for items that were no target in training"
        )

    def to_json(self) -> dict[str, Any]:
        """The counts, the run and the file."""
        names = ("new_users", "new_items", "shortened", "left_out")
        where = None if self.path is None else str(self.path)
        counts = {name: getattr(self, name) for name in names}
        return {"run": self.run, "out": where, "rows": self.rows, **counts}

    def __repr__(self) -> str:
        return f"PredictedRows({self.run!r}, {plural(self.rows, 'row')})"

    def _repr_html_(self) -> str:
        return html(f"{self.run}: {self.remark()}", self.table())


def predict(
    run: "AnyPath | Run",
    rows: "str | Path | pd.DataFrame",
    data: "str | Path | ChallengeData",
    *,
    out: AnyPath | None = None,
    device: str = "auto",
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> PredictedRows:
    """Score rows that are not of the data set with a cross-validation, a single fit or a blend.

    A row is scored exactly as the run scored its test rows: a cross-validation by the mean of its
    fold models, a blend by its method, fitted again from its runs' OOF predictions. On a CPU the
    run's own test rows give its own test predictions, bit for bit.

    Parameters
    ----------
    run : str, Path or Run
        The run or blend; it, and a blend's runs, must have their weights.
    rows : str, Path or DataFrame
        A parquet or CSV file, or a table, with the challenge's columns: user_id, item_seq, item_id,
        likes_level, views_level and, if wanted, ID; others are ignored. In a CSV file a history is
        numbers between commas or spaces, in brackets or not, such as ``"[3, 17, 5]"`` or
        ``3 17 5``, the most recent item last. Items that item_info does not have are left out of
        histories, with a warning.
    data : str, Path or ChallengeData
        The data that the run was trained on.
    out : str or Path, optional
        A new .parquet or .csv file for ``table()``; by default none is written.
    device : str
        ``"auto"`` (a GPU, or the CPU), ``"cpu"``, ``"cuda"`` or ``"cuda:0"``.
    force : bool
        Replace a file at ``out``.
    runs : str or Path
        Folder of the run folders.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    PredictedRows
        ``table()`` in the order of ``rows``, and how many users and items are new to the run.

    Raises
    ------
    UsageError
        If there is no such run or file, or ``out`` may not be written.
    DataError
        If ``rows`` lack a column, or ask for items that item_info does not have.
    RunError
        If the run is of other data, was imported, is transductive, or lacks weights.

    Examples
    --------
    >>> made = mmctr_kit.predict("din_demo", "world/data/MicroLens_1M_x1/test.parquet",
    ...                          "world/data")
    >>> made.table().columns.tolist(), made.rows, made.new_users
    (['ID', 'logit', 'score'], 400, 400)
    >>> bool((made.table().logit == mmctr_kit.open_run("din_demo").test().logit).all())
    True
    """
    from mmctr_kit.api.runs import open_run
    from mmctr_kit.data.contract import FILES
    from mmctr_kit.data.new_rows import require_rows_file
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.training.gpu_probe import require_gpu

    require_gpu(device)
    file = Path(rows) if isinstance(rows, str | Path) else None
    if file is not None:
        require_rows_file(file)
    path = None if out is None else Path(out)
    if path is not None:
        _require_free(path, file, force)
        folder = Path(data) if isinstance(data, str | Path) else data.folder
        if path.resolve() in [(folder / each.path).resolve() for each in FILES.values()]:
            raise UsageError(f"'{path}' is a file of the data; name another file")
    opened = open_run(run, runs)
    if isinstance(data, str | Path):
        require_folder(Path(data))
    from mmctr_kit.cv.predict import fold_models, predict_rows, require_own_rows
    from mmctr_kit.data.new_rows import read_rows
    from mmctr_kit.training.device import resolve_device

    models = fold_models(opened)
    where = resolve_device(device).split(",")[0]
    with listening(progress) as listen:
        content = as_data(data, listen)
        require_own_rows(opened, content)  # else each fault of the rows is one of the data
        asked = read_rows(_table(rows) if file is None else file, content)
        if asked.left_out:
            text = f"left {plural(asked.left_out, 'item')} out of the histories of "
            text += f"{plural(asked.shortened, 'row')}: item_info does not have them"
            listen(ProgressEvent("warning", text))
        done = 0

        def on_model(of: "Run", job: "Job") -> None:
            nonlocal done
            fold, seed = job
            label = f"predicting: {of.name}" + (f" fold {fold}" if fold >= 0 else "")
            label += f" seed {seed}"
            listen(ProgressEvent("fold", label=label, done=done, total=len(models)))
            done += 1

        listen(ProgressEvent("begin", label="predicting", total=len(models)))
        logits = predict_rows(opened, content, asked.data, where, on_model).mean(axis=0)
    made = _result(opened.name, path, asked, logits)
    if path is not None:
        _write(path, made)
    return made


def default_out(run: "AnyPath | Run", rows: AnyPath) -> Path:
    """Return ``RUN-ROWS.parquet`` in this folder, or .csv if that is what the rows are."""
    name = Path(run).name if isinstance(run, str | Path) else run.name
    return Path(f"{name}-{Path(rows).name}")


def _require_free(path: Path, rows: Path | None, force: bool) -> None:
    from mmctr_kit.data.new_rows import SUFFIXES
    from mmctr_kit.files import require_free

    if rows is not None and path.resolve() == rows.resolve():
        raise UsageError(f"'{path}' is the file of rows; name another file for their scores")
    advice = "; name another file, or replace it with --force"
    require_free(path, "predictions", SUFFIXES, force, advice)


def _table(rows: Any) -> Any:
    """A pandas table as one of Arrow."""
    import pyarrow as pa

    if not hasattr(rows, "columns"):
        raise UsageError(f"rows: expected a file or a DataFrame, found {rows!r}")
    try:
        return pa.Table.from_pandas(rows, preserve_index=False)
    except pa.ArrowException as e:
        raise UsageError(f"rows: {' '.join(map(str, e.args))}") from e


def _result(run: str, path: Path | None, asked: "NewRows", logits: Any) -> PredictedRows:
    import numpy as np

    from mmctr_kit.submission.write import scores

    in_file = np.empty(len(asked), np.int64)
    in_file[asked.order] = np.arange(len(asked))
    test = asked.data.test
    keys = {"user_id": test.user_id[in_file], "item_id": test.item_id[in_file].astype(np.int64)}
    if asked.ids is not None:
        keys = {"ID": asked.ids}
    columns = {**keys, "logit": logits[in_file], "score": scores(logits)[in_file]}
    return PredictedRows(
        run, path, columns, asked.new_users, asked.new_items, asked.shortened, asked.left_out
    )


def _write(path: Path, made: PredictedRows) -> None:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    from mmctr_kit.files import write_table, write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".csv":
        table = pa.table(made.columns)
        write_whole(path, lambda to: pacsv.write_csv(table, to))
    else:
        write_table(path, made.columns)
