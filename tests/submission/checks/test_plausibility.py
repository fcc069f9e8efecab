import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.submission.checks import plausibility
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.checks.local_agreement import unit_ranks
from mmctr_kit.submission.checks.plausibility import (
    ItemGroups,
    Reference,
    TestRows,
    check_alignment,
    check_references,
    rank_z,
)

N = 3_000
RNG = np.random.default_rng(2)
ITEM = RNG.integers(0, 300, N)
NOISE = RNG.normal(size=N)
SCORE = 0.5 * RNG.normal(size=300)[ITEM] + RNG.normal(size=N)
POPULARITY = np.bincount(ITEM, minlength=300)[ITEM].astype(float)


def item_z(score: np.ndarray, item: np.ndarray) -> float:
    return plausibility.item_z(unit_ranks(score), ItemGroups(item))


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float64, st.integers(2, 30), elements=st.integers(-4, 4).map(float)))
def test_rank_correlation_with_runs_is_spearmans_ties_included(values: np.ndarray) -> None:
    other = np.arange(len(values)) % 3.0
    found = said(values, references=(Reference("other", other),))
    if np.ptp(values) and np.ptp(other):
        expected = stats.spearmanr(values, other)[0]
        shown = float(found[0][2].removeprefix("Task1: ").partition(" ")[0])
        assert shown == pytest.approx(expected, abs=5.1e-4)
    else:
        assert found == []


def test_item_z_has_the_mean_and_variance_of_real_permutations() -> None:
    item = np.repeat(np.arange(60), RNG.integers(1, 6, 60))
    score = RNG.normal(size=len(item))
    drawn = np.array([item_z(RNG.permutation(score), item) for _ in range(4_000)])
    assert abs(drawn.mean()) < 4 / np.sqrt(4_000)
    assert drawn.std() == pytest.approx(1, abs=0.06)


def test_item_z_is_large_where_items_matter_and_unknown_where_no_item_repeats() -> None:
    assert item_z(SCORE, ITEM) > 20
    assert abs(item_z(NOISE, ITEM)) < 4
    assert np.isnan(item_z(SCORE, np.arange(N)))
    assert np.isnan(item_z(np.ones(N), ITEM))


def test_rank_z_is_standard_normal_for_unrelated_scores() -> None:
    popularity = unit_ranks(POPULARITY[:200])
    drawn = np.array([rank_z(unit_ranks(RNG.normal(size=200)), popularity) for _ in range(2_000)])
    assert abs(drawn.mean()) < 0.1
    assert drawn.std() == pytest.approx(1, abs=0.06)


def said(
    column: np.ndarray, test: TestRows | None = None, references: tuple[Reference, ...] = ()
) -> list[tuple[str, Level, str]]:
    log, columns = Log(CHECKS), {"Task1": unit_ranks(column)}
    check_references(columns, references, log, test or TestRows(len(column)))
    if test is not None:
        check_alignment(columns, test, references, log)
    return [(f.id, f.level, f.what + f.todo) for f in log.findings()]


def test_agreement_with_runs_passes_and_its_range_is_shown() -> None:
    runs = (Reference("din", SCORE + NOISE), Reference("qin", SCORE * 7))
    ((check, level, text),) = said(SCORE, references=runs)
    assert (check, level) == ("rank-correlation", Level.PASS)
    assert text.endswith("(din) to 1.000")


@pytest.mark.parametrize(("other", "word"), [(-SCORE, "inverted?"), (NOISE, "unrelated")])
def test_a_run_that_disagrees_is_a_doubt_even_beside_one_that_agrees(
    other: np.ndarray, word: str
) -> None:
    ((check, level, text),) = said(
        SCORE, references=(Reference("good", SCORE), Reference("other", other))
    )
    assert (check, level) == ("rank-correlation", Level.WARN)
    assert word in text
    assert "(other)" in text
    assert "2 runs, 1 of them under 0.1" in text


def test_runs_that_cannot_be_compared_are_left_out() -> None:
    runs = (Reference("short", SCORE[:5]), Reference("flat", np.ones(N)))
    assert said(SCORE, references=(*runs, Reference("broken", np.full(N, np.nan)))) == []


def test_shuffled_rows_are_a_doubt_by_item_and_by_popularity() -> None:
    shuffled = RNG.permutation(SCORE)
    popular = POPULARITY + 20 * NOISE
    for test, column, level in (
        (TestRows(N, ITEM), SCORE, Level.PASS),
        (TestRows(N, ITEM), shuffled, Level.WARN),
        (TestRows(N, None, POPULARITY), popular, Level.PASS),
        (TestRows(N, None, POPULARITY), RNG.permutation(popular), Level.WARN),
        (TestRows(N, ITEM, POPULARITY), shuffled, Level.WARN),
        (TestRows(N, ITEM, RNG.permutation(POPULARITY)), SCORE, Level.PASS),
    ):
        ((check, found, _),) = said(column, test)
        assert (check, found) == ("rows-aligned", level)


def test_where_existing_runs_do_not_depend_on_the_item_either_there_is_no_doubt() -> None:
    shuffled, test = RNG.permutation(SCORE), TestRows(N, ITEM)
    blind, seeing = Reference("blind", shuffled + NOISE), Reference("seeing", SCORE)
    assert [f[:2] for f in said(shuffled, test, (blind,))] == [
        ("rank-correlation", Level.PASS),
        ("rows-aligned", Level.PASS),
    ]
    assert ("rows-aligned", Level.WARN) in [f[:2] for f in said(shuffled, test, (blind, seeing))]


