"""Advice: what to do next with a run, each step with its command."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mmctr_kit.ensemble.runs import blend_report
from mmctr_kit.errors import MmctrKitError, plural
from mmctr_kit.metrics.estimate import DOUBT_Z, Estimate
from mmctr_kit.report.blocks import enumeration, sentence
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.diagnostics import last_rise, sliced_run, still_rising, weak_slices
from mmctr_kit.runs.compare import Compared
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.ledger import read_ledger
from mmctr_kit.submission.verdicts import summary

MIN_SEEDS = 3
_MEAN = "The mean of several seeds is also the better predictor."
_MEAN_OF_FIT = "This trains fold models, to compare recipes by: their mean is no entry for Task2."
MAX_TIED_SHARE = 0.01
MIN_GAIN_Z = 2.0
"""A run of a blend is worth its place if its gain lies this many standard errors above 0."""
MAX_GAP = 0.03
"""A run whose OOF AUC is lower by more than this hardly helps a blend."""
_RUNS_OPTION = ("cv", "ablate", "slices", "blend", "submit", "runs")


@dataclass(frozen=True)
class Advice:
    """A step, the reason for it, and its command.

    In it DATA stands for the data folder, unless the run says which that is.

    ``urgent`` if a score on the page should not be trusted before.
    """

    title: str
    why: str
    command: str
    urgent: bool = False


def advice(context: ReportContext) -> list[Advice]:
    """The steps that the page's facts call for, the most urgent first."""
    root = context.root
    option = "" if root == Path("runs") else f" --runs {shlex.quote(str(root))}"
    worse = list(_best_alone(context))  # then that run is what to go on with
    steps = [
        *_alarm(context),
        *worse,
        *_ties(context),
        *_seeds(context),
        *_epochs(context),
        *_slices(context),
        *_blending(context),
        *([] if worse else _smaller_blend(context)),
        *_tuned(context),
        *_ablation(context),
        *([] if worse else _submission(context)),
    ]
    data = "DATA" if context.data is None else shlex.quote(_shown(context.data))
    return [
        replace(
            step,
            command=re.sub(r"(?<= )DATA(?= |$)", lambda _: data, step.command)
            + option * (step.command.split()[1] in _RUNS_OPTION),
        )
        for step in sorted(steps, key=lambda step: not step.urgent)
    ]


