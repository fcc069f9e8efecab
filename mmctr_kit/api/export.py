"""Export runs and studies to experiment trackers from Python."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath, names_of
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.api.results import frame, html

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.export.trackers import Exported, Tool
    from mmctr_kit.runs.run import Run


@dataclass(frozen=True, repr=False)
class ExportResult:
    """What became of each run, study and trial, and the ``place`` that now holds them."""

    place: str
    exported: tuple["Exported", ...]

    def table(self) -> "pd.DataFrame":
        """A row for each: ``name``, ``kind``, ``key``, ``state``.

        ``state`` is ``"written"``, ``"replaced"`` (its copy was out of date) or ``"unchanged"``.
        """
        return frame([asdict(one) for one in self.exported], ("name", "kind", "key", "state"))

    def __repr__(self) -> str:
        return f"ExportResult({self.place!r}, {len(self.exported)} copies)"

    def _repr_html_(self) -> str:
        return html(self.place, self.table())


def export_runs(
    sources: "Sequence[AnyPath | Run]",
    to: "Tool",
    *,
    where: AnyPath | None = None,
    project: str | None = None,
    weights: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> ExportResult:
    """Copy finished runs, blends and studies to an experiment tracker on this machine.

    A copy has the resolved recipe as params, every score with its standard error beside it
    (``valid_auc``, ``valid_auc_se``), the epochs of each fold model as steps, the run's files, and
    tags: kind, versions, seeds, fingerprints. A blend's tags name its runs; a study comes with its
    trials and finalists. A run is found again by its fingerprint: exported twice it is there once,
    and a copy that is out of date is replaced.

    Parameters
    ----------
    sources : list of str, Path or Run
        Runs, blends and studies.
    to : str
        ``"mlflow"``, ``"wandb"``, ``"trackio"`` or ``"tensorboard"``; each needs the extra of its
        name.
    where : str or Path, optional
        MLflow: a tracking URI; by default ``MLFLOW_TRACKING_URI`` or ``sqlite:///mlflow.db``. W&B:
        the folder for its folder ``wandb`` of offline runs, by default ``WANDB_DIR`` or this one;
        ``wandb sync`` sends them. Trackio: by default ``TRACKIO_DIR`` or Trackio's own folder.
        TensorBoard: the folder of logs, by default ``tensorboard``.
    project : str, optional
        MLflow's experiment, or the project of W&B or Trackio; by default ``mmctr-kit``.
    weights : bool
        Copy the fold models' weights too.
    runs, progress
        As in :func:`cross_validate`.

    Returns
    -------
    ExportResult
        ``place`` and ``table()``.

    Raises
    ------
    UsageError
        If there is no such run, the tool is not installed, or its place cannot be used.
    RunError
        If a run or study is unfinished.

    Examples
    --------
    >>> made = mmctr_kit.export_runs(["din_demo"], "mlflow", where="sqlite:///tracked/mlflow.db")
    >>> made.table()[["name", "kind", "state"]].values.tolist()
    [['din_demo', 'cv', 'written']]
    """
    from mmctr_kit.export.trackers import export, gather, open_tracker, require_tool
    from mmctr_kit.runs.run import Run

    require_tool(to, project)
    names = [
        str(source.path.resolve() if isinstance(source, Run) else source)
        for source in names_of(sources, "sources")
    ]
    with listening(progress) as listen:
        listen(ProgressEvent("load", label="reading runs"))
        records = gather(names, Path(runs), weights)
        tracker = open_tracker(to, None if where is None else str(where), project)

        def tell(number: int, one: "Exported") -> None:
            listen(ProgressEvent("note", label=one.name, done=number, total=len(records)))

        return ExportResult(tracker.place, tuple(export(records, tracker, tell)))
