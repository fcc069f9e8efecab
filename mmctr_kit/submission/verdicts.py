"""Which tasks' rules a run keeps: a verdict for each task, through all runs of a blend."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.files import may_enter
from mmctr_kit.runs.notes import RunNotes, notes_on
from mmctr_kit.runs.run import Run, is_run
from mmctr_kit.runs.seal import DamagedError, noting_damage
from mmctr_kit.submission.ledger import Submitted
from mmctr_kit.submission.rules import RULES, Facts, Rule


@dataclass(frozen=True)
class Breach:
    """A rule that a run breaks for a task or, unless ``said``, may break.

    ``where`` names each run behind it, with the keys and their values.
    """

    rule: Rule
    task: Task
    said: bool
    where: tuple[str, ...]

    @property
    def text(self) -> str:
        """The rule, what breaks it in each run and, if that is unclear, why."""
        text = f"{self.rule.text} ({'; '.join(self.where)})"
        return text if self.said else f"{text}: {self.rule.doubt}"

    def __str__(self) -> str:
        verdict = "breaks the rule of" if self.said else "unclear for"
        return f"{verdict} {self.task}: {self.text}"

    @property
    def finding(self) -> Finding:
        return Finding(f"rule-{self.rule.id}", Level.WARN, str(self), self.rule.todo)

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.rule.id, "said": self.said, "what": str(self)}


@dataclass(frozen=True)
class RuleVerdict:
    """What the rules of one task say of a run."""

    task: Task
    breaches: tuple[Breach, ...]

    @property
    def verdict(self) -> Literal["kept", "breached", "unclear"]:
        if any(breach.said for breach in self.breaches):
            return "breached"
        return "unclear" if self.breaches else "kept"

    def __str__(self) -> str:
        """The verdict, with the ids of the rules behind it."""
        said = self.verdict == "breached"
        ids = [breach.rule.id for breach in self.breaches if breach.said is said]
        return f"{self.verdict}: {', '.join(ids)}" if ids else self.verdict

    def to_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "breaches": [b.to_json() for b in self.breaches]}


def check_run(run: Run, root: Path) -> tuple[RuleVerdict, ...]:
    """Check a run and, for a blend, every run behind it; one verdict for each task.

    A run that a blend is made of is looked up by name next to the blend, then under ``root``. A run
    that cannot be checked (it is gone, or its predictions were imported) leaves all unclear, but
    what the recipe of imported weights breaches. Raises RunError if a file that tells it was
    changed since the run was finished.
    """
    return _judge(_broken(run, root, (run.name,), RunNotes()))


def check_runs(runs: Iterable[Run], root: Path) -> dict[str, tuple[RuleVerdict, ...]]:
    """What :func:`check_run` says of each run; a damaged one gets a warning and no verdict."""
    verdicts = {}
    with notes_on(root) as notes:
        for run in runs:
            with noting_damage(f"no rules of {run.name}"):
                verdicts[run.name] = _judge(_broken(run, root, (run.name,), notes))
    return verdicts


def recorded_verdict(entry: Submitted, root: Path) -> "RuleVerdict | str":
    """The verdict on the run under ``root`` that a ledger's entry names, for the entry's task.

    If the run is gone, or another one has its name now, a text says so.
    """
    run = _source(root / entry.run)
    if run is None:
        return f"run {entry.run} is gone from {root}"
    metrics = run.metrics
    if (metrics.get("oof"), metrics.get("valid")) != (entry.oof, entry.valid):
        return f"run {entry.run} was replaced since"
    return next(each for each in check_run(run, root) if each.task == entry.task)


def judge(facts: Iterable[Facts]) -> tuple[RuleVerdict, ...]:
    """One verdict for each task, from the facts of all runs behind the predictions."""
    return _judge((each.run, _breaks(each)) for each in facts)


_Breaks = Mapping[str, Sequence[str]]
"""What breaks each rule of a run, by the rule's id."""


