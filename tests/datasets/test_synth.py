"""The generator: its closed-form oracle against enumeration, its draws, its files."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare, spearmanr
from threadpoolctl import threadpool_limits

from mmctr_kit.data.contract import FILES, SPLITS
from mmctr_kit.data.parquet import read_table
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.synth import PRESETS, Truth, generate
from mmctr_kit.datasets.synth.content import Content, make_content
from mmctr_kit.datasets.synth.draw import (
    ABSENT,
    Preferences,
    block_catalogue,
    draw_group,
    draw_history,
)
from mmctr_kit.datasets.synth.oracle import group_log_odds, power_sums, row_log_odds
from mmctr_kit.datasets.synth.pca import given_embeddings
from mmctr_kit.datasets.synth.users import Users, draw_users
from mmctr_kit.datasets.synth.world import LATENT, World, build_world
from mmctr_kit.errors import UsageError
from mmctr_kit.metrics.auc import auc, auc_with_se

TINY, DEMO = PRESETS["tiny"], PRESETS["demo"]
SHORT = replace(TINY, test_rows=398)
"""The last user of test has 2 rows."""

Floats = NDArray[np.float64]


def small_world(warm: Floats, cold: Floats, factors: Floats | None = None) -> World:
    """A few items by their weights; users differ only where ``factors`` are given."""
    weight = np.concatenate([warm, cold])
    n, n_warm = len(weight), len(warm)
    q = np.arange(1.0, n + 1) / n**2
    q_warm = np.where(np.arange(n) < n_warm, q, 0.0) / q[:n_warm].sum()
    return World(
        preset=TINY,
        factors=np.zeros((n, LATENT)) if factors is None else factors,
        cluster=np.zeros(n, np.int64),
        weight=weight,
        popularity=weight / weight.sum(),
        q_warm=q_warm,
        q_test=q / q.sum(),
        n_warm=n_warm,
        item_id=np.arange(1, n + 1),
    )


FEW = small_world(np.array([0.3, 0.05, 0.2, 0.1, 0.15, 0.12, 0.04]), np.array([0.08]))
"""Seven warm items and a cold one."""


def enumerated_log_odds(p: Floats, q: Floats, history: set[int], shown: list[int]) -> list[float]:
    """By the definition: every group outside the history, shuffled, whose first slots show."""
    positive = dict.fromkeys(shown, 0.0)
    total = 0.0
    for group in permutations(sorted(set(range(len(p))) - history), 4):
        if list(group[: len(shown)]) != shown:
            continue
        for slot in range(4):
            others = [q[i] for s, i in enumerate(group) if s != slot]
            mass = p[group[slot]] * float(np.prod(others)) / 4
            total += mass
            if slot < len(shown):
                positive[group[slot]] += mass
    return [float(np.log(positive[i] / (total - positive[i]))) for i in shown]


def simulate(world: World, rows: int, test: bool, seed: int = 0, workers: int = 2) -> Users:
    stream = np.random.SeedSequence(seed)
    return draw_users(world, rows, test, stream, workers, lambda _done: None)


@cache
def demo_world(seed: int = 0) -> World:
    return build_world(DEMO, np.random.default_rng(seed))


@cache
def demo_users() -> Users:
    return simulate(demo_world(), 40_000, test=True)


@cache
def demo_content() -> Content:
    return make_content(demo_world(), np.random.default_rng(1), workers=2)


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """As in :func:`generate`; several on busy cores only wait for each other."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    out = tmp_path_factory.mktemp("synth") / "out"
    return out, generate(out, SHORT, 3)


def table(out: Path, name: str) -> dict[str, Any]:
    return read_table(out / "data", FILES[name], FILES[name].column_names)


# The oracle


@settings(max_examples=40, deadline=None)
@given(
    masses=st.lists(st.floats(0.02, 1.0), min_size=14, max_size=14),
    past=st.sets(st.integers(0, 6), max_size=3),
)
def test_the_closed_form_equals_enumeration_on_seven_items(
    masses: list[float], past: set[int]
) -> None:
    p, q = np.array(masses[:7]) / sum(masses[:7]), np.array(masses[7:]) / sum(masses[7:])
    h = sorted(past)
    outside = power_sums(p[None], q[None]) - power_sums(p[None, h], q[None, h])
    shown = [i for i in range(7) if i not in past][:4]
    rows = row_log_odds(p[None, shown], q[None, shown], outside)[0]
    assert rows == pytest.approx([enumerated_log_odds(p, q, past, [i])[0] for i in shown])
    for m in (2, 3, 4):
        group = group_log_odds(p[None, shown[:m]], q[None, shown[:m]], outside)[0]
        assert group == pytest.approx(enumerated_log_odds(p, q, past, shown[:m]))


