"""The list of runs fits the console: columns give way, names and digits do not."""

from pathlib import Path

import pytest

from mmctr_kit.api.overview import overview
from mmctr_kit.cli.runs import listing
from mmctr_kit.cli.runs.listing import print_fitting
from mmctr_kit.files import locked, write_json
from mmctr_kit.runs.leaderboard import LeaderboardRow
from mmctr_kit.runs.lineage import begin_lineage, note_begun
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run
from tests.cli.conftest import mistake, run

LONG = "a_run_of_a_recipe_with_a_long_name-fit"
COLUMNS = ("run", "OOF AUC", "valid AUC", "rules")
ROWS = [(LONG, "0.7832 ±.0100", "0.7933 ±.0100", "2 1&2?"), ("b", "-", "0.5 ±?", "-")]


@pytest.fixture
def busy(work: Path, tmp_path: Path) -> Path:
    """A folder with a run, an unfinished one, an ablation and a study."""
    root = tmp_path / "runs"
    root.mkdir()
    for name in ("din_demo", "both"):
        (root / name).symlink_to(work / "runs" / name)
    found = Run(work / "runs" / "din_demo")
    begin_run(root / LONG, found.manifest, found.recipe_text, False)
    (root / "a.ablate").mkdir()
    note_begun(root / "a.ablate", begin_lineage(None, "CPU", 12))
    (root / "s.study").mkdir()
    write_json(root / "s.study" / "settings.json", {"storage": "mysql://db/t"})
    return root


def terminal(patch: pytest.MonkeyPatch, width: int) -> None:
    """Make the console as wide as a terminal of so many columns."""
    patch.setattr("mmctr_kit.cli.output.PLAIN_WIDTH", width)
    for module in ("output", "runs.listing"):
        patch.setattr(f"mmctr_kit.cli.{module}.room", lambda: width)


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_name_is_lost_and_no_line_is_too_long(
    busy: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    terminal(monkeypatch, width)
    output = run("runs", "--runs", str(busy)).output
    lines = [line for line in output.splitlines() if not line.startswith("no room for")]
    assert max(map(len, lines)) <= width
    for name in ("din_demo", "both", LONG, "a.ablate", "s.study"):
        assert name in output
    assert "…" not in output
    assert str(Run(busy / "din_demo").valid_auc).replace("± 0.", "±.") in output


@pytest.mark.parametrize(
    ("width", "hidden"), [(90, []), (80, []), (70, ["rules"]), (60, ["rules", "OOF AUC"])]
)
def test_the_least_columns_give_way_and_are_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: int,
    hidden: list[str],
) -> None:
    terminal(monkeypatch, width)
    assert sorted(print_fitting(COLUMNS, ROWS, ["rules", "OOF AUC"])) == sorted(hidden)
    printed = capsys.readouterr().out
    assert LONG in printed
    assert "0.7933 ±.0100" in printed
    assert ("rules" in printed) == ("rules" not in hidden)


def test_every_column_that_is_left_out_is_named_under_its_table(
    busy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = [row for row in overview(busy) if row.ranked]
    state = "8 runs, none better"
    base = LeaderboardRow("a_long.ablate", "ablation", 3, state, valid=ranked[0].valid)
    monkeypatch.setattr("mmctr_kit.api.overview.overview", lambda *_: [*ranked, base])
    terminal(monkeypatch, 60)
    output = run("runs", "--runs", str(busy)).output
    first, second = output.split("not ranked")
    assert flat(first).count("no room for: OOF AUC") == 1
    assert "; --rules has the rules, --json has all" in flat(first)
    assert "no room for: valid AUC; --json has all" in flat(second)


def test_a_pipe_gets_all_columns_however_long_the_lines(busy: Path) -> None:
    output = run("runs", "--runs", str(busy)).output
    assert output.splitlines()[0].split() == (
        ["run", "OOF", "AUC", "valid", "AUC", "Δ", "vs", "best", "seeds", "rules", "begun"]
    )
    assert "no room for" not in output
    assert print_fitting(COLUMNS, [(LONG * 3, *ROWS[0][1:])], COLUMNS) == []


def test_what_is_not_finished_says_how_far_it_is_and_whether_it_runs(busy: Path) -> None:
    with locked(busy / "a.ablate"):
        output = flat(run("runs", "--runs", str(busy)).output)
    assert f"{LONG} cv fold 1/" in output
    assert "; stopped" in output
    assert "a.ablate ablation 0/12 runs; running" in output
    assert "trials in a database;" in output


def test_the_date_is_shown_for_want_of_another_column(
    busy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_date", lambda _: "02-29")
    terminal(monkeypatch, 80)
    root = ("--runs", str(busy), "--kind", "cv", "--kind", "blend")
    plain, dated = run("runs", *root), run("runs", "--sort", "date", *root)
    assert "02-29" in dated.output.splitlines()[1]
    assert plain.output.splitlines()[0].split()[:2] == ["run", "OOF"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--kind", "study"), ["s.study"]),
        (("--kind", "ablation", "--kind", "blend"), ["both", "a.ablate"]),
        (("--only", "din*", "--only", "s.*"), ["din_demo", "s.study"]),
        (("--unfinished", "--sort", "name"), ["a.ablate", LONG, "s.study"]),
        (("--only", "nothing"), []),
    ],
)
def test_filters_restrict_and_combine(
    busy: Path, options: tuple[str, ...], names: list[str]
) -> None:
    import json

    rows = json.loads(run("runs", "--runs", str(busy), "--json", *options).output)
    assert [row["name"] for row in rows] == names
    if not names:
        assert "no run matches --kind" in run("runs", "--runs", str(busy), *options).output


def test_a_kind_that_is_none_is_answered_with_the_nearest(
    busy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = mistake(capsys, "runs", "--runs", str(busy), "--kind", "studies")
    assert code == 2
    assert "no kind 'studies' (did you mean study?)" in " ".join(error.split())


def test_the_latest_and_the_best_oof_come_first_if_asked_for(busy: Path) -> None:
    import json

    def listed(sort: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = json.loads(
            run("runs", "--runs", str(busy), "--json", "--sort", sort).output
        )
        return rows

    dates = [str(row["began"]) for row in listed("date")]
    assert dates == sorted(dates, reverse=True)
    scores = [row["oof"]["value"] for row in listed("oof") if row["oof"]]  # type: ignore[index]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 2
