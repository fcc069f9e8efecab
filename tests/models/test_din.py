"""mmctr_kit.models.din: what is DIN's own beside the shared contract."""

import torch

from mmctr_kit.challenge.contract import N_LEVELS
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN


def test_the_head_sees_levels_target_and_pooled_history_in_that_order() -> None:
    model = DIN(
        item_tags=torch.ones(4, 1, dtype=torch.long),
        item_emb=torch.randn(4, 6),
        n_tags=2,
        embedding_dim=3,
        item_emb_dim=2,
        attention_hidden=(4,),
        mlp_hidden=(5,),
        batch_norm=False,
    )
    batch = Batch(
        item=torch.tensor([2]),
        likes_level=torch.tensor([1]),
        views_level=torch.tensor([N_LEVELS - 1]),
        user=torch.tensor([0]),
        history=torch.tensor([1, 3]),
        row=torch.tensor([0, 0]),
        offsets=torch.tensor([0, 2]),
    )
    seen: list[torch.Tensor] = []
    model.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(batch)
    likes, views, target, pooled = torch.split(seen[0], [3, 3, 8, 8], dim=1)
    assert torch.equal(likes[0], model.likes_level.weight[1])
    assert torch.equal(views[0], model.views_level.weight[N_LEVELS - 1])
    assert torch.allclose(target, model.items(torch.tensor([2])))
    keys = model.items(torch.tensor([1, 3]))
    q = target.expand(2, -1)
    weight = model.attention.rest(
        model.attention.first(torch.cat([q, keys, q - keys, q * keys], 1))
    )
    assert torch.allclose(pooled, (weight * keys).sum(0, keepdim=True), atol=1e-6)


def test_the_official_sizes_are_the_defaults() -> None:
    model = DIN(
        item_tags=torch.zeros(11, 5, dtype=torch.long), item_emb=torch.zeros(11, 128), n_tags=3
    )
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["attention.first.weight"] == (512, 4 * 256)
    assert shapes["items.project.weight"] == (128, 128)
    assert shapes["mlp.0.weight"] == (1024, 2 * 64 + 2 * 256)