def _breaks(facts: Facts) -> _Breaks:
    return {rule.id: found for rule in RULES if (found := [*rule.check(facts)])}


def _judge(broken: Iterable[tuple[str, _Breaks]]) -> tuple[RuleVerdict, ...]:
    runs, breaches = tuple(broken), {task: list[Breach]() for task in Task}
    for rule in RULES:
        found = [(run, breaks[rule.id]) for run, breaks in runs if rule.id in breaks]
        where = dict.fromkeys(f"{run}: {'; '.join(each)}" for run, each in found)
        for task, said in rule.binds.items() if where else ():
            breaches[task].append(Breach(rule, task, said, tuple(where)))
    return tuple(RuleVerdict(task, tuple(each)) for task, each in breaches.items())


def compact(verdicts: Sequence[RuleVerdict]) -> str:
    """The tasks whose rules are kept, such as ``2 1&2``; ``?`` marks what is unclear."""
    marks = {"kept": "", "unclear": "?"}
    short = [v.task.removeprefix("Task") + marks[v.verdict] for v in verdicts if v.verdict in marks]
    return " ".join(short) or "-"


def summary(verdicts: Sequence[RuleVerdict]) -> str:
    """One line, such as ``rules kept: Task2; unclear: Task1&2; breached: Task1``."""
    tasks = {
        name: ", ".join(v.task for v in verdicts if v.verdict == name)
        for name in ("kept", "unclear", "breached")
    }
    parts = [f"{name}: {tasks[name]}" for name in ("unclear", "breached") if tasks[name]]
    return "; ".join([f"rules kept: {tasks['kept'] or 'none'}", *parts])


def _broken(
    run: Run, root: Path, above: tuple[str, ...], notes: RunNotes
) -> Iterator[tuple[str, _Breaks]]:
    """What a run breaks, then what every run behind it does."""
    note = notes.of(run)
    if "breaks" not in note:
        facts, places = _facts(run)
        note |= {"breaks": _breaks(facts), "places": places}
    yield run.name, note["breaks"]
    for name, place in note["places"].items():
        source = _source(Path(place), root / name)
        if name in above:  # a run that replaced its own source
            why = f"is blended into {run.name}, and was replaced since"
        elif source is None and not all(map(may_enter, (Path(place), root / name))):
            why = f"is blended into {run.name}, but in a folder that may not be entered"
        elif source is None and (is_run(Path(place)) or is_run(root / name)):
            why = f"is blended into {run.name}, but unfinished: it has no DONE"
        elif source is None:
            why = f"is blended into {run.name}, but gone from {root}"
        else:
            yield from _broken(source, root, (*above, name), notes)
            continue
        yield name, _breaks(Facts(name, "", unchecked=why))


def _facts(run: Run) -> tuple[Facts, dict[str, str]]:
    """The facts of a run itself, and where each run that it is blended of should be."""
    try:
        manifest, places, method = run.manifest, run.source_places, run.blend_method
    except DamagedError:
        raise
    except MmctrKitError:
        why = "has a manifest.json or blend.json that cannot be read"
        return Facts(run.name, "", unchecked=why), {}
    recipe, imported = None, manifest.kind == "imported"
    why = "was imported, so how it was made is not known" if imported else ""
    if run.has("recipe.yaml") if imported else manifest.kind != "blend":
        try:
            recipe = run.recipe()
            why = "was imported, so how its weights were trained is not known" if imported else ""
        except DamagedError:
            raise
        except (TypeError, AttributeError, MmctrKitError):
            why = "has no recipe.yaml that this version of mmctr-kit can read"
    of_run = (manifest.seeds, manifest.sources, manifest.transductive)
    facts = Facts(run.name, manifest.kind, recipe, *of_run, why, method)
    return facts, {name: str(place) for name, place in places.items()}


def _source(*places: Path) -> Run | None:
    """The finished run at the first of the places that has one."""
    return next((run for run in map(Run, places) if run.finished and is_run(run.path)), None)
