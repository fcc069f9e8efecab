"""What to do next, from what is known of a run, each with its command."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmctr_kit.errors import MmctrKitError, plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import listed, shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.diagnostics import last_rise, sliced_run, still_rising, weak_slices
from mmctr_kit.report.paths import argument, label, recipe_file
from mmctr_kit.runs.compare import Compared
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.ledger import read_ledger

SEEDS = 3
TIES = 0.01
ADDS = 2.0
MOST = 0.5


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
        *_ties(subject, root, submissions),
        *_seeds(subject, root),
        *_epochs(subject, root),
        *_slices(subject, root),
        *_blending(subject, root),
        *_needless(subject, root),
        *_tuned(subject),
        *_ablation(subject, root),
        *_submission(subject, root, submissions),
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


def _ties(subject: Subject, root: Path, submissions: Path) -> Iterator[Advice]:
    tied = subject.metrics["test_tied_share"]
    if tied > TIES:
        yield Advice(
            "Break the ties",
            f"{tied:.1%} of the test rows share their score with another row; a saturated or "
            "rounded score throws ranks away.",
            _submit(subject.run, root, submissions),
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
        f"--name {label(run, root)}_3seeds",
    )


def _epochs(subject: Subject, root: Path) -> Iterator[Advice]:
    """Runs whose curves end too early, or turn too early; the command is for the best of them."""
    longer, slower = [], []
    for run in sorted(subject.parts, key=_by_oof):
        curves = [lines for lines in run.epochs().values() if len(lines) > 1]
        rise = last_rise(run)
        if rise is None:
            continue
        best = [max(e["epoch"] for e in lines if e["best"]) for lines in curves]
        epochs = [len(lines) for lines in curves]
        at_end = sum(b == n for b, n in zip(best, epochs, strict=True)) > MOST * len(curves)
        if at_end and still_rising(rise):
            longer.append((run, rise, max(epochs)))
        elif max(epochs) > 2 and best.count(1) > MOST * len(curves):
            slower.append(run)
    if longer:
        run, rise, epochs_of = longer[0]
        yield Advice(
            "Train longer",
            f"{listed([r.name for r, _, _ in longer])}: most fold models were best at their last "
            f"epoch, and the held-out AUC was still rising; of {run.name} by {shown(rise, True)} "
            f"in the last epoch, the mean of {plural(rise.n, 'fold model')}.",
            f"mmctr-kit cv {_recipe(run, root)} --data DATA --set training.epochs={2 * epochs_of} "
            f"--name {label(run, root)}_longer",
        )
    if slower:
        run = slower[0]
        yield Advice(
            "Regularise, or slow down",
            f"{listed([r.name for r in slower])}: most fold models were best after their first "
            "epoch, and overfit from then on. Set what you lower here.",
            f"mmctr-kit cv {_recipe(run, root)} --data DATA --set training.learning_rate=LOWER "
            f"--name {label(run, root)}_slower",
        )


def _by_oof(run: Run) -> float:
    oof = Estimate.find(run.metrics, "oof")
    return 0.0 if oof is None else -oof.value


def _slices(subject: Subject, root: Path) -> Iterator[Advice]:
    """Where another run does better on a weak slice, or there is none to say whether it could."""
    run = sliced_run(subject)
    if run is None:
        return
    weak = weak_slices(run, subject)
    shown_better = [w for w in weak if w.better is not None]
    alone = [w for w in weak if not w.peers]
    command = f"mmctr-kit slices {_argument(run, root)}"
    if shown_better:
        names = listed(list(dict.fromkeys(w.name for w in shown_better)), 5)
        worst = shown_better[0]
        assert worst.better is not None
        name, auc = worst.better
        yield Advice(
            "Look at the weak slices",
            f"{run.name} is worse on {names} than on its other rows, and another run shows that "
            f"better is possible: on {worst.name} ({worst.entry['split']}) {name} has {auc}, "
            f"{run.name} {shown(Estimate.from_json(worst.entry['auc']))}.",
            command,
        )
    elif alone:
        names, worst = listed(list(dict.fromkeys(w.name for w in alone)), 5), alone[0]
        yield Advice(
            "Look at the weak slices",
            f"{run.name} is worse on {names} than on its other rows; worst {worst.name} "
            f"({worst.entry['split']}), {abs(worst.entry['errors']):.1f} errors below the other "
            f"rows, {worst.entry['rows']:,} rows. A slice may be hard for any model; another run "
            "beside this one would tell.",
            command,
        )


def _blending(subject: Subject, root: Path) -> Iterator[Advice]:
    if subject.sources or subject.gone:
        return
    runs = {run.name: run for run in subject.others}
    known, near = {subject.board[0].digest}, list[Compared]()
    for other in subject.board[1:]:
        # Of runs whose predictions are the same, one.
        if other.kind != "blend" and _comes_near(other) and other.digest not in known:
            known.add(other.digest)
            near.append(other)
    if near:
        named = [_argument(r, root) for r in (subject.run, *(runs[c.name] for c in near))]
        yield Advice(
            "Blend it",
            f"{listed([c.name for c in near])}: same rows and folds, and not far behind. Runs "
            "that rank differently are worth more together.",
            f"mmctr-kit blend {' '.join(named)} --name {label(subject.run, root)}_blend",
        )


def _needless(subject: Subject, root: Path) -> Iterator[Advice]:
    """Runs of a blend without one of which it would not be worse."""
    if "blend" not in subject.metrics or subject.gone:
        return
    adds = {n: Estimate.from_json(e) for n, e in subject.metrics["blend"]["adds"].items()}
    needless = [n for n, gain in adds.items() if not gain.z(0.0) > ADDS]
    if needless and len(adds) > 2:
        # One at a time: of two that could stand in for each other, neither adds while both are in.
        least = min(needless, key=lambda n: adds[n].value)
        kept = [_argument(run, root) for run in subject.sources if run.name != least]
        yield Advice(
            "Leave out what adds least",
            f"{listed(needless)}: the blend's OOF AUC would not be lower by {ADDS:.0f} errors "
            f"without any one of them, which says nothing of leaving out several. {least} adds "
            "least. Fewer runs are cheaper to train and easier to trust.",
            f"mmctr-kit blend {' '.join(kept)} --name {label(subject.run, root)}_less",
        )


def _tuned(subject: Subject) -> Iterator[Advice]:
    """Of a study that found something other than its recipe."""
    study, folder = subject.study, subject.study_path
    if study is None or folder is None or not study["finalists"][0]["changes"]:
        return
    yield Advice(
        "Train what tuning found",
        "The study wrote its chosen recipe.",
        f"mmctr-kit cv {shlex.quote(str(folder / 'best.yaml'))} --data DATA "
        f"--name {study['name']}_tuned",
    )


def _comes_near(other: Compared) -> bool:
    gap = other.oof_gap
    return gap is not None and gap.value > -0.03


def _ablation(subject: Subject, root: Path) -> Iterator[Advice]:
    name = label(subject.run, root)
    there = subject.ablations or (root / f"{name}.ablate" / "ablation.json").is_file()
    if there or subject.kind != "cv":
        return
    yield Advice(
        "Ask what each part is worth",
        "There is no ablation of this recipe yet.",
        f"mmctr-kit ablate {_recipe(subject.run, root)} --data DATA --name {name}",
    )


def _submission(subject: Subject, root: Path, submissions: Path) -> Iterator[Advice]:
    run = subject.run
    made = [p for p in _recorded(run, submissions) if p.is_file()]
    made = made or sorted(submissions.glob(f"{label(run, root)}-*.zip"))
    if made:
        yield Advice(
            "Check the submission again before you hand it in",
            f"{made[-1]} is there.",
            f"mmctr-kit submit --check {shlex.quote(str(made[-1]))} --data DATA",
        )
        return
    yield Advice(
        "Write a submission",
        f"When this page was written, none of this run was in {submissions}.",
        _submit(run, root, submissions),
    )


def _recorded(run: Run, submissions: Path) -> list[Path]:
    """The files that the ledger says were written of this very run, the last one last."""
    metrics = run.metrics
    oof = metrics.get("oof", None)
    try:
        entries = read_ledger(submissions / "ledger.jsonl").submitted
    except MmctrKitError:
        return []  # what can't be read says nothing
    same = (run.name, oof, metrics["valid"])
    return [Path(e.file) for e in entries if (e.run, e.oof, e.valid) == same]


def _submit(run: Run, root: Path, submissions: Path) -> str:
    """A run that lies deeper, as a study's trial-0, is written under a name of its own."""
    own = label(run, root)
    out = f" --out {shlex.quote(str(submissions / f'{own}-both.zip'))}" * (own != run.name)
    return f"mmctr-kit submit {_argument(run, root)} --task both{out}"


def _argument(run: Run, root: Path) -> str:
    return shlex.quote(argument(run, root))


def _recipe(run: Run, root: Path) -> str:
    return shlex.quote(recipe_file(run, root))
