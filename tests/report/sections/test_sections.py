"""mmctr_kit.report.sections: what each says of made-up runs, a blend, an ablation and a study."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.ensemble.runs import blend_report
from mmctr_kit.files import write_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Picture, Section
from mmctr_kit.report.context import ReportContext, open_context
from mmctr_kit.report.page import SECTIONS
from mmctr_kit.report.sections.ablation import ablation_section
from mmctr_kit.report.sections.blend import blend_section
from mmctr_kit.report.sections.importance import importance_section
from mmctr_kit.report.sections.leaderboard import leaderboard_section
from mmctr_kit.report.sections.provenance import models_section, recipe_section, time_section
from mmctr_kit.report.sections.scores import distribution_section, ranking_section
from mmctr_kit.report.sections.slices import slices_section
from mmctr_kit.report.sections.study import study_section
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.slices import MIN_USERS, too_few
from tests.report.made import FEATURES, make_run, make_study
from tests.runs.unsealed import unsealed


@pytest.fixture(scope="module")
def mix(made_runs: Path) -> ReportContext:
    return open_context("mix", made_runs, made_runs)


@pytest.fixture(scope="module")
def alpha(made_runs: Path) -> ReportContext:
    return open_context("alpha", made_runs, made_runs)


def made(section: Section | None) -> Section:
    assert section is not None
    return section


def test_the_leaderboard_is_sorted_and_the_run_has_no_gap_to_itself(mix: ReportContext) -> None:
    section = made(leaderboard_section(mix))
    [table] = section.tables
    aucs = [float(row[3].split()[0]) for row in table.rows]
    assert aucs == sorted(aucs, reverse=True)
    [subject] = [row for row in table.rows if row[0] == "mix"]
    assert subject[4:] == ("", "", "")
    assert [p.name for p in section.pictures] == ["leaderboard-auc", "leaderboard-gaps"]


def test_a_run_alone_is_compared_with_nothing(alpha: ReportContext) -> None:
    section = made(leaderboard_section(replace(alpha, leaderboard=alpha.leaderboard[:1])))
    assert [p.name for p in section.pictures] == ["leaderboard-auc"]
    assert section.tables[0].columns == ("run", "seeds", "OOF AUC", "valid AUC")


def test_a_blend_shows_weights_gains_and_correlations(mix: ReportContext) -> None:
    section = made(blend_section(mix))
    names = ["blend-weights", "blend-adds", "blend-correlations", "blend-methods"]
    assert [p.name for p in section.pictures] == names
    assert section.lead.startswith("Used greedy, as asked")


@pytest.mark.usefixtures("undrawn")
def test_figures_of_many_runs_show_some_and_tables_all(
    mix: ReportContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, drawn = [f"r{i}" for i in range(60)], dict[str, int]()
    content = blend_report(mix.run) | {
        "weights": {name: 1.0 - i / 100 for i, name in enumerate(names)},
        "adds": {n: {"value": -i / 1e4, "error": 0.01, "n": 9} for i, n in enumerate(names)},
        "correlation": {"runs": names, "spearman": np.eye(60).tolist()},
    }
    monkeypatch.setattr("mmctr_kit.report.sections.blend.blend_report", lambda _: content)

    def count(figure: Figure, name: str, *texts: str) -> Picture:
        drawn[name] = len(figure.axes[0].get_yticks())
        title, caption, says = texts
        return Picture(name, title, caption, says)

    for part in ("blend", "leaderboard", "provenance"):
        monkeypatch.setattr(f"mmctr_kit.report.sections.{part}.picture", count)
    section = made(blend_section(mix))
    captions = {picture.name: picture.caption for picture in section.pictures}
    largest = "The 40 of 60 runs with the largest weights; the table has all."
    assert captions["blend-weights"].endswith(largest)
    assert captions["blend-adds"].endswith("runs that differ most from 0; the table has all.")
    [table] = [table for table in section.tables if table.folded == "60 runs"]
    assert table.rows[0] == ("r0", "1.000", "+0.0000 ± 0.0100")
    assert table.rows[-1] == ("r59", "0.410", "-0.0059 ± 0.0100")

    others = [replace(mix.leaderboard[1], name=name) for name in names]
    one = replace(mix.leaderboard[0], valid=Estimate(0.4, 0.01, 9))
    section = made(leaderboard_section(replace(mix, leaderboard=(one, *others))))
    assert "The 41 of 61 runs with the highest AUC; the table" in section.pictures[0].caption
    assert len(section.tables[0].rows) == 61

    runs = [Run(mix.sources[0].path) for _ in names]
    for run, name in zip(runs, names, strict=True):
        run.name = name
    section = made(time_section(replace(mix, sources=tuple(runs))))
    assert len(section.tables[0].rows) == 60
    assert drawn == {
        "blend-weights": 40,
        "blend-adds": 40,
        "blend-correlations": 30,
        "blend-methods": drawn["blend-methods"],
        "leaderboard-auc": 41,
        "leaderboard-gaps": 40,
        "time-phases": 40,
    }


def test_each_trained_run_has_its_learning_curves(mix: ReportContext) -> None:
    section = made(models_section(mix))
    assert len(section.pictures) == len(mix.sources)
    assert section.tables == []
    assert "best 0.6900 at epoch 3 of 3" in section.pictures[0].markup


def test_each_fold_model_has_its_scores_and_its_epochs(alpha: ReportContext) -> None:
    [table] = made(models_section(alpha)).tables
    assert [row[0] for row in table.rows] == [f"{fold}, seed 0" for fold in range(3)]
    assert alpha.predictions.oof is not None
    rows = sum(int(row[1].replace(",", "")) for row in table.rows)
    assert rows == len(alpha.predictions.oof.logit)
    assert {row[4:] for row in table.rows} == {("3", "3")}
    assert all(" ± " in row[2] and " ± " in row[3] for row in table.rows)


def test_importance_shows_what_valid_loses_with_its_uncertainty(
    alpha: ReportContext, mix: ReportContext
) -> None:
    section = made(importance_section(alpha))
    assert [p.name for p in section.pictures] == ["importance-drop", "importance-gain"]
    few, every = section.tables
    assert every.folded == f"All {FEATURES} features"
    assert few.rows == every.rows[: len(few.rows)]
    drops = [float(row[2].split()[0]) for row in every.rows]
    assert drops == sorted(drops, reverse=True)
    assert all(" ± " in row[2] and " ± " in row[3] for row in every.rows)
    assert every.rows[0][1].startswith("made-up feature number ")
    assert importance_section(mix) is None


def test_a_slice_with_too_few_rows_says_so(tiny: ChallengeData, tmp_path: Path) -> None:
    run = make_run(tmp_path, "x", tiny, 1.0, 0)
    metrics = run.metrics
    first, second, *others = metrics["slices"]
    first |= {"positives": MIN_USERS - 1}
    second |= {"auc": None, "errors": None}
    write_json(unsealed(run.path) / "metrics.json", metrics)
    section = made(slices_section(open_context("x", tmp_path, tmp_path)))
    [note] = [note for note in section.notes if note.startswith("Too few rows to judge")]
    few = [entry for entry in (first, second, *others) if too_few(entry)]
    assert all(f"{e['split']}, {e['by']} {e['slice']} ({e['rows']:,})" in note for e in few)
    said = [row[3] == "too few" for row in section.tables[-1].rows]
    known = (entry for entry in (first, second, *others))
    assert said == [too_few(entry) and entry["gap"] is not None for entry in known]
    assert said[:2] == [True, True]
    assert not all(said)


def test_roc_and_calibration_name_both_predictors(alpha: ReportContext) -> None:
    section = made(ranking_section(alpha))
    names = [note.split(":")[0] for note in section.notes]
    assert names == ["valid, fold mean", "OOF, fold models"]
    assert "expected calibration error" in section.notes[0]


def test_distributions_are_by_label_and_by_split(alpha: ReportContext) -> None:
    titles = [p.title for p in distribution_section(alpha).pictures]
    assert titles == ["Valid, by label", "OOF, by label", "By split"]


def test_slices_are_sorted_by_how_far_they_lie_from_the_others(alpha: ReportContext) -> None:
    few, every = made(slices_section(alpha)).tables
    z = [abs(float(row[3].split()[0])) for row in few.rows]
    assert z == sorted(z, reverse=True)
    assert every.folded == f"All {len(every.rows)} slices"


def test_an_ablation_says_what_a_verdict_needs(alpha: ReportContext) -> None:
    section = made(ablation_section(alpha))
    changes, costs = section.tables
    assert "A verdict needs a change of 2.2 standard errors, as 2 variants were" in changes.caption
    assert costs.rows[0] == ("base", "1,234", "10,000", "0.50 / 0.90", "0.60 / 1.00", "300")


def test_time_adds_up_over_fold_models(alpha: ReportContext) -> None:
    [table] = made(time_section(alpha)).tables
    assert table.columns[-2:] == ("total", "per fold model")
    assert [float(x) for x in table.rows[0][-2:]] == [5 * (1.5 + 2.5 + 3.5), 5 * 2.5]


def test_only_keys_in_which_recipes_differ_are_compared(mix: ReportContext) -> None:
    section = made(recipe_section(mix))
    [table] = section.tables
    assert [row[0] for row in table.rows] == ["training.learning_rate"]
    assert len(section.listings) == len(mix.sources)


@pytest.mark.parametrize(
    ("changes", "row", "note"),
    [
        (None, ("items.text_dim", "16"), "0.0120 lower per seed"),
        ({}, ("none", "–"), "No trial was better than the base recipe."),
    ],
)
def test_a_study_says_what_changed_and_how_optimistic_its_search_was(
    tiny: ChallengeData,
    tmp_path: Path,
    changes: dict[str, int] | None,
    row: tuple[str, str],
    note: str,
) -> None:
    make_study(tmp_path, "tuned", tiny, changes)
    section = made(study_section(open_context("tuned.study", tmp_path, tmp_path)))
    best, every, finalists, changed = section.tables
    assert [row[0] for row in best.rows] == [row[0] for row in every.rows[: len(best.rows)]]
    assert every.folded == "All 18 trials"
    assert every.rows[-1][:3] == ("3", "pruned", "–")
    aucs = [float(row[2].split()[0]) for row in every.rows[:-1]]
    assert aucs == sorted(aucs, reverse=True)
    assert finalists.rows[0][0] == "trial 7 (chosen)"
    assert changed.rows == [row]
    assert note in " ".join(section.notes)


@pytest.mark.usefixtures("undrawn")
def test_what_does_not_exist_has_no_section(alpha: ReportContext) -> None:
    bare = replace(alpha, leaderboard=(), ablations={}, study=None)
    absent = {blend_section, leaderboard_section, ablation_section, study_section}
    assert {make for make in SECTIONS if make(bare) is None} == absent
