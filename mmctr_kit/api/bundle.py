"""Bundle a run from Python, and reproduce a bundle."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mmctr_kit.api.preflight import AnyPath, as_data, output_path
from mmctr_kit.api.progress import Listener, Progress, ProgressEvent, listening
from mmctr_kit.api.recorded import recorded
from mmctr_kit.api.results import estimate_columns, frame, html
from mmctr_kit.api.training_progress import CvProgress
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import file_sha256, require_free, require_new_folder
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.predictions import mean_logits
from mmctr_kit.submission.bundle.distribution import Licence
from mmctr_kit.submission.bundle.read import SUBMISSION, Bundle, open_bundle

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.runs.run import Run
    from mmctr_kit.submission.bundle.reproduce import Difference

Verdict = Literal["identical", "equal", "rounding", "different"]


@dataclass(frozen=True)
class TrainedAgain:
    """A bundle's run, trained again.

    ``gap``: its valid AUC less the bundle's, paired. ``identical``: all valid and test logits are
    the bundle's. ``path`` is its run folder, None if that was a temporary one.
    """

    path: Path | None
    valid_auc: Estimate
    gap: Estimate
    identical: bool

    def __str__(self) -> str:
        text = f"trained again: valid AUC {self.valid_auc}, "
        if self.identical:
            return f"{text}all predictions identical"
        return f"{text}{self.gap.signed()} against the bundle ({self.gap.z_text()} SE)"


@dataclass(frozen=True, repr=False)
class Reproduction:
    """The result of predicting again from a bundle's weights.

    ``verdict``: ``"identical"`` if the submission has the same bytes, ``"equal"`` if the scores are
    the same and the zip is packed otherwise, ``"rounding"`` if they differ as between devices or
    libraries, ``"different"`` if by more. ``notes`` say what differs in data, versions and files.
    """

    bundle: Bundle
    verdict: Verdict
    difference: "Difference"
    valid_auc: Estimate
    notes: tuple[str, ...]
    out: Path | None
    trained: TrainedAgain | None

    @property
    def same(self) -> bool:
        """Whether the scores are the bundle's, rounding apart."""
        return self.verdict != "different"

    def __str__(self) -> str:
        rows, gap = self.difference.rows, self.difference
        if self.verdict == "identical":
            return f"identical: the submission has the same bytes ({rows:,} rows)"
        if self.verdict == "equal":
            return f"equal: all {rows:,} scores are the same; only the zip is packed otherwise"
        what = "the same but for rounding" if self.same else "different"
        return (
            f"{what}: {gap.changed:,} of {rows:,} rows differ, {gap.beyond:,} beyond the tolerance;"
            f" at most by {gap.logit:.2g} in logit and {gap.rank:,.0f} in rank"
        )

    def __repr__(self) -> str:
        return f"<Reproduction of {self.bundle.path}: {self.verdict}>"

    def table(self) -> "pd.DataFrame":
        """One row: the verdict, the differences from the bundle, and both valid AUCs."""
        row = {"verdict": self.verdict} | vars(self.difference)
        row |= estimate_columns("valid_auc", self.valid_auc)
        return frame([row | estimate_columns("bundle_valid_auc", self.bundle.valid_auc)])

    def _repr_html_(self) -> str:
        return html(f"{self.bundle.path}: {self}", self.table())