def test_where_the_relation_could_not_be_seen_there_is_no_doubt() -> None:
    assert said(NOISE[:900], TestRows(900, ITEM[:900])) == []
    assert said(NOISE, TestRows(N)) == []
    for once_or_twice in (np.arange(N), np.arange(N) // 2):
        ((_, level, text),) = said(NOISE, TestRows(N, once_or_twice))
        assert level is Level.PASS
        assert "too few" in text


def test_rows_of_another_length_are_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="expected 5 values"):
        TestRows(5, np.arange(4))


def test_a_run_that_knows_no_item_says_nothing_of_a_file_that_does() -> None:
    test, blind = TestRows(N, ITEM), Reference("length", NOISE)
    runs = (blind, Reference("din", SCORE + NOISE))
    assert [level for _, level, _ in said(SCORE, test, runs)] == [Level.PASS, Level.PASS]
    assert said(SCORE, None, runs)[0][1] is Level.WARN  # without items that can't be told


def test_a_file_made_of_a_run_that_knows_no_item_is_not_doubted_for_the_others() -> None:
    test, runs = TestRows(N, ITEM), (Reference("length", NOISE), Reference("din", SCORE))
    assert said(NOISE, test, runs)[0][:2] == ("rank-correlation", Level.PASS)
    against = (runs[0], Reference("qin", SCORE - NOISE))  # long histories may well score low
    assert said(NOISE, test, against)[0][:2] == ("rank-correlation", Level.PASS)


def test_scores_that_know_no_item_and_agree_with_nothing_are_a_doubt() -> None:
    runs = (Reference("length", RNG.permutation(NOISE)),)
    assert said(NOISE, TestRows(N, ITEM), runs)[0][:2] == ("rank-correlation", Level.WARN)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_run_shuffled_in_part_is_a_doubt_that_names_the_part(share: float) -> None:
    first = N - int(share * N)
    mixed = np.r_[SCORE[:first], RNG.permutation(SCORE[first:])]
    ((check, level, text),) = said(mixed, references=(Reference("din", SCORE),))
    assert (check, level) == ("rank-correlation", Level.WARN)
    assert f"{1 - share:.0%} of the rows rank exactly as in din" in text
    assert f"to {N - 1:,}" in text


def test_rows_that_scattered_mistakes_moved_are_a_doubt_too() -> None:
    moved = RNG.random(N) < 0.5
    mixed = SCORE.copy()
    mixed[moved] = RNG.permutation(SCORE[moved])
    ((_, level, text),) = said(mixed, references=(Reference("din", SCORE),))
    assert level is Level.WARN
    assert "the others are unrelated to it" in text


def test_a_row_lost_midway_shows_beside_a_run_that_it_was_not_made_of() -> None:
    other = Reference("other", SCORE + 0.5 * RNG.normal(size=N))
    lost = np.r_[SCORE[:1_500], SCORE[1_501:], 0.0]
    ((_, level, text),) = said(lost, references=(other,))
    assert level is Level.WARN
    assert "rank correlation with other is" in text


def test_a_part_that_lost_its_relation_to_popularity_is_a_doubt_without_any_run() -> None:
    popular = POPULARITY + RNG.normal(size=N)
    mixed = np.r_[popular[:1_500], RNG.permutation(popular[1_500:])]
    test = TestRows(N, None, POPULARITY)
    ((check, level, text),) = said(mixed, test)
    assert (check, level) == ("rows-aligned", Level.WARN)
    assert "looks shuffled in IDs 1," in text
    runs = (Reference("as it is here", mixed),)
    assert [f[1] for f in said(mixed, test, runs)] == [Level.PASS, Level.PASS]


def test_reversed_scores_are_a_doubt_where_the_items_label_rates_are_known() -> None:
    rate = np.where(SCORE > 0, 0.3, 0.2)
    test = TestRows(N, ITEM, None, rate)
    assert said(SCORE, test)[0][1] is Level.PASS
    ((check, level, text),) = said(-SCORE, test)
    assert (check, level) == ("rows-aligned", Level.WARN)
    assert "looks reversed" in text
    turned = (Reference("so is this run", -SCORE),)  # on such data rates say nothing
    assert [f[1] for f in said(-SCORE, test, turned)] == [Level.PASS, Level.PASS]


def test_a_slight_relation_to_label_rates_is_no_doubt_however_many_rows_show_it() -> None:
    n = 40_000
    score = RNG.normal(size=n)
    test = TestRows(n, None, score + RNG.normal(size=n), -0.04 * score + RNG.normal(size=n))
    assert rank_z(unit_ranks(score), unit_ranks(test.rate)) < -5
    assert [level for _, level, _ in said(score, test)] == [Level.PASS]


def test_honest_runs_that_agree_little_or_much_are_no_doubt() -> None:
    for noise in (0.01, 0.5, 1.0, 3.0):
        for _ in range(20):
            other = Reference("other", SCORE + noise * RNG.normal(size=N) * SCORE.std())
            assert [level for _, level, _ in said(SCORE, None, (other,))] == [Level.PASS]
