"""mmctr_kit.models.ops.segment_kernel: the kernel against the sums of a CPU."""

import pytest
import torch

from mmctr_kit.models.ops.segments import segment_sum
from tests.models.ops.test_segments import OFFSETS, ROW, WEIGHT, drawn


@pytest.mark.cuda
def test_the_gpus_kernel_sums_as_the_cpu_does() -> None:
    from mmctr_kit.models.ops.segment_kernel import sum_rows

    for columns in (1, 6, 300):
        values, other = drawn(len(ROW), columns), drawn(len(ROW), columns + 2)[:, 2:]
        for weight in (None, WEIGHT[:, :1], WEIGHT if columns % 3 == 0 else WEIGHT[:, 1:2]):
            for factor in (None, other):
                for table in (values, values.T.contiguous().T, values.bfloat16()):
                    asked = (table, OFFSETS, weight, factor)
                    on_gpu = [None if x is None else x.cuda() for x in asked]
                    expected = segment_sum(*asked, torch.float32)
                    found = sum_rows(*on_gpu, torch.float32).cpu()
                    assert torch.allclose(found, expected, atol=1e-4)
                    rounded = sum_rows(*on_gpu, torch.bfloat16).cpu()
                    assert rounded.dtype == torch.bfloat16
                    assert torch.allclose(rounded.float(), expected, rtol=1e-2, atol=1e-2)
    nothing = sum_rows(values.cuda(), OFFSETS[:1].cuda(), None, None, torch.float32)
    assert nothing.shape == (0, 300)