def bundle(
    run: "AnyPath | Run",
    out: AnyPath,
    *,
    task: str = "Task2",
    licence: Licence = "Apache-2.0",
    holder: str = "the authors",
    runs: AnyPath = "runs",
) -> Bundle:
    """Write a folder from which others can predict from a run's weights, and train it, again.

    It holds the recipe, the weights, the predictions, the submission, this package itself, versions
    of the packages that it imports, fingerprints of the data, a licence, a README with the
    commands, and the sha256 of every file.

    Parameters
    ----------
    run : str, Path or Run
        A finished ``fit`` or ``cross_validate`` run.
    out : str or Path
        The new folder.
    task : str
        ``"Task1"``, ``"Task2"`` or ``"both"`` (the column ``Task1&2``): the submission's column.
    licence : str
        ``"MIT"`` or ``"Apache-2.0"``.
    holder : str
        The copyright holder, named in README.md and, if it is MIT, in LICENSE.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    Bundle
        ``path``, ``sha256`` of the submission, ``rules`` of the task that the run breaks or may
        break, and ``content`` of its bundle.json.

    Raises
    ------
    RunError
        For a blend, an import, an unfinished run, a run trained with a teacher or with another
        version of mmctr-kit.
    UsageError
        For an unknown run, task or licence, or if ``out`` exists.

    Examples
    --------
    >>> folder = mmctr_kit.bundle("din_demo", "bundle", licence="MIT", holder="Team Two")
    >>> print(folder)
    bundle: din_demo, 2 models, 400 rows of Task2
    """
    require_new_folder(Path(out))
    from mmctr_kit.api.rules import find_task
    from mmctr_kit.api.runs import open_run
    from mmctr_kit.submission.bundle.write import write_bundle

    column = find_task(task)
    if licence not in (known := get_args(Licence)):
        raise UsageError(f"no licence {licence!r}; expected {' or '.join(known)}")
    write_bundle(open_run(run, runs), Path(out), column, licence, holder)
    return open_bundle(Path(out))


@recorded
def reproduce(
    folder: AnyPath | Bundle,
    data: "str | Path | ChallengeData",
    *,
    train: bool = False,
    out: AnyPath | None = None,
    device: str = "auto",
    runs: AnyPath | None = None,
    progress: Progress = None,
) -> Reproduction:
    """Predict again from a bundle's weights, and compare with its submission.

    Before that, the bundle's files and the data are compared with what bundle.json says; README.md
    and LICENSE may have been edited.

    Parameters
    ----------
    folder : str, Path or Bundle
        The bundle.
    data : str, Path or ChallengeData
        The data that the bundle was made with.
    train : bool
        Train the run again too.
    out : str or Path, optional
        Where to write the submission that is predicted now; by default it is only compared.
    device : str
        As in :func:`cross_validate`; it need not be the one that the run was trained on.
    runs : str or Path, optional
        Folder in which to keep the run that ``train`` makes; by default it is not kept.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    Reproduction
        ``same``, ``verdict``, ``difference`` and, with ``train``, ``trained``.

    Raises
    ------
    DataError
        If files of the bundle are missing or changed, or the data is not the bundle's; names them.
    UsageError
        If there is no such bundle, data folder or device, or ``out`` exists.
    RunError
        If ``runs`` holds something else under the name of the run that ``train`` makes.

    Examples
    --------
    >>> again = mmctr_kit.reproduce("bundle", "world/data")
    >>> again.same, again.verdict
    (True, 'identical')
    """
    if runs is not None and not train:
        raise UsageError("--runs keeps the run that --train makes; add --train, or leave it out")
    if out is not None:
        require_free(Path(out), "a submission", (".zip",), False, "; name another file")
    opened = open_bundle(folder.path if isinstance(folder, Bundle) else Path(folder))
    with tempfile.TemporaryDirectory() as temporary, listening(progress) as listen:
        path = output_path(runs or temporary, opened.run, data, device, "-again")
        content = as_data(data, listen)
        from mmctr_kit.submission.bundle.reproduce import require_data

        items, notes = require_data(opened, content)
        if path.exists():
            _require_place(path, opened, content, items)
        from mmctr_kit.training.device import resolve_device

        notes = [*_file_notes(opened), *notes]
        context = _Context(opened, content, items, resolve_device(device), listen)
        result = context.predict(Path(temporary, SUBMISSION) if out is None else Path(out), notes)
        if train:
            trained = context.train(path)
            result = replace(result, trained=trained if runs else replace(trained, path=None))
        return result if out else replace(result, out=None)


def _file_notes(bundle: Bundle) -> list[str]:
    """What differs between the files of a bundle and those that it was written with."""
    edited = [f"{name} was edited since the bundle was made" for name in bundle.edited]
    return edited + [f"{name} is no part of the bundle" for name in bundle.extra]