@pytest.mark.parametrize("test", [False, True])
def test_drawn_rows_carry_the_enumerated_log_odds_and_a_short_last_user_too(test: bool) -> None:
    users = simulate(FEW, 42, test)
    p = FEW.weight if test else np.where(np.arange(8) < FEW.n_warm, FEW.weight, 0.0)
    q = FEW.q(test)
    ends = np.cumsum(users.length)
    for u, (end, length) in enumerate(zip(ends, users.length, strict=True)):
        past = set(users.history[end - length : end].tolist())
        rows = slice(4 * u, min(4 * u + 4, 42))
        items = users.item[rows].tolist()
        alone = [enumerated_log_odds(p, q, past, [i])[0] for i in items]
        assert users.log_odds[rows] == pytest.approx(alone, abs=1e-5)
        together = enumerated_log_odds(p, q, past, items)
        assert users.group_log_odds[rows] == pytest.approx(together, abs=1e-5)


@pytest.mark.parametrize("oracle", ["log_odds", "group_log_odds"])
def test_the_oracles_probabilities_are_those_of_the_drawn_labels(oracle: str) -> None:
    users = demo_users()
    p = 1 / (1 + np.exp(-getattr(users, oracle)))
    for part in np.array_split(np.argsort(p), 12):
        error = np.sqrt((p[part] * (1 - p[part])).sum())
        assert abs(users.label[part].sum() - p[part].sum()) < 4 * error


def test_the_group_oracle_gives_each_user_one_positive_and_beats_the_row_oracle() -> None:
    users = demo_users()
    p = 1 / (1 + np.exp(-users.group_log_odds.reshape(-1, 4)))
    assert p.sum(axis=1) == pytest.approx(1.0)
    assert auc(users.label, users.group_log_odds) > auc(users.label, users.log_odds) + 0.02


