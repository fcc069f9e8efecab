"""Plans that a dry run prints: what would be trained, and its measured cost."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from mmctr_kit.cli.output import print_json, say, status, table
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from pathlib import Path

    from mmctr_kit.api.plans import PlannedAblation, PlannedRun
    from mmctr_kit.api.studies import PlannedStudy
    from mmctr_kit.cv.estimate import PlanCost
    from mmctr_kit.cv.executors.base import Resources
    from mmctr_kit.cv.plan import Plan

_PARTS = {
    "start": "start of processes and loading",
    "prepare": "preparing",
    "train": "training",
    "predict": "predicting",
    "score": "scoring",
}
"""The parts of a plan's cost, in order, as people read them."""


def show_plans(planned: "Sequence[PlannedRun]", as_json: bool) -> None:
    """Print the plans of cross-validations and their measured costs."""
    shown = {each.path.name: show_plan(each, as_json) for each in planned}
    if as_json:
        print_json(shown)


def show_plan(planned: "PlannedRun", quiet: bool) -> dict[str, object]:
    """Print the plan and its measured cost unless ``quiet``; return them for a script."""
    from mmctr_kit.api.progress import epochs_raised, span
    from mmctr_kit.cv.estimate import Meter

    plan = planned.plan
    assert plan is not None
    left = planned.left()
    models = plural(len(plan.jobs), "model" if plan.kind == "fit" else "fold model")
    if len(left) < len(plan.jobs):
        models = f"{len(left)} of {models} still to train"
    if plan.executor.name != "local":
        shown = _show_elsewhere(
            planned.path.name, planned.path, plan, plan.resources, models, quiet, len(left)
        )
        return {**shown, "models_left": len(left), "done": planned.finished}
    began = _since_start()
    with status(f"measuring {planned.path.name}"), Meter() as meter:
        cost = meter.cost(plan, left)
    cost = replace(cost, start=cost.start + began)
    if not quiet:
        devices = ", ".join(plan.resources.devices)
        say(f"{planned.path.name}: {models} on {devices}", style="bold")
        lines = [
            *_data_lines(plan),
            ("loaded in", f"{planned.load_seconds:.1f} s"),
            *_model_lines(plan, cost),
            ("estimated time", "finished already" if planned.finished else span(cost.seconds)),
        ]
        table(("", ""), lines)
        say(_parts_text(_parts(cost)))
        if cost.fit.epochs > plan.recipe.training.epochs:
            say(epochs_raised(cost.fit.epochs, plan.recipe.training))
    return {
        "rows": {split: len(rows) for split, rows in plan.data.rows.items()},
        "load_seconds": planned.load_seconds,
        "resources": asdict(plan.resources),
        "models_left": len(left),
        "fit": asdict(cost.fit),
        "seconds": cost.seconds,
        "seconds_of": _parts(cost),
        "done": planned.finished,
    }


def show_study(planned: "PlannedStudy", trials: int, final: tuple[int, int], as_json: bool) -> None:
    """Print the plan of a study and its measured cost; ``final``: finalists, and seeds of each."""
    from mmctr_kit.api.progress import span
    from mmctr_kit.tuning.estimate import study_cost

    plan, (count, seeds) = planned.plan, final
    folds, resources = plan.recipe.folds.count, plan.resources
    left, finalists = planned.left(trials, count)
    what = f"{plural(left, 'trial')} of {plural(folds, 'fold')}"
    models = plural(finalists * seeds * folds, "fold model")
    then = f"{plural(finalists, 'finalist')} x {plural(seeds, 'seed')} x {plural(folds, 'fold')}"
    then = f"{then} = {models}" if finalists else "none"
    known = {"trials": left, "finalists": finalists, "final_seeds": seeds, "search": [*plan.search]}
    if plan.base.executor.name != "local":
        shown = _show_elsewhere(
            planned.path.name,
            planned.path,
            plan.base,
            resources,
            what,
            as_json,
            resources.workers,
        )
        if as_json:
            print_json({**known, **shown})
        else:
            say(f"finalists: {then}")
        return
    began = _since_start()
    with status(f"measuring {plan.recipe.name}"):
        base, cost = study_cost(plan, left, finalists, seeds)
    if as_json:
        shown = {"resources": asdict(resources), "fit": asdict(base.fit), **asdict(cost)}
        print_json({**known, **shown, "seconds": began + cost.seconds})
        return
    say(f"{planned.path.name}: {what} on {', '.join(resources.devices)}", style="bold")
    lines = [
        *_data_lines(plan.base),
        ("keys searched", str(len(plan.search))),
        ("trials still to run", f"{left} of {trials}, {resources.workers} at once"),
        *_model_lines(plan.base, base),
        ("a whole trial", span(cost.trial)),
        ("search", span(began + cost.search)),
        ("finalists to train", then),
        ("all finalists", span(cost.seconds - cost.search)),
        ("estimated time", span(began + cost.seconds)),
    ]
    table(("", ""), lines)
    say("The recipe as it is was measured: trials with other settings may take more or less time,")
    say("and those that fall behind are stopped early. Times include the start of processes,")
    say("loading, preparing, training, predicting and scoring.")


