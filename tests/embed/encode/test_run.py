"""Encoding all items, killed or not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmctr_kit.embed.encode.content import read_content
from mmctr_kit.embed.encode.encoders import Encoder
from mmctr_kit.embed.encode.plan import Column, Plan
from mmctr_kit.embed.encode.report import report_path
from mmctr_kit.embed.encode.run import encode, estimate
from mmctr_kit.errors import DataError, UsageError
from tests.embed.encode.conftest import WIDTH, ColumnOf, fake_encoder


def silent(_: Column, __: int, ___: int) -> None:
    pass


@pytest.fixture
def plan(pictured: Path, tmp_path: Path, column_of: ColumnOf) -> Plan:
    content = read_content(pictured, True, True)
    columns = (column_of("text"), column_of("image"))
    return Plan(tmp_path / "out" / "v.parquet", content, columns, 8, "cpu", False)


@pytest.mark.usefixtures("fake")
def test_each_item_has_its_own_vector_and_missing_ones_are_null_and_named(plan: Plan) -> None:
    report = encode(plan, False, silent)
    table = pq.read_table(plan.out)
    assert table.column("item_id").to_pylist() == list(range(1, 301))
    texts = table.column("text").to_pylist()
    for item, vector in enumerate(texts, 1):
        title = plan.content.title(item)
        assert (vector is None) == (not title)
        assert vector is None or vector[:2] == [len(title), ord(title[0])]
    missing = [i for i, v in enumerate(table.column("image").to_pylist(), 1) if v is None]
    assert missing == [7, 8, 9, 50, 100, 150, 200, 250, 300]
    text, image = report.columns
    assert [f.item_id for f in text.faults] == [i for i, v in enumerate(texts, 1) if v is None]
    kinds = {k: [f.item_id for f in fs] for k, fs in image.faults_by_kind().items()}
    assert kinds == {
        "not_an_image": [7],
        "grey": [8],
        "broken": [9],
        "missing": [50, 100, 150, 200, 250, 300],
    }
    assert (image.items, image.width, image.parameters) == (291, WIDTH, 9)
    assert image.ms_per_item > 0
    assert image.seconds > 0
    assert image.peak_mb > 1
    assert not plan.part.exists()


def test_titles_of_a_batch_are_of_like_length(plan: Plan, fake: list[int]) -> None:
    text = replace(plan, columns=plan.columns[:1])
    encode(text, False, silent)
    assert max(fake) == 8
    vectors = [v for v in pq.read_table(plan.out).column("text").to_pylist()[:64] if v]
    assert {v[2] for v in vectors} <= {8, len(vectors) % 8}


class Killed(BaseException):
    """Ends an encoding as a kill does: nothing after it runs."""


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    "after", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (70, 250, 301, 420)), 599]
)
def test_killed_and_resumed_is_byte_for_byte_the_same(
    after: int, plan: Plan, tmp_path: Path
) -> None:
    whole = replace(plan, out=tmp_path / "whole.parquet")
    encode(whole, False, silent)
    position, seen = 0, list[tuple[str, int]]()

    def kill(column: Column, done: int, _: int) -> None:
        nonlocal position
        position = done + (300 if column.modality == "image" else 0)
        if position >= after:
            raise Killed

    with pytest.raises(Killed):
        encode(plan, False, kill)
    assert not plan.out.exists()
    again = encode(plan, False, lambda column, done, _: seen.append((column.modality, done)))
    assert plan.out.read_bytes() == whole.out.read_bytes()
    assert [c.faults for c in again.columns] == [
        c.faults for c in encode(whole, False, silent).columns
    ]
    assert seen[0][1] >= min(after, 300) - 64 - 8  # one shard is lost at most


def test_the_same_call_on_a_finished_file_does_nothing(plan: Plan, fake: list[int]) -> None:
    first = encode(plan, False, silent)
    calls, stamp = len(fake), plan.out.stat().st_mtime_ns
    again = encode(plan, False, silent)
    assert again.already
    assert (again.columns, again.identity) == (first.columns, first.identity)
    assert (len(fake), plan.out.stat().st_mtime_ns) == (calls, stamp)


@pytest.mark.usefixtures("fake")
def test_a_kill_between_the_file_and_its_report_is_gone_on_from(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("mmctr_kit.embed.encode.run._report", killed)
        with pytest.raises(Killed):
            encode(plan, False, silent)
    assert plan.out.exists()
    assert not encode(plan, False, silent).already
    assert report_path(plan.out).exists()


@pytest.mark.usefixtures("fake")
def test_a_file_or_work_of_another_plan_is_refused_and_force_replaces_it(
    plan: Plan, column_of: ColumnOf
) -> None:
    def stop(_: Column, done: int, __: int) -> None:
        if done > 70:
            raise Killed

    other = replace(plan, columns=(column_of("text", layer=-2), plan.columns[1]))
    with pytest.raises(Killed):
        encode(plan, False, stop)
    with pytest.raises(UsageError, match=r"work of another command \(text.options.layer: -1 the"):
        encode(other, False, silent)
    encode(other, True, silent)
    with pytest.raises(UsageError, match=r"made otherwise \(text.options.layer: -2 there, -1 now"):
        encode(plan, False, silent)
    encode(plan, True, silent)
    report_path(plan.out).unlink()
    with pytest.raises(UsageError, match="exists; name another file, or --force"):
        encode(plan, False, silent)


@pytest.mark.usefixtures("fake")
def test_work_without_a_shard_is_no_work(plan: Plan, column_of: ColumnOf) -> None:
    def stop(_: Column, __: int, ___: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        encode(replace(plan, columns=(column_of("text", layer=-2),)), False, stop)
    assert encode(plan, False, silent).columns


def test_no_usable_picture_at_all_is_one_line(
    plan: Plan, column_of: ColumnOf, fake: list[int]
) -> None:
    bad = {i: plan.content.pictures[i] for i in (7, 8)}
    content = replace(plan.content, pictures=bad)
    with pytest.raises(DataError, match=r"no item has a usable image \(7.jpg: not an image"):
        encode(replace(plan, content=content, columns=(column_of("image"),)), False, silent)
    assert fake == []


def test_a_vector_that_is_not_finite_is_one_line(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Encoder:
        encoder = fake_encoder()
        return replace(encoder, forward=lambda prepared: encoder.forward(prepared) * np.nan)

    monkeypatch.setattr("mmctr_kit.embed.encode.run.load_encoder", broken)
    with pytest.raises(DataError, match="not finite"):
        encode(plan, False, silent)


@pytest.mark.usefixtures("fake")
def test_an_estimate_counts_all_items_and_writes_nothing(plan: Plan) -> None:
    report = estimate(plan, silent)
    text, image = report.columns
    assert report.sampled == 2 * 16  # two batches of each
    assert (text.items + len(text.faults), image.items) == (300, 294)
    assert (text.batches, image.batches) == (-(-text.items // 8), 37)
    assert text.seconds > 0
    assert image.seconds > 0
    assert not plan.out.parent.exists()


def test_a_slow_model_is_measured_on_few_items(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, fake: list[int]
) -> None:
    monkeypatch.setattr("mmctr_kit.embed.encode.run._SAMPLE_SECONDS", 1e-9)
    assert estimate(replace(plan, columns=plan.columns[:1]), silent).sampled == 1
    assert set(fake) == {1}