def _shown(path: Path) -> str:
    """The path as a command in this folder takes it, from here if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _alarm(context: ReportContext) -> Iterator[Advice]:
    alarms = {context.run.name: context.metrics["alarm"]}
    alarms |= {run.name: run.metrics["alarm"] for run in context.sources}
    for name, alarm in alarms.items():
        if alarm:
            yield Advice(
                f"{name}: find out why OOF and valid disagree",
                f"{sentence(alarm)} Do not choose anything by this run's scores before you know.",
                "mmctr-kit data profile DATA",
                urgent=True,
            )


def _best_alone(context: ReportContext) -> Iterator[Advice]:
    if context.run.manifest.kind != "blend":
        return
    blend = blend_report(context.run)
    over_best = Estimate.find(blend, "over_best")
    if over_best is not None and over_best.z(0.0) < -DOUBT_Z:
        best = blend["best_run"]
        yield Advice(
            f"Consider {best} instead of the blend",
            f"On the valid split the blend's AUC less that of {best} alone, the best run by OOF "
            f"AUC, is {over_best.signed()}.",
            f"mmctr-kit runs diff {shlex.quote(best)} {shlex.quote(context.run.name)}",
            urgent=True,
        )


def _ties(context: ReportContext) -> Iterator[Advice]:
    tied = context.metrics["test_tied_share"]
    if tied > MAX_TIED_SHARE:
        yield Advice(
            "Break the ties",
            f"{tied:.1%} of the test rows share their score with another row: a saturated or "
            "rounded score loses ranks.",
            _submit(context),
            urgent=True,
        )


def _seeds(context: ReportContext) -> Iterator[Advice]:
    few = [r for r in context.trained if len(r.manifest.seeds) < MIN_SEEDS]
    if few:
        yield Advice(
            "Train more seeds",
            f"{enumeration([r.name for r in few])}: fewer than {MIN_SEEDS} seeds. A difference "
            "between two such runs may come from their seeds and proves nothing about their "
            f"recipes. {_MEAN_OF_FIT if few[0].manifest.kind == 'fit' else _MEAN}",
            _cv(few[0], context, "'seeds=[0,1,2]'", "3seeds"),
        )


def _epochs(context: ReportContext) -> Iterator[Advice]:
    """Runs whose best epoch is mostly the last one, or the first; the command is for the best."""
    longer, slower = [], []
    for run in sorted(context.trained, key=_by_oof):
        curves = [lines for lines in run.epochs().values() if len(lines) > 1]
        rise = last_rise(run)
        if rise is None:
            continue
        best = [max(e["epoch"] for e in lines if e["best"]) for lines in curves]
        epochs = [len(lines) for lines in curves]
        best_last = sum(b == n for b, n in zip(best, epochs, strict=True))
        if 2 * best_last > len(curves) and still_rising(rise):
            longer.append((run, rise, max(epochs)))
        elif max(epochs) > 2 and 2 * best.count(1) > len(curves):
            slower.append(run)
    if longer:
        run, rise, trained = longer[0]
        yield Advice(
            "Train longer",
            f"{enumeration([r.name for r, _, _ in longer])}: most fold models were best after "
            f"their last epoch, and the held-out AUC was still rising ({run.name}: "
            f"{rise.signed()} in the last epoch, mean of {plural(rise.n, 'fold model')}).",
            _cv(run, context, f"training.epochs={2 * trained}", "longer"),
        )
    if slower:
        yield Advice(
            "Regularise, or lower the learning rate",
            f"{enumeration([r.name for r in slower])}: most fold models were best after their "
            "first epoch and overfitted from then on. Replace LOWER with a smaller value.",
            _cv(slower[0], context, "training.learning_rate=LOWER", "slower"),
        )


def _by_oof(run: Run) -> float:
    oof = Estimate.find(run.metrics, "oof")
    return 0.0 if oof is None else -oof.value


def _slices(context: ReportContext) -> Iterator[Advice]:
    """Weak slices that another run ranks better, or that no other run has a score on."""
    run = sliced_run(context)
    if run is None:
        return
    weak = weak_slices(run, context)
    chosen = [w for w in weak if w.better] or [w for w in weak if not w.peers]
    if not chosen:
        return
    worst, names = chosen[0], enumeration(list(dict.fromkeys(w.name for w in chosen)), 5)
    where = f"{worst.name} ({worst.entry['split']})"
    if worst.better:
        name, auc = worst.better
        why = (
            f"and another run is better there: on {where} {name} has AUC {auc}, {run.name} "
            f"{Estimate.find(worst.entry, 'auc')}."
        )
    else:
        why = (
            f"worst on {where}: {abs(worst.entry['errors']):.1f} standard errors below the other "
            f"rows, {worst.entry['rows']:,} rows. A slice may be hard for any model; a second run "
            "would show whether it is."
        )
    command = f"mmctr-kit slices {shlex.quote(context.argument(run))}"
    text = f"{run.name} is worse on {names} than on its other rows, {why}"
    yield Advice("Look at the weak slices", text, command)


def _blending(context: ReportContext) -> Iterator[Advice]:
    if context.sources or context.missing:
        return
    runs = {run.name: run for run in context.others}
    digests, near = {context.leaderboard[0].digest}, list[Compared]()
    for other in context.leaderboard[1:]:
        close = other.oof_gap is not None and other.oof_gap.value > -MAX_GAP
        if other.kind != "blend" and close and other.digest not in digests:
            digests.add(other.digest)
            near.append(other)
    if near:
        blended = [context.argument(r) for r in (context.run, *(runs[c.name] for c in near))]
        yield Advice(
            "Blend it",
            f"{enumeration([c.name for c in near])}: same rows and folds, and an AUC not far "
            "below. A blend of runs that rank differently is often better than each of them.",
            f"mmctr-kit blend {shlex.join(blended)} --name {context.label(context.run)}_blend",
        )


def _smaller_blend(context: ReportContext) -> Iterator[Advice]:
    if "blend" not in context.metrics or context.missing:
        return
    adds = {n: Estimate.from_json(e) for n, e in context.metrics["blend"]["adds"].items()}
    needless = [n for n, gain in adds.items() if not gain.z(0.0) > MIN_GAIN_Z]
    if needless and len(adds) > 2:
        # Only one: two runs that can replace each other add little each, but much together.
        least = min(needless, key=lambda n: adds[n].value)
        rest = [context.argument(run) for run in context.sources if run.name != least]
        yield Advice(
            "Leave out the run that adds least",
            f"{enumeration(needless)}: without any one of these the blend's OOF AUC would not be "
            f"clearly lower (by {MIN_GAIN_Z:.0f} standard errors); without several it may be. "
            f"{least} adds least. A blend of fewer runs costs less to train.",
            f"mmctr-kit blend {shlex.join(rest)} --name {context.label(context.run)}_less",
        )


def _tuned(context: ReportContext) -> Iterator[Advice]:
    study, folder = context.study, context.study_path
    if study is not None and folder is not None and study["finalists"][0]["changes"]:
        command = f"mmctr-kit cv {shlex.quote(str(folder / 'best.yaml'))} --data DATA "
        command += f"--name {study['name']}_tuned"
        yield Advice("Train the tuned recipe", "The study wrote its chosen recipe.", command)


def _ablation(context: ReportContext) -> Iterator[Advice]:
    name = context.label(context.run)
    exists = context.ablations or (context.root / f"{name}.ablate" / "ablation.json").is_file()
    if context.kind == "cv" and not exists:
        recipe = shlex.quote(str(context.path(context.run) / "recipe.yaml"))
        title, why = (
            "Measure what each part of the recipe adds",
            "There is no ablation of this recipe yet.",
        )
        yield Advice(title, why, f"mmctr-kit ablate {recipe} --data DATA --name {name}")


def _submission(context: ReportContext) -> Iterator[Advice]:
    files = [p for p in _recorded(context) if p.is_file()]
    files = files or sorted(context.submissions.glob(f"{context.label(context.run)}-*.zip"))
    if files:
        why = f"{files[-1]} was written from this run."
        command = f"mmctr-kit submit --check {shlex.quote(str(files[-1]))} --data DATA"
        yield Advice("Check the submission before you upload it", why, command)
    else:
        rules = sentence(summary(context.rules))
        yield Advice("Write a submission", f"Not submitted yet. {rules}", _submit(context))


def _recorded(context: ReportContext) -> list[Path]:
    """The files that the ledger says were written from this run, the last one last."""
    try:
        entries = read_ledger(context.submissions / "ledger.jsonl").submitted
    except MmctrKitError:
        return []  # the page does without a ledger that cannot be read
    metrics = context.metrics
    same = (context.run.name, metrics.get("oof", None), metrics["valid"])
    return [Path(e.file) for e in entries if (e.run, e.oof, e.valid) == same]


def _submit(context: ReportContext) -> str:
    """The submit command; a run that lies deeper, as a study's trial-0, gets a longer file name."""
    name, out, usual = context.label(context.run), "", context.submissions == Path("submissions")
    if name != context.run.name or not usual:
        out = f" --out {shlex.quote(str(context.submissions / f'{name}-both.zip'))}"
    if not usual:
        out += f" --ledger {shlex.quote(str(context.submissions / 'ledger.jsonl'))}"
    return f"mmctr-kit submit {shlex.quote(context.argument(context.run))} --task both{out}"


def _cv(run: Run, context: ReportContext, setting: str, suffix: str) -> str:
    recipe = shlex.quote(str(context.path(run) / "recipe.yaml"))
    name = f"{context.label(run)}_{suffix}"
    return f"mmctr-kit cv {recipe} --data DATA --set {setting} --name {name}"
