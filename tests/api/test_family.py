"""A family's members are chosen by cost within a budget, and training keeps to it."""

import math
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

import mmctr_kit
from mmctr_kit.api.family import PlannedFamily, budget_seconds, choose, plan_family
from mmctr_kit.api.options import Options
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.recipe.family import Member
from tests.api.conftest import SHORT

SMALL = (
    Member("history_length_only", "first"),
    Member("din_demo", "second"),
    Member("history_length_only", "third", seed=1),
)
SECONDS = {"history_length_only": 40.0, "din_demo": 100.0, "history_length_only-seed1": 40.0}


class Clock:
    """Time that passes by ``step`` seconds whenever a fold model is finished."""

    def __init__(self, step: float) -> None:
        self.now, self.step, self.events = 0.0, step, list[ProgressEvent]()

    def __call__(self) -> float:
        return self.now

    def listen(self, event: ProgressEvent) -> None:
        self.events.append(event)
        self.now += self.step if event.kind == "fold" else 0.0

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if event.kind == "note"]


@pytest.fixture(autouse=True)
def small_family(monkeypatch: pytest.MonkeyPatch) -> None:
    families = MappingProxyType({"best": SMALL})
    monkeypatch.setattr("mmctr_kit.recipe.family.FAMILIES", families)


def planned(data: Path, runs: Path, budget: float, clock: Clock) -> PlannedFamily:
    """The small family, of 2 folds each, with known estimates and a clock of the test's own."""
    options = Options(None, SHORT, "cpu", 1, False, runs)
    family = plan_family("best", data, options, None, clock.listen)
    members = [
        replace(m, seconds=0.0 if m.planned and m.planned.finished else SECONDS[m.member.name])
        for m in family.members
    ]
    return PlannedFamily(members, budget, 0.0, clock)


@pytest.mark.parametrize(
    ("seconds", "budget", "chosen"),
    [
        ([10, 20, 30], 60, [True, True, True]),
        ([10, 60, 30], 45, [True, False, True]),
        ([50, 10], 5, [False, False]),
        ([0, math.inf, math.nan, 1], 1, [True, False, False, True]),
    ],
)
def test_each_member_is_taken_in_turn_if_what_is_left_suffices(
    seconds: list[float], budget: float, chosen: list[bool]
) -> None:
    assert choose(seconds, budget) == chosen


def test_a_budget_is_a_time() -> None:
    assert [budget_seconds(b) for b in ("90s", "30m", "2.5h", 20)] == [90, 1800, 9000, 20]
    for wrong in ("30", "-3m", "0m", "half an hour", True, -1):
        with pytest.raises(mmctr_kit.UsageError, match="expected a time such as 90s, 30m or 2h"):
            budget_seconds(wrong)


def test_a_budget_leaves_out_what_does_not_fit_and_a_second_command_goes_on(
    tiny_root: Path, tmp_path: Path
) -> None:
    clock = Clock(step=20.0)
    family = planned(tiny_root / "data", tmp_path, 90.0, clock)
    assert family.verdicts() == ["train", "left out: no time", "train"]
    runs = family.run(clock.listen)
    assert [run.name for run in runs] == ["history_length_only", "history_length_only-seed1"]
    assert runs[1].recipe().seeds == (1,)
    assert clock.notes == ["din_demo left out: needs about 2 min, 10 s left of the budget"]
    again = Clock(step=50.0)
    family = planned(tiny_root / "data", tmp_path, 110.0, again)
    assert family.verdicts() == ["finished already", "train", "finished already"]
    assert [run.name for run in family.run(again.listen)] == [m.name for m in SMALL]


def test_time_left_over_lets_the_next_member_in(tiny_root: Path, tmp_path: Path) -> None:
    clock = Clock(step=5.0)  # a quarter of the estimate
    family = planned(tiny_root / "data", tmp_path, 60.0, clock)
    assert family.verdicts() == ["train", "left out: no time", "left out: no time"]
    assert len(family.run(clock.listen)) == 3


def test_a_member_that_would_overrun_is_stopped_and_goes_on_later(
    tiny_root: Path, tmp_path: Path
) -> None:
    clock = Clock(step=60.0)  # three times the estimate
    family = planned(tiny_root / "data", tmp_path, 100.0, clock)
    with pytest.raises(mmctr_kit.RunError, match="too small for any member; raise it"):
        family.run(clock.listen)
    assert clock.now <= 1.2 * 100
    stopped = "history_length_only left out: stopped after 1 of 2 fold models"
    assert clock.notes[0] == f"{stopped}; the same command goes on there"
    assert not (tmp_path / "history_length_only" / "DONE").exists()
    again = Clock(step=20.0)
    runs = planned(tiny_root / "data", tmp_path, 45.0, again).run(again.listen)
    assert runs[0].name == "history_length_only"
    assert "fold 1 " in next(e.text for e in again.events if e.kind == "fold")


def test_without_a_budget_all_members_are_trained(tiny_root: Path, tmp_path: Path) -> None:
    runs = mmctr_kit.train_family(
        "best", tiny_root / "data", set=SHORT, device="cpu", jobs=1, runs=tmp_path
    )
    assert [run.name for run in runs] == [member.name for member in SMALL]


def test_costs_are_measured_once_a_recipe_and_finished_runs_cost_nothing(
    tiny_root: Path, runs: Path
) -> None:
    clock = Clock(0.0)
    options = Options(None, SHORT, "cpu", 1, False, runs)
    family = plan_family("best", tiny_root / "data", options, "1h", clock.listen)
    first, other, second = (member.seconds for member in family.members)
    assert first == second > 0
    assert other > 0
    assert len([e for e in clock.events if e.label.startswith("measuring")]) == 2


def test_mistakes_are_told_before_anything_is_loaded(tmp_path: Path) -> None:
    def fault(family: str = "best", **changes: object) -> str:
        options = Options(None, (), "cpu", 1, False, tmp_path)
        with pytest.raises(mmctr_kit.UsageError) as error:
            plan_family(
                family,
                tmp_path,
                replace(options, **changes),
                None,
                print,  # type: ignore[arg-type]
            )
        return str(error.value)

    assert "no family 'bst' (did you mean best?)" in fault("bst")
    assert "the names of its members" in fault(name="mine")
    assert "chooses its members' seeds" in fault(settings=("seeds=[1]",))


def test_a_budget_goes_with_this_machine_since_costs_are_measured_here(tmp_path: Path) -> None:
    options = Options(None, (), "cpu", 1, False, tmp_path, executor="ray")
    with pytest.raises(mmctr_kit.UsageError, match="costs are measured on this machine"):
        plan_family("best", tmp_path, options, "1h", print)
