"""What to do next, from what is known of a run, each with its command."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmctr_kit.report.compare import Compared, stored_estimate
from mmctr_kit.report.parts import listed
from mmctr_kit.report.sections.slices import sliced_run
from mmctr_kit.report.subject import Subject
from mmctr_kit.runs import Run
from mmctr_kit.scores import estimate_from

SEEDS = 3
TIES = 0.01
ADDS = 2.0
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
        *_needless(subject),
        *_tuned(subject, root),
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
                "mmctr-kit data profile DATA",
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
        "Train more seeds",
        f"{listed([r.name for r in few])}: fewer than {SEEDS} seeds. How far seeds differ is not "
        "known, so a difference between two such runs says nothing of their recipes. The mean of "
        "seeds is a better predictor besides.",
        f"mmctr-kit cv {_recipe(run, root)} --data DATA --set 'seeds=[0,1,2]' "
        f"--name {run.name}_3seeds",
    )


def _epochs(subject: Subject, root: Path) -> Iterator[Advice]:
    """Runs whose curves end too early, or turn too early; the command is for the best of them."""
    longer, slower = [], []
    for run in sorted(subject.parts, key=_by_oof):
        curves = [lines for lines in run.epochs().values() if len(lines) > 1]
        if not curves:
            continue
        best = [max(e["epoch"] for e in lines if e["best"]) for lines in curves]
        epochs = [len(lines) for lines in curves]
        if sum(b == n for b, n in zip(best, epochs, strict=True)) > RISING * len(curves):
            longer.append((run, max(epochs)))
        elif max(epochs) > 2 and best.count(1) > RISING * len(curves):
            slower.append(run)
    if longer:
        run, epochs_of = longer[0]
        yield Advice(
            "Train longer",
            f"{listed([r.name for r, _ in longer])}: most fold models were best at their last "
            "epoch.",
            f"mmctr-kit cv {_recipe(run, root)} --data DATA --set training.epochs={2 * epochs_of} "
            f"--name {run.name}_longer",
        )
    if slower:
        run = slower[0]
        yield Advice(
            "Regularise, or slow down",
            f"{listed([r.name for r in slower])}: most fold models were best after their first "
            "epoch, and overfit from then on. Set what you lower here.",
            f"mmctr-kit cv {_recipe(run, root)} --data DATA --set training.learning_rate=LOWER "
            f"--name {run.name}_slower",
        )


def _by_oof(run: Run) -> float:
    oof = stored_estimate(run.metrics, "oof")
    return 0.0 if oof is None else -oof.value


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


def _needless(subject: Subject) -> Iterator[Advice]:
    """Runs of a blend without one of which it would not be worse."""
    if "blend" not in subject.metrics:
        return
    adds = {n: estimate_from(e) for n, e in subject.metrics["blend"]["adds"].items()}
    needless = [n for n, gain in adds.items() if not gain.z(0.0) > ADDS]
    if needless and len(adds) > 2:
        # One at a time: of two that could stand in for each other, neither adds while both are in.
        least = min(needless, key=lambda n: adds[n].value)
        kept = [n for n in adds if n != least]
        yield Advice(
            "Leave out what adds least",
            f"{listed(needless)}: the blend's OOF AUC would not be lower by {ADDS:.0f} errors "
            f"without any one of them, which says nothing of leaving out several. {least} adds "
            "least. Fewer runs are cheaper to train and easier to trust.",
            f"mmctr-kit blend {' '.join(kept)} --name {subject.run.name}_less",
        )


def _tuned(subject: Subject, root: Path) -> Iterator[Advice]:
    if subject.study is None:
        return
    folder = f"{subject.study['name']}.study"
    yield Advice(
        "Train what tuning found",
        "The study wrote its chosen recipe.",
        f"mmctr-kit cv {shlex.quote(str(root / folder / 'best.yaml'))} --data DATA "
        f"--name {subject.study['name']}_tuned",
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
