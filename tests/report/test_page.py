"""mmctr_kit.report.page: a whole, self-contained page that screen readers can read."""

import base64
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.context import open_context
from mmctr_kit.report.page import headline, write_report
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.writer import begin_run
from tests.report.made import MANIFEST, NAMES, make_run, make_study, predicted
from tests.runs.unsealed import unsealed

FIGURES = {
    "leaderboard-auc",
    "leaderboard-gaps",
    "blend-weights",
    "blend-correlations",
    "blend-methods",
    *(f"learning-{name.replace('.', '-')}" for name in NAMES),
    "roc-curves",
    "calibration-curves",
    "scores-by-label-valid",
    "scores-by-label-oof",
    "scores-by-split",
    "slices-oof",
    "slices-valid",
    "ablation-alpha",
    "time-phases",
}


def page_of(runs: Path, name: str, out: Path) -> str:
    write_report(open_context(name, runs, runs / "no-submissions"), out)
    return out.read_text("utf-8")


@pytest.fixture(scope="module")
def mix(pages: Mapping[str, Path]) -> str:
    """The page of the blend of five."""
    return pages["blend"].read_text("utf-8")


VOID = ("meta", "link", "br", "hr", "img", "input")


class Reader(HTMLParser):
    """Tags with their attributes, and whether every tag was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def sections_of(text: str) -> list[str]:
    return [str(a["id"]) for a in Reader(text).all("section")]


def test_a_blend_of_five_has_every_figure(mix: str) -> None:
    labelled = {
        str(svg["aria-labelledby"]).split()[0].removesuffix("-title")
        for svg in Reader(mix).all("svg")
    }
    assert labelled >= FIGURES


def test_it_is_under_3_mb(mix: str) -> None:
    assert len(mix.encode()) < 3_000_000


def test_tags_close_and_ids_are_unique_and_meant(mix: str) -> None:
    read = Reader(mix)
    assert read.open == []
    ids = Counter(a["id"] for _, a in read.tags if "id" in a)
    assert [i for i, n in ids.items() if n > 1] == []
    targets = re.findall(r'(?:href="#|url\(#)([\w-]+)', mix)
    assert len(targets) > 20
    assert set(targets) <= set(ids)


def test_it_asks_nothing_of_any_network(mix: str) -> None:
    assert re.findall(r"https?://[^\s<\"]+", mix) == []
    read = Reader(mix)
    for tag in ("img", "iframe", "object"):
        assert read.all(tag) == []
    assert read.all("script") == [{}]  # inside the page
    for word in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon", "eval("):
        assert word not in mix
    assert [a["href"] for a in read.all("link")] == ["data:,"]
    assert "@import" not in mix
    assert "@font-face" not in mix


def test_its_policy_allows_the_pages_own_style_and_script_and_no_others(mix: str) -> None:
    read = Reader(mix)
    policy = next(a["content"] for a in read.all("meta") if "http-equiv" in a)
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        text = mix.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert [a for _, a in read.tags if "style" in a or any(k.startswith("on") for k in a)] == []


def test_every_figure_says_what_it_shows_with_numbers(mix: str) -> None:
    for svg in Reader(mix).all("svg"):
        assert svg["role"] == "img"
        title, text = str(svg["aria-labelledby"]).split()
        assert re.search(rf'<title id="{title}">[^<]+</title>', mix)
        described = re.search(rf'<desc id="{text}">([^<]+)</desc>', mix)
        assert described
        assert re.search(r"\d\.\d", described[1]), described[1]


def test_text_in_figures_is_text_in_the_pages_own_colours_and_font(mix: str) -> None:
    assert ">held-out AUC<" in mix
    assert "DejaVu" not in mix.split("</style>")[1]
    colours = re.findall(r"#[0-9a-f]{6}", mix.split("</style>")[1])
    assert colours == []


def test_headings_go_down_one_level_at_a_time(mix: str) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(mix).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_tables_name_their_rows_and_columns_and_scroll_by_themselves(mix: str) -> None:
    read = Reader(mix)
    tables = len(read.all("table"))
    assert tables > 5
    assert len(read.all("caption")) == tables
    assert {th["scope"] for th in read.all("th")} == {"row", "col"}
    assert mix.count('class="scroll"') == tables


def test_the_headline_is_the_runs_own_number(mix: str, made_runs: Path) -> None:
    valid = json.loads((made_runs / "mix" / "metrics.json").read_text())["valid"]
    assert f"{valid['value']:.4f}</span>" in mix
    assert f"± {valid['error']:.4f}" in mix
    assert f"{valid['n']:,} official valid rows" in mix


def test_an_uncertainty_is_called_a_standard_error(mix: str) -> None:
    text = re.sub(r"<[^>]+>", " ", mix.split("</style>")[1])
    text = " ".join(text.split()).replace("calibration error", "")
    assert text.count("standard error") > 5
    assert re.findall(r".{20}(?<!standard )errors?\b", text) == []


@pytest.mark.slow
def test_equal_runs_make_equal_pages(
    pages: Mapping[str, Path], everything: Path, tmp_path: Path
) -> None:
    first, again = pages["ablation"], tmp_path / "again.html"
    write_report(open_context("alpha.ablate", everything, first.parent / "submissions"), again)
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_a_report_is_written_over_and_nothing_else_is(made_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "x.html"
    first = page_of(made_runs, "alpha", out)
    assert page_of(made_runs, "beta", out) != first
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html>\n<p>my own work")
    with pytest.raises(UsageError, match="is no report"):
        page_of(made_runs, "alpha", mine)
    assert "my own work" in mine.read_text()
    with pytest.raises(UsageError, match="is a folder"):
        page_of(made_runs, "alpha", tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_what_a_recipe_says_is_text_and_never_markup(tiny: ChallengeData, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "x", tiny, 1.0, 0)
    with (unsealed(run.path) / "recipe.yaml").open("a") as file:
        file.write("# </code><script>alert(1)</script>\n")
    text = page_of(tmp_path / "runs", "x", tmp_path / "x.html")
    assert text.count("<script") == 1  # its own
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.usefixtures("undrawn")
def test_an_ablation_is_the_page_of_its_base_with_the_changes(
    tiny: ChallengeData, made_runs: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(made_runs, tmp_path / "runs")
    make_run(root / "alpha.ablate", "base", tiny, 1.0, 0)
    text = page_of(root, "alpha.ablate", tmp_path / "a.html")
    assert "<h1>alpha.ablate</h1>" in text
    assert "history-off" in text
    assert sections_of(text)[:2] == ["ablation", "next"]
    assert "model.history-off: a -&gt; &lt;b&gt;" in text
    assert "1 seed; a verdict (better or worse) needs 3 or more" in text


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_study_is_the_page_of_its_chosen_finalist_with_the_search(
    tiny: ChallengeData, tmp_path: Path, pages: Mapping[str, Path]
) -> None:
    text = pages["study"].read_text("utf-8")
    assert "<h1>tuned.study</h1>" in text
    assert "Chosen finalist: trial-7" in text
    assert sections_of(text)[:2] == ["study", "next"]
    for name in ("study-history", "study-importance", "study-parallel", "study-dimensions"):
        assert f'id="{name}-title"' in text
    assert "18 trials (17 complete, 1 pruned)" in text
    assert "scored 0.0120 lower" in text
    assert "one seed, in the search" in text
    assert "PED-ANOVA, from 17 complete trials. Unreliable: with fewer than 20 trials" in text
    changed = text.split("Finalist settings that differ from the base recipe")[1]
    changed = changed.split("</table>")[0]
    assert re.findall(r'<th scope="row"><span>([^<]+)', changed) == ["items.text_dim"]
    assert re.findall(r"#[0-9a-f]{6}", text.split("</style>")[1]) == []
    make_run(tmp_path / "runs", "tuned", tiny, 1.0, 0)
    make_study(tmp_path / "runs", "tuned", tiny)
    of_run = page_of(tmp_path / "runs", "tuned", tmp_path / "r.html")
    assert "<h3>Trials</h3>" in of_run
    assert sections_of(of_run)[:2] == ["next", "leaderboard"]
    assert "tuned.study/best.yaml" in of_run


def test_imported_test_scores_alone_still_make_a_page(tiny: ChallengeData, tmp_path: Path) -> None:
    from dataclasses import replace

    from mmctr_kit.runs.predictions import Keys

    predictions = predicted(tiny, 1.0, 0)
    bare = replace(
        predictions,
        oof=None,
        valid_keys=Keys.none(),
        valid_label=predictions.valid_label[:0],
        valid=predictions.valid[:, :0],
    )
    manifest = Manifest("imported", "rows", "features", "", "recipe")
    writer = begin_run(tmp_path / "runs" / "theirs", manifest, None, False)
    assert writer is not None
    writer.finish(bare, score_predictions(bare), {})
    text = page_of(tmp_path / "runs", "theirs", tmp_path / "t.html")
    assert "no score is known" in text
    ids = {a["id"] for a in Reader(text).all("section")}
    assert {"next", "scores", "environment"} <= ids
    assert not ids & {
        "leaderboard",
        "models",
        "importance",
        "roc",
        "slices",
        "blend",
        "recipe",
        "time",
    }


@pytest.mark.usefixtures("undrawn")
def test_sources_that_are_gone_are_named(made_runs: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made_runs, tmp_path / "runs")
    shutil.rmtree(root / "gamma")
    text = page_of(root, "mix", tmp_path / "m.html")
    assert "Not shown, as their folders are gone: gamma." in text


@pytest.mark.usefixtures("undrawn")
def test_sources_that_were_made_again_are_named(made_runs: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made_runs, tmp_path / "runs")
    shutil.rmtree(root / "gamma")
    shutil.copytree(root / "alpha", root / "gamma")
    text = page_of(root, "mix", tmp_path / "m.html")
    assert "Made again since they were blended, so not what is in the blend: gamma." in text


@pytest.mark.usefixtures("undrawn")
def test_what_is_no_finished_run_is_one_line(made_runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run 'nothing'"):
        page_of(made_runs, "nothing", tmp_path / "x.html")
    root = tmp_path / "runs"
    begin_run(root / "begun", MANIFEST, None, False)
    with pytest.raises(RunError, match="unfinished"):
        page_of(root, "begun", tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_readme_shows_a_picture_of_a_page_under_200_kb() -> None:
    path = Path(__file__).with_name("report.png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(content) < 200_000
    top = Path(__file__).parents[2]
    assert f"]({path.relative_to(top).as_posix()})" in (top / "README.md").read_text("utf-8")


def test_the_main_score_is_the_valid_auc_with_its_interval(made_runs: Path) -> None:
    context = open_context("mix", made_runs, made_runs)
    head = headline(context)
    valid = context.metrics["valid"]
    assert (head["kind"], head["score"]) == ("Blend of 5 runs", "Valid AUC")
    assert head["value"] == f"{valid['value']:.4f}"
    low, high = Estimate.from_json(valid).share_interval()
    assert f"95 % confidence interval {low:.4f} to {high:.4f}" in head["meaning"]
    assert "OOF AUC" in [name for name, _, _ in head["facts"]]
    assert head["alarm"] is None


def test_without_valid_rows_the_main_score_is_oof(made_runs: Path) -> None:
    context = open_context("alpha", made_runs, made_runs)
    context = replace(context, metrics={**context.metrics, "valid": None})
    head = headline(context)
    assert (head["kind"], head["score"]) == ("Run of 3 folds, 1 seed", "OOF AUC")
    assert "were not trained on" in head["meaning"]


def test_a_standard_error_that_is_unknown_is_said_to_be(made_runs: Path) -> None:
    context = open_context("alpha", made_runs, made_runs)
    valid = {**context.metrics["valid"], "error": None}
    context = replace(context, metrics={**context.metrics, "valid": valid, "alarm": "OOF differs"})
    head = headline(context)
    assert head["se"] == "n/a"
    assert "Its standard error cannot be had: too few users" in head["meaning"]
    assert head["alarm"] == "OOF differs"