def show_ablation(planned: "PlannedAblation", finished: Sequence[str], as_json: bool) -> None:
    """Print the plan of an ablation and its measured cost."""
    from mmctr_kit.ablation.status import BASE
    from mmctr_kit.api.plans import left_out_lines
    from mmctr_kit.api.progress import span

    ablation, base = planned.ablation, planned.ablation.base
    runs, folds, seeds = ablation.runs, base.recipe.folds.count, len(base.recipe.seeds)
    what = f"{plural(len(runs), 'run')} x {plural(folds, 'fold')} x {plural(seeds, 'seed')}"
    known = {"runs": [*runs], "finished": [*finished], "left_out": dict(ablation.left_out)}
    changes = {BASE: "nothing", **{v.name: v.what for v in ablation.variants}}
    if base.executor.name != "local":
        first = planned.path / BASE
        shown = _show_elsewhere(planned.path.name, first, base, base.resources, what, as_json)
        if as_json:
            print_json({**known, **shown})
        else:
            say(f"and so for each run after {BASE}:")
            table(("run", "what changes"), [*changes.items()], left=2)
        return
    began = _since_start()
    with status("measuring the runs"):
        cost = planned.cost(finished)
    total = began + cost.seconds
    if as_json:
        each = {name: {"seconds": c.seconds, **asdict(c)} for name, c in cost.runs.items()}
        shown = {"resources": asdict(base.resources), "costs": each}
        print_json({**known, **shown, "measuring": cost.measuring, "seconds": total})
        return
    say(f"{planned.path.name}: {what} on {', '.join(base.resources.devices)}", style="bold")
    table(("", ""), [*_data_lines(base), _worker_line(base.resources)])
    times = {name: span(c.seconds) for name, c in cost.runs.items()}
    rows = [(name, changes[name], times.get(name, "finished")) for name in runs]
    table(("run", "what changes", "time"), rows, left=2)
    for line in left_out_lines(ablation.left_out):
        say(line)
    say(f"then measuring each model's speed, latency and memory: at most {span(cost.measuring)}")
    say(f"estimated time: {span(total)}; {_parts_text(_sum_of_parts(cost.runs))}")


def _data_lines(plan: "Plan") -> list[tuple[str, str]]:
    rows = " / ".join(f"{len(each):,}" for each in plan.data.rows.values())
    return [("rows train / valid / test", rows), ("items", f"{plan.data.n_items:,}")]


def _worker_line(resources: "Resources") -> tuple[str, str]:
    return ("jobs x threads", f"{resources.workers} x {resources.threads}")


def _model_lines(plan: "Plan", cost: "PlanCost") -> list[tuple[str, str]]:
    """What one model costs, in the words of its kind."""
    fit, folds, seeds = cost.fit, plan.recipe.folds.count, len(plan.recipe.seeds)
    on_gpu = fit.data_on == "device" and plan.resources.device != "cpu"
    step = f"{1e3 * fit.seconds_per_step:.1f} ms"
    lines = [
        ("folds x seeds", "none" if plan.kind == "fit" else f"{folds} x {seeds}"),
        _worker_line(plan.resources),
        ("parameters", f"{fit.parameters:,}"),
    ]
    if fit.trees is not None:
        chunks, each = plural(fit.steps, "chunk"), fit.trees // fit.steps
        return [
            *lines,
            ("training rows per model", f"{fit.batch_size:,}"),
            ("trees per model", f"{fit.trees:,} in {chunks}"),
            (f"measured chunk of {plural(each, 'tree')}", step),
        ]
    return [
        *lines,
        ("batch size", f"{fit.batch_size:,}"),
        ("steps per model", f"{fit.steps:,} in {plural(fit.epochs, 'epoch')}"),
        ("training data kept in", f"{'GPU' if on_gpu else 'CPU'} memory"),
        *([("training steps", str(fit.trained))] if fit.trained else []),
        ("measured step", step),
    ]


def _show_elsewhere(
    name: str,
    path: "Path",
    plan: "Plan",
    resources: "Resources",
    what: str,
    quiet: bool,
    jobs: int | None = None,
) -> dict[str, object]:
    """Print what would be asked of a cluster unless ``quiet``; its speed is not known here."""
    preview = plan.executor.preview(resources, plan.recipe, jobs or len(plan.jobs), path)
    if not quiet:
        where = f"{plan.executor.name}, {resources.hardware or resources.device}"
        say(f"{name}: {what} on {where}", style="bold")
        say("jobs x threads: {1}".format(*_worker_line(resources)))
        say(preview, wrap=False)
    return {"resources": asdict(resources), "preview": preview}


def _parts(cost: "PlanCost") -> dict[str, float]:
    return {part: getattr(cost, part) for part in _PARTS}


def _sum_of_parts(costs: "Mapping[str, PlanCost]") -> dict[str, float]:
    each = [_parts(cost) for cost in costs.values()]
    return {part: sum(parts[part] for parts in each) for part in _PARTS}


def _parts_text(parts: Mapping[str, float]) -> str:
    """Say what the estimated time is made of."""
    from mmctr_kit.api.progress import span

    shown = ", ".join(f"{what} {span(parts[part])}" for part, what in _PARTS.items())
    return f"of it {shown}"


def _since_start() -> float:
    """The seconds since this process began: a command that trains takes them too."""
    return logging.makeLogRecord({}).relativeCreated / 1000
