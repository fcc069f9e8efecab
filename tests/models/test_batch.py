"""mmctr_kit.models.batch: a batch moves to a device whole."""

from dataclasses import fields

from torch import Tensor

from mmctr_kit.models.batch import Batch
from mmctr_kit.testing import by_length, example_batch


def test_the_tensors_of_a_batch_are_all_its_fields_but_the_buckets() -> None:
    assert [*example_batch().tensors, "buckets"] == [f.name for f in fields(Batch)]


def test_a_batch_moves_to_a_device_with_all_tensors_and_its_buckets() -> None:
    batch = by_length(example_batch(), 3)
    moved = batch.to("meta")
    assert {t.device.type for t in moved.tensors.values()} == {"meta"}
    assert moved.buckets == batch.buckets
    assert isinstance(batch.item, Tensor)
    assert batch.item.device.type == "cpu"
