"""What to do next, from what is known of a run, each with its command."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmctr_kit.report.compare import Compared
from mmctr_kit.report.parts import listed
from mmctr_kit.report.sections.slices import sliced_run
from mmctr_kit.report.subject import Subject
from mmctr_kit.runs import Run

SEEDS = 3
TIES = 0.01
RISING = 0.5


@dataclass(frozen=True)
class Advice:
    """``urgent`` where a number on the page should not be believed before."""

    title: str
    why: str
    command: str
    urgent: bool = False


def advice(subject: Subject, root: Path, submissions: Path) -> list[Advice]:
    """What the facts ask for, most urgent first; DATA stands for the data folder."""
    found = [
        *_alarm(subject),
        *_ties(subject),
        *_seeds(subject, root),
        *_epochs(subject, root),
        *_slices(subject),
        *_blending(subject),
        *_ablation(subject, root),
        *_submission(subject, submissions),
    ]
    place = "" if root == Path("runs") else f" --runs {shlex.quote(str(root))}"
    takes = ("cv", "ablate", "slices", "blend", "submit")
    return [
        Advice(a.title, a.why, a.command + place * (a.command.split()[1] in takes), a.urgent)
        for a in sorted(found, key=lambda a: not a.urgent)
    ]


def _alarm(subject: Subject) -> Iterator[Advice]:
    alarms = {subject.run.name: subject.metrics["alarm"]}
    alarms |= {run.name: run.metrics["alarm"] for run in subject.sources}
    for name, alarm in alarms.items():
        if alarm:
            yield Advice(
                f"{name}: find out why OOF and valid disagree",
                f"{alarm}. Until that is known, no number of it should choose anything.",
                "mmctr-kit data check DATA",
                urgent=True,
            )


def _ties(subject: Subject) -> Iterator[Advice]:
    tied = subject.metrics["test_tied_share"]
    if tied > TIES:
        yield Advice(
            "Break the ties",
            f"{tied:.1%} of the test rows share their score with another row; a saturated or "
            "rounded score throws ranks away.",
            f"mmctr-kit submit {subject.run.name} --task both",
            urgent=True,
        )


def _seeds(subject: Subject, root: Path) -> Iterator[Advice]:
    few = [r for r in subject.parts if len(r.manifest.seeds) < SEEDS]
    if not few:
        return
    run = few[0]
    yield Advice(
        "Train more seeds before you claim anything of a recipe",
        f"{listed([r.name for r in few])}: fewer than {SEEDS} seeds. How far seeds differ is not "
        "known, so a difference between two such runs says nothing of their recipes. The mean of "
        "seeds is a better predictor besides.",
        f"mmctr-kit cv {_recipe(run, root)} --data DATA --set 'seeds=[0,1,2]' "
        f"--name {run.name}_3seeds",
    )


def _epochs(subject: Subject, root: Path) -> Iterator[Advice]:
    for run in subject.parts:
        curves = [lines for lines in run.epochs().values() if len(lines) > 1]
        if not curves:
            continue
        epochs = max(len(lines) for lines in curves)
        rising = sum(bool(lines[-1]["best"]) for lines in curves) / len(curves)
        peaks = [max(e["epoch"] for e in lines if e["best"]) for lines in curves]
        if rising > RISING:
            yield Advice(
                f"{run.name}: train longer",
                f"{rising:.0%} of its fold models were best at their last epoch, {epochs}.",
                f"mmctr-kit cv {_recipe(run, root)} --data DATA --set training.epochs={2 * epochs} "
                f"--name {run.name}_longer",
            )
        elif epochs >= 3 and sum(p == 1 for p in peaks) / len(peaks) > RISING:
            yield Advice(
                f"{run.name}: regularise, or slow down",
                "Most of its fold models were best after their first epoch: they overfit from "
                "then on.",
                f"mmctr-kit cv {_recipe(run, root)} --data DATA --set training.learning_rate="
                f"LOWER --name {run.name}_slower",
            )


def _slices(subject: Subject) -> Iterator[Advice]:
    run = sliced_run(subject)
    if run is None:
        return
    worse = [e for e in run.metrics["slices"] if e["worse"]]
    if not worse:
        return
    worst = min(worse, key=lambda e: float(e["errors"]))
    names = listed(list(dict.fromkeys(f"{e['by']} {e['slice']}" for e in worse)), 5)
    yield Advice(
        "Look at the weak slices",
        f"{run.name} is worse on {names}; worst {worst['by']} {worst['slice']} "
        f"({worst['split']}), {abs(worst['errors']):.1f} errors below the other rows, "
        f"{worst['rows']:,} rows.",
        f"mmctr-kit slices {run.name}",
    )


def _blending(subject: Subject) -> Iterator[Advice]:
    if subject.sources or subject.gone:
        return
    near = [c for c in subject.board[1:] if c.kind != "blend" and _comes_near(c)]
    if near:
        names = [subject.run.name, *(c.name for c in near)]
        yield Advice(
            "Blend it",
            f"{listed([c.name for c in near])}: same rows and folds, and not far behind. Runs "
            "that rank differently are worth more together.",
            f"mmctr-kit blend {' '.join(names)} --name {subject.run.name}_blend",
        )


def _comes_near(other: Compared) -> bool:
    gap = other.oof_gap
    return gap is not None and gap.value > -0.03


def _ablation(subject: Subject, root: Path) -> Iterator[Advice]:
    if subject.ablations or subject.kind != "cv":
        return
    yield Advice(
        "Ask what each part is worth",
        "There is no ablation of this recipe yet.",
        f"mmctr-kit ablate {_recipe(subject.run, root)} --data DATA --name {subject.run.name}",
    )


def _submission(subject: Subject, submissions: Path) -> Iterator[Advice]:
    made = sorted(submissions.glob(f"{subject.run.name}-*.zip"))
    if made:
        yield Advice(
            "Check the submission again before you hand it in",
            f"{made[-1]} is there.",
            f"mmctr-kit submit --check {shlex.quote(str(made[-1]))} --data DATA",
        )
        return
    yield Advice(
        "Write a submission",
        f"There is none of this run in {submissions}.",
        f"mmctr-kit submit {subject.run.name} --task both",
    )


def _recipe(run: Run, root: Path) -> str:
    """The run's own resolved recipe, as cv takes it."""
    path = run.path if run.path.parent != root.resolve() else root / run.name
    return shlex.quote(str(path / "recipe.yaml"))