def _require_place(
    path: Path, bundle: Bundle, data: "ChallengeData", items: "ItemFeatures"
) -> None:
    """Raise RunError if ``path`` holds something else than the bundle's run, trained again."""
    from mmctr_kit.cv.plan import check_run

    try:
        check_run(bundle.recipe(), data, items, path, False, bundle.content["kind"])
    except RunError as e:
        raise RunError(
            f"'{path}' holds something else than {bundle.run} trained again; move it away, or name "
            "another folder of runs with --runs"
        ) from e


@dataclass(frozen=True)
class _Context:
    """A bundle with the data that it was made with, and a resolved device."""

    bundle: Bundle
    data: "ChallengeData"
    items: "ItemFeatures"
    device: str
    listen: Listener

    @property
    def threads(self) -> int:
        """The threads of the run, or all cores if they are fewer: rounding may depend on it."""
        from mmctr_kit.cv.executors.local import available_cores

        cores = available_cores()
        return min(self.bundle.threads or cores, cores)

    def predict(self, out: Path, notes: Sequence[str]) -> Reproduction:
        """Predict again from the weights, write the submission ``out``, and compare."""
        import numpy as np

        from mmctr_kit.data.contract import Task
        from mmctr_kit.metrics.auc import auc_with_se
        from mmctr_kit.models.registry import MODELS
        from mmctr_kit.submission.bundle import reproduce as again
        from mmctr_kit.submission.write import write_submission
        from mmctr_kit.training.device import describe_device, prepare

        opened, listen = self.bundle, self.listen
        uses_gpu = MODELS[opened.recipe().model_name].learner.uses_gpu
        device = self.device.split(",")[0] if uses_gpu else "cpu"
        prepare(device, self.threads)
        files = [name for names in opened.models.values() for name in names]
        listen(ProgressEvent("begin", label="predicting", total=len(files)))

        def on_model(name: str) -> None:
            at = files.index(name)
            listen(ProgressEvent("fold", label=f"predicting: {name}", done=at, total=len(files)))

        made = again.predict_again(opened, self.data, self.items, device, on_model)
        scores = made.test_mean()
        write_submission(out, np.arange(len(scores)), {Task(opened.task): scores})
        difference = again.Difference.between(scores, mean_logits(opened.logits()["test"]))
        verdict: Verdict = "rounding" if difference.small else "different"
        if not difference.changed:
            verdict = "identical" if file_sha256(out) == opened.sha256 else "equal"
        user = made.valid_keys.user_id
        auc = auc_with_se(made.valid_label, made.valid_mean(), user)
        notes = (*notes, *again.version_notes(opened, describe_device(device), self.threads))
        return Reproduction(opened, verdict, difference, auc, notes, out, None)

    def train(self, path: Path) -> TrainedAgain:
        """Train the run again in the run folder ``path``."""
        import numpy as np

        from mmctr_kit.cv.executors.local import LocalExecutor, available_cores
        from mmctr_kit.cv.plan import plan_cv, plan_fit
        from mmctr_kit.cv.run import run_cv
        from mmctr_kit.runs.compare import PairedSample
        from mmctr_kit.runs.predictions import predictions_for
        from mmctr_kit.runs.run import Run

        opened, data = self.bundle, self.data
        make = plan_fit if opened.content["kind"] == "fit" else plan_cv
        jobs = max(1, available_cores() // self.threads) if self.device == "cpu" else None
        executor = LocalExecutor(self.device, jobs, self.threads)
        plan = make(opened.recipe(), data, executor, items=self.items)
        progress = CvProgress(plan, path.name, self.listen)
        run = run_cv(plan, path, False, progress, progress.resume) or Run(path)
        then, now = opened.logits(), run.predictions(with_oof=False)
        before = predictions_for(data, None, None, then["valid"], then["test"])
        gap, _ = PairedSample(before).gaps(now)
        identical = all(np.array_equal(getattr(now, k), v) for k, v in then.items())
        assert gap is not None
        assert run.valid_auc is not None
        return TrainedAgain(path, run.valid_auc, gap, identical)
