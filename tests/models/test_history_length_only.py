"""mmctr_kit.models.history_length_only: it sees a length and nothing else."""

import torch

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.history_length_only import HistoryLengthOnly


def logits(model: HistoryLengthOnly, lengths: list[int], item: int = 1) -> torch.Tensor:
    n, total = len(lengths), sum(lengths)
    batch = Batch(
        item=torch.full((n,), item),
        likes_level=torch.full((n,), item),
        views_level=torch.full((n,), item),
        user=torch.full((n,), item),
        history=torch.full((total,), item),
        row=torch.repeat_interleave(torch.tensor(lengths)),
        offsets=torch.nn.functional.pad(torch.tensor(lengths).cumsum(0), (1, 0)),
        signals=torch.zeros(total, 0),
        row_signals=torch.zeros(n, 0),
    )
    with torch.inference_mode():
        found: torch.Tensor = model(batch)
    return found


def built(exact_lengths: int) -> HistoryLengthOnly:
    torch.manual_seed(0)
    model = HistoryLengthOnly(exact_lengths=exact_lengths)
    torch.nn.init.normal_(model.length.weight)
    return model


def test_each_exact_length_has_a_logit_of_its_own() -> None:
    found = logits(built(8), list(range(9)))
    assert len(found.unique()) == 9


def test_longer_histories_share_a_logit_up_to_the_next_power_of_two() -> None:
    found = logits(built(12), [12, 13, 16, 17, 32, 33, 3000])
    assert len(found[[0, 1, 3, 5, 6]].unique()) == 5
    assert torch.allclose(found[[1, 3]], found[[2, 4]], atol=1e-7)
    assert not torch.isclose(found[1], found[3], atol=1e-4)


def test_nothing_but_the_length_counts() -> None:
    model = built(64)
    assert torch.equal(logits(model, [2, 0, 70], 1), logits(model, [2, 0, 70], 9))
    alone = torch.cat([logits(model, [n]) for n in (2, 0, 70)])
    assert torch.allclose(logits(model, [2, 0, 70]), alone, atol=1e-6)
