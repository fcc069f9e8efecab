"""How far a run is: each fold model's state, and the whole in a few words."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmctr_kit.errors import RunError
from mmctr_kit.runs.fold_folder import MADE_OF, FoldFolder
from mmctr_kit.runs.run import Run

HOLDOUT = (
    "holdout AUC only chooses the epoch, by comparing scores of the same users; it has no standard "
    "error, and is no score of the model"
)
"""What a holdout AUC is, below the tables that show one."""


@dataclass(frozen=True)
class FoldState:
    """A fold model: ``name`` is "fold-seed", or "all-seed" for one of the whole train split.

    ``epoch`` is its last epoch, 0 before the first; training ends after ``epochs`` (None: not
    known). ``best_epoch`` is its best so far, of holdout AUC ``holdout_auc``; None if nobody was
    held out. ``seconds`` is the time that it took so far.
    """

    name: str
    finished: bool
    epoch: int
    epochs: int | None
    best_epoch: int | None
    holdout_auc: float | None
    seconds: float | None


def fold_states(run: Run) -> tuple[FoldState, ...]:
    """The state of every fold model of a run, begun or not; none for a run that trains nothing."""
    manifest = run.manifest
    if manifest.kind not in ("cv", "fit"):
        return ()
    folds = ["all"]
    if manifest.kind == "cv":
        folds = list(map(str, range(_fold_count(run))))
    names = [f"{fold}-{seed}" for fold in folds for seed in manifest.seeds]
    return tuple(_state(FoldFolder(run.path / "folds" / name)) for name in names)


def progress_text(states: Sequence[FoldState]) -> str:
    """How far a run is, such as "fold 1/3, epoch 5/10"; empty if it trains nothing.

    Several fold models in parallel are "folds 2-3/5, epochs 4-6/10".
    """
    if not states:
        return ""
    done = sum(state.finished for state in states)
    if done == len(states):
        return f"{done}/{done} folds, not yet assembled"
    begun = [state for state in states if state.epoch and not state.finished]
    first, last = done + 1, done + max(len(begun), 1)
    parts = []
    if not states[0].name.startswith("all-"):
        word = "fold" if len({state.name.partition("-")[2] for state in states}) == 1 else "model"
        parts.append(f"{_span(word, first, last)}/{len(states)}")
    if begun:
        epochs = [state.epoch for state in begun]
        of = f"/{begun[0].epochs}" if begun[0].epochs else ""
        parts.append(_span("epoch", min(epochs), max(epochs)) + of)
    return ", ".join(parts) or "epoch 0"


def _span(word: str, first: int, last: int) -> str:
    return f"{word} {first}" if first == last else f"{word}s {first}-{last}"


def _fold_count(run: Run) -> int:
    try:
        return int(run.recipe_content()["folds"]["count"])
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise RunError(f"{run.path} has no folds in its recipe.yaml; copy the run again") from e


def _state(folder: FoldFolder) -> FoldState:
    lines = folder.epochs()
    timings = folder.timings() if lines else {}
    others = ("data_on", "epochs", "trained", MADE_OF)
    spent = {key: value for key, value in timings.items() if key not in others}
    if not all(isinstance(v, int | float) for v in (*spent.values(), timings.get("epochs", 0))):
        raise RunError(f"{folder.path}/timings.json holds no seconds; delete its folder, run again")
    scored = [line for line in lines if line["holdout_auc"] is not None]
    best = max(scored, key=lambda line: float(line["holdout_auc"]), default=None)
    last = max((int(line["epoch"]) for line in lines), default=0)
    return FoldState(
        name=folder.path.name,
        finished=folder.finished,
        epoch=last,
        epochs=last if folder.finished else timings.get("epochs"),
        best_epoch=None if best is None else int(best["epoch"]),
        holdout_auc=None if best is None else float(best["holdout_auc"]),
        seconds=sum(spent.values()) if lines else None,
    )