def test_float32_sums_over_the_catalogue_agree_with_float64() -> None:
    world = demo_world()
    factors = 0.5 * np.random.default_rng(0).standard_normal((50, LATENT))
    sums = Preferences(factors, block_catalogue(world, test=True)).target_sums()
    p = world.weight * np.exp(factors @ world.factors.T)
    exact = power_sums(p, np.broadcast_to(world.q_test, p.shape))
    for name in ("p", "pq", "pqq", "q", "qq", "qqq"):
        assert getattr(sums, name) == pytest.approx(getattr(exact, name), rel=3e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_row_oracles_auc_on_demo_is_within_the_issues_range(seed: int) -> None:
    for test in (False, True):
        users = simulate(demo_world(seed), 20_000, test, seed)
        assert 0.88 < auc(users.label, users.log_odds) < 0.92


def test_the_item_alone_tells_something_and_a_mean_of_the_history_much() -> None:
    world, users = demo_world(), demo_users()
    item = np.log(world.popularity[users.item] / world.q_test[users.item])
    assert 0.6 < auc(users.label, item) < 0.7
    total = np.concatenate([np.zeros((1, LATENT)), np.cumsum(world.factors[users.history], 0)])
    ends = np.concatenate([[0], np.cumsum(users.length)])
    taste = (total[ends[1:]] - total[ends[:-1]]) / users.length[:, None]
    match = (np.repeat(taste, 4, axis=0) * world.factors[users.item]).sum(axis=1)
    assert auc(users.label, match + item) > 0.78


# The draws


def test_targets_are_drawn_by_the_users_softmax_across_blocks() -> None:
    rng = np.random.default_rng(0)
    world = small_world(rng.random(520), rng.random(20), rng.standard_normal((540, LATENT)))
    factors = 0.6 * rng.standard_normal((2, LATENT))
    chunk = Preferences(factors, block_catalogue(world, test=True))
    users = np.repeat([1, 0], 60_000)
    for draw, n_items in ((chunk.draw_target, 540), (chunk.draw_past, 520)):
        slots = draw(users, rng)
        for u in (0, 1):
            p = world.weight[:n_items] * np.exp(world.factors[:n_items] @ factors[u])
            found = np.bincount(slots[users == u], minlength=n_items)
            assert chisquare(found, 60_000 * p / p.sum()).pvalue > 1e-4


def test_histories_are_drawn_without_replacement_one_after_another() -> None:
    chunk = Preferences(np.zeros((40_000, LATENT)), block_catalogue(FEW, test=True))
    history = draw_history(chunk, np.full(40_000, 2), np.random.default_rng(0))
    p = FEW.weight[:7] / FEW.weight[:7].sum()
    expected = np.outer(p / (1 - p), p)
    off = ~np.eye(7, dtype=bool)
    found = np.bincount(history[:, 0] * 7 + history[:, 1], minlength=49).reshape(7, 7)
    assert not found[~off].any()
    assert chisquare(found[off], 40_000 * expected[off]).pvalue > 1e-4


def test_groups_are_those_of_the_definition() -> None:
    chunk = Preferences(np.zeros((40_000, LATENT)), block_catalogue(FEW, test=True))
    history = np.full((40_000, 2), ABSENT)
    history[:, 0] = 2
    groups = draw_group(chunk, history, np.random.default_rng(0))
    possible = list(permutations([0, 1, 3, 4, 5, 6, 7], 4))
    mass = np.array([FEW.weight[g[0]] * FEW.q_test[list(g[1:])].prod() for g in possible])
    index = {g: i for i, g in enumerate(possible)}
    found = np.bincount([index[tuple(g)] for g in groups.tolist()], minlength=len(possible))
    assert chisquare(found, 40_000 * mass / mass.sum()).pvalue > 1e-4


def test_history_lengths_are_three_plus_geometric_with_mean_nine() -> None:
    length = demo_users().length
    assert (length.min(), length.max() <= 64) == (3, True)
    assert abs(length.mean() - 9.0) < 5 * length.std() / np.sqrt(len(length))
    assert abs((length == 3).mean() - 1 / 7) < 0.02


def test_the_positives_place_in_the_group_is_uniform() -> None:
    place = demo_users().label.reshape(-1, 4).argmax(axis=1)
    assert chisquare(np.bincount(place, minlength=4)).pvalue > 1e-4


def test_cold_items_are_two_percent_of_test_targets_and_nowhere_else() -> None:
    world, users = demo_world(), demo_users()
    assert 0.015 < (users.item >= world.n_warm).mean() < 0.026
    assert (users.history < world.n_warm).all()
    assert (simulate(world, 20_000, test=False).item < world.n_warm).all()


def test_the_number_of_threads_changes_nothing() -> None:
    one, three = (simulate(demo_world(), 40_000, False, 5, workers) for workers in (1, 3))
    assert (one.item == three.item).all()
    assert (one.history == three.history).all()
    assert (one.log_odds == three.log_odds).all()


# Item content


@pytest.mark.parametrize("items", [40, 90])
def test_given_embeddings_are_pca(items: int) -> None:
    rng = np.random.default_rng(0)
    text, image = (rng.standard_normal((items, d)).astype(np.float32) + 1 for d in (20, 30))
    found = given_embeddings(text, image, workers=2)
    for name, x in (("v1", text), ("v2", image), ("v3", np.hstack([text, image]))):
        left, scale, _ = np.linalg.svd(x - x.mean(axis=0, dtype=np.float64), full_matrices=False)
        k = min(items - 1, x.shape[1])
        expected = (left * scale)[:, :k]
        signs = np.sign((found[name][:, :k] * expected).sum(axis=0))
        assert found[name][:, :k] == pytest.approx(expected * signs, abs=1e-4)
        assert not found[name][:, k:].any()
    assert (found["e4"] == np.hstack([found["v1"][:, :64], found["v2"][:, :64]])).all()


def test_joint_pca_loses_the_image_and_separate_pca_keeps_both() -> None:
    world, given_vectors = demo_world(), demo_content().given
    latent = world.factors[np.argsort(world.item_id)]

    def explained(*parts: NDArray[np.float32]) -> tuple[float, float]:
        """Share of the variance of text's own, and of images' own, latent dimensions."""
        x = np.column_stack([np.ones(len(latent)), *parts])
        rest = latent - x @ np.linalg.lstsq(x, latent)[0]
        kept = 1 - (rest**2).sum(axis=0) / (latent**2).sum(axis=0)
        return float(kept[:4].mean()), float(kept[12:].mean())

    v1, v2, v3 = (given_vectors[v] for v in ("v1", "v2", "v3"))
    for joint, separate in (
        ((v3,), (v1[:, :64], v2[:, :64])),
        ((v3[:, :32],), (v1[:, :16], v2[:, :16])),
    ):
        text_joint, image_joint = explained(*joint)
        text_separate, image_separate = explained(*separate)
        assert min(text_joint, text_separate, image_separate) > 0.65
        assert image_joint < 0.3


def test_each_modality_is_missing_for_three_percent_of_items_and_image_is_half_scale() -> None:
    content = demo_content()
    missing = [~x.any(axis=1) for x in (content.text, content.image)]
    assert all(0.015 < m.mean() < 0.045 for m in missing)
    text, image = (np.linalg.norm(x, axis=1).max() for x in (content.text, content.image))
    assert image / text == pytest.approx(0.5, abs=0.05)
    assert all(
        (title == "") == lost for title, lost in zip(content.titles, missing[0], strict=True)
    )


def test_levels_follow_popularity_and_tags_follow_clusters() -> None:
    world, content = demo_world(), demo_content()
    slot = np.argsort(world.item_id)
    for level in (content.likes, content.views):
        assert (np.bincount(level) == [0] + [200] * 10).all()
        assert 0.7 < spearmanr(level, world.popularity[slot]).statistic < 0.97
    first = content.tags.offsets[:-1][content.tags.lengths > 0]
    owner = world.cluster[slot][content.tags.lengths > 0]
    tag = content.tags.values[first]
    same = np.mean(
        [(owner[tag == t] == np.bincount(owner[tag == t]).argmax()).mean() for t in set(tag)]
    )
    assert same > 0.5


def test_ids_tell_nothing_of_items() -> None:
    world = demo_world()
    for known in (world.popularity, *world.factors.T[:3]):
        assert abs(spearmanr(world.item_id, known).statistic) < 4 / np.sqrt(len(known))


# The files


def test_every_file_has_the_challenges_columns_types_and_the_presets_rows(
    made: tuple[Path, Truth],
) -> None:
    data = made[0] / "data"
    rows = {"train": 2_000, "valid": 400, "test": 398, "item_seq": 700, "item_info": 301}
    rows |= {"item_feature": 300, "item_emb": 300}
    types = {
        "item_seq": pa.list_(pa.int64(), 64),
        "item_tags": pa.list_(pa.int64(), 5),
        "item_title": pa.string(),
        "item_emb_d128": pa.list_(pa.float64(), 128),
        "txt_emb_BERT": pa.list_(pa.float32(), 768),
        "img_emb_CLIPRN50": pa.list_(pa.float32(), 1024),
    }
    for name, file in FILES.items():
        handle = pq.ParquetFile(data / file.path)
        assert handle.metadata.num_rows == rows[name]
        assert handle.schema_arrow.names == list(file.column_names)
        for field in handle.schema_arrow:
            if (name, field.name) in {("item_feature", "item_tags"), ("item_seq", "item_seq")}:
                assert field.type == pa.list_(pa.int64())
            elif name == "item_emb" and field.name != "item_id":
                assert field.type == pa.list_(pa.float32(), 128)
            else:
                assert field.type == (types[field.name] if field.name in types else pa.int64())
    assert {p.name for p in made[0].iterdir()} == {"data", "truth"}


def test_splits_share_no_user_and_every_user_has_one_positive_in_four(
    made: tuple[Path, Truth],
) -> None:
    seen: set[int] = set()
    for split in ("train", "valid"):
        rows = table(made[0], split)
        users, counts = np.unique(rows["user_id"], return_counts=True)
        assert set(counts) == {4}
        assert (np.bincount(rows["user_id"], rows["label"])[users] == 1).all()
        assert not seen & set(users)
        seen |= set(users)
        assert (np.diff(rows["user_id"]) == 0).mean() < 0.05
    users, counts = np.unique(table(made[0], "test")["user_id"], return_counts=True)
    assert sorted(counts) == [2] + [4] * 99
    assert not seen & set(users)


def test_rows_show_the_left_padded_history_of_item_seq_and_the_items_levels(
    made: tuple[Path, Truth],
) -> None:
    sequences, feature = table(made[0], "item_seq"), table(made[0], "item_feature")
    whole = dict(zip(sequences["user_id"], np.split(*_cuts(sequences["item_seq"])), strict=True))
    for split in SPLITS:
        rows = table(made[0], split)
        for user, shown, item in zip(
            rows["user_id"], rows["item_seq"].dense(), rows["item_id"], strict=True
        ):
            past = whole[user]
            assert shown.tolist() == [0] * (64 - len(past)) + past.tolist()
            assert len(set(past)) == len(past) >= 3
            assert item not in past
        for level in ("likes_level", "views_level"):
            assert (rows[level] == feature[level][rows["item_id"] - 1]).all()


def _cuts(lists: Ragged[np.int64]) -> tuple[Any, Any]:
    return lists.values, lists.offsets[1:-1]


def test_item_tables_agree_and_start_with_an_all_zero_padding_row(
    made: tuple[Path, Truth],
) -> None:
    info, feature, emb = (table(made[0], n) for n in ("item_info", "item_feature", "item_emb"))
    assert info["item_id"].tolist() == list(range(301))
    assert feature["item_id"].tolist() == emb["item_id"].tolist() == list(range(1, 301))
    tags, vectors = info["item_tags"].dense(), info["item_emb_d128"].dense()
    assert (tags.shape[1], vectors.shape[1]) == (5, 128)
    assert not tags[0].any()
    assert not vectors[0].any()
    assert (vectors[1:] == emb["item_emb_d128_v3"].dense()).all()
    longest = 0
    for padded, own in zip(tags[1:], np.split(*_cuts(feature["item_tags"])), strict=True):
        assert padded.tolist() == [0] * (5 - len(own)) + own[-5:].tolist()
        assert len(set(own)) == len(own)
        longest = max(longest, len(own))
    assert longest > 5
    assert tags.max() <= TINY.n_tags


def test_truth_is_keyed_to_the_rows_and_its_auc_can_be_recomputed(
    made: tuple[Path, Truth],
) -> None:
    out, truth = made
    oracle = pq.read_table(out / "truth" / "oracle.parquet").to_pandas()
    hidden = pq.read_table(out / "truth" / "test_labels.parquet").to_pandas()
    assert hidden["ID"].tolist() == table(out, "test")["ID"].tolist() == list(range(398))
    stored = json.loads((out / "truth" / "oracle.json").read_text(encoding="utf-8"))
    assert (stored["preset"], stored["seed"]) == ("tiny", 3)
    for split in SPLITS:
        rows, best = table(out, split), oracle[oracle["split"] == split]
        assert best["user_id"].tolist() == rows["user_id"].tolist()
        assert best["item_id"].tolist() == rows["item_id"].tolist()
        assert (best["occurrence"] == 0).all()
        if split == "test":
            assert best["ID"].tolist() == rows["ID"].tolist()
        else:
            assert best["ID"].isna().all()
        labels = hidden["label"].to_numpy() if split == "test" else rows["label"]
        for key, column in (("row", "log_odds"), ("group", "group_log_odds")):
            assert stored["auc"][split][key] == auc(labels, best[column].to_numpy())
            assert stored["auc"][split][key] == getattr(truth.auc[split], key)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_row_oracles_auc_on_tiny_is_in_range_but_for_sampling_error(seed: int) -> None:
    world = build_world(TINY, np.random.default_rng(seed))
    for rows, test in ((2_000, False), (400, False), (400, True)):
        users = simulate(world, rows, test, seed)
        found = auc_with_se(users.label, users.log_odds, np.arange(rows) // 4)
        assert 0.88 - 3 * found.se < found.value < 0.92 + 3 * found.se


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(
    made: tuple[Path, Truth], tmp_path: Path
) -> None:
    generate(tmp_path / "again", SHORT, 3)
    generate(tmp_path / "other", SHORT, 4)
    files = [p.relative_to(made[0]) for p in made[0].rglob("*") if p.is_file()]
    assert len(files) == len(FILES) + 3
    for file in files:
        first = (made[0] / file).read_bytes()
        assert (tmp_path / "again" / file).read_bytes() == first
        assert (tmp_path / "other" / file).read_bytes() != first


def test_a_folder_in_use_is_refused_and_an_empty_one_is_filled(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        generate(tmp_path / "used", TINY, 0)
    with pytest.raises(UsageError, match="cannot write beside"):
        generate(tmp_path / "used" / "notes.txt" / "out", TINY, 0)
    with pytest.raises(UsageError, match="seed"):
        generate(tmp_path / "new", TINY, -1)
    (tmp_path / "empty").mkdir()
    generate(tmp_path / "empty", TINY, 0)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_dir()) == sorted(
        ["used", "empty", "data", "truth", "MicroLens_1M_x1"]
    )


def test_a_generation_that_breaks_off_leaves_nothing_and_progress_reaches_its_total(
    tmp_path: Path,
) -> None:
    steps: list[tuple[str, int, int]] = []

    def watch(stage: str, done: int, total: int) -> None:
        steps.append((stage, done, total))
        if stage == "files" and done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "out", TINY, 0, watch)
    assert not list(tmp_path.iterdir())
    assert steps[0] == ("items", 0, 1)
    assert [s for s in steps if s[0] == "users"][-1] == ("users", 2_800, 2_800)
