"""What a file of vectors depends on."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.embed.encode.content import Content
from mmctr_kit.embed.encode.plan import SHARD_BATCHES, Plan, differences
from tests.embed.encode.conftest import ColumnOf


@pytest.fixture
def plan(tmp_path: Path, column_of: ColumnOf) -> Plan:
    content = Content(tuple("abcdefghij" * 5), {})
    return Plan(tmp_path / "v.parquet", content, (column_of(),), 2, "cpu", False)


def test_shards_cover_each_item_once_by_the_order_of_items_alone(plan: Plan) -> None:
    shards = list(plan.shards())
    assert [i for ids in shards for i in ids] == list(range(1, 51))
    assert {len(ids) for ids in shards[:-1]} == {2 * SHARD_BATCHES}


def test_the_metadata_says_encoder_digest_options_and_versions_and_no_path(
    plan: Plan, bert: Path
) -> None:
    said = plan.metadata()["text"]
    assert (said["encoder"], said["kind"], said["revision"]) == ("bert", "text", None)
    assert len(said["digest"]) == 64
    assert said["options"] == {
        "batch_size": 2,
        "device": "cpu",
        "precision": "float32",
        "tag_names": False,
        "layer": -1,
        "pooling": "mean",
    }
    assert "torch" in said["versions"]
    assert str(bert.parent) not in str(plan.identity())


def test_what_changes_a_vector_changes_the_identity_and_is_named(
    plan: Plan, column_of: ColumnOf
) -> None:
    def other(**changes: object) -> str:
        return differences(plan.identity(), replace(plan, **changes).identity())  # type: ignore[arg-type]

    assert other() == ""
    assert other(batch_size=4) == "text.options.batch_size: 2 there, 4 now"
    assert other(bf16=True) == "text.options.precision: float32 there, bf16 now"
    assert other(columns=(column_of(layer=-2),)) == "text.options.layer: -1 there, -2 now"
    assert "data.items: 50 there, 1 now, data.titles: " in other(content=Content(("a",), {}))
    assert other(out=Path("elsewhere.parquet"), device="cpu") == ""


def test_many_differences_are_named_in_part() -> None:
    now = {str(n): n for n in range(5)}
    assert differences({}, now) == (
        "0: none there, 0 now, 1: none there, 1 now, 2: none there, 2 now and 2 more"
    )
