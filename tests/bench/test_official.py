"""mmctr_kit.bench.official: the same network as ours, of the fuxictr package's layers."""

import numpy as np
import pytest
import torch

from mmctr_kit.bench import official
from mmctr_kit.bench.loader import official_loader
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import load_recipe
from tests.training.learners import learner_of

SMALL = ("model.attention_hidden=[16,8]", "model.mlp_hidden=[32,16]", "model.embedding_dim=8")


@pytest.mark.parametrize(
    ("recipe", "setting", "wanted"),
    [
        ("din_official", "model.embedding_dim=8", True),
        ("din_official", "model.se=true", False),
        ("din_official", "signals.kinds=all", False),
        ("din_mha_se_pca", "training.epochs=1", False),
        ("qin", "training.epochs=1", False),
    ],
)
def test_only_the_official_network_is_compared(recipe: str, setting: str, wanted: bool) -> None:
    assert official.is_official(load_recipe(recipe, (setting,))) is wanted


def test_without_the_package_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "find_spec", lambda _: None)
    assert not official.installed()


def test_the_packages_layers_compute_our_logits_and_training_lowers_the_loss(
    tiny: ChallengeData,
) -> None:
    pytest.importorskip("fuxictr", reason="fuxictr is not installed")
    recipe = load_recipe("din_official", (*SMALL, "model.mlp_dropout=0"))
    rows = np.arange(128)
    torch.manual_seed(0)
    theirs = official.OfficialDIN(recipe, len(tiny.item_tags), tiny.n_tags, tiny.item_emb.shape[1])
    with torch.no_grad():  # as published they begin so small that all logits are nearly equal
        for name, weight in theirs.named_parameters():
            if "embedding_layers" in name:
                weight[1:] = torch.randn_like(weight[1:])
    learner = learner_of(recipe, tiny)
    learner.load_published({k: v.numpy() for k, v in theirs.state_dict().items()})
    batch = next(iter(official_loader(tiny, tiny.item_emb, rows, 64, 128)))
    with torch.inference_mode():
        found = theirs.eval()(batch).numpy()
    ours = learner.predict("train", rows)
    np.testing.assert_allclose(np.sort(found), np.sort(ours), atol=1e-4, rtol=1e-4)
    assert np.ptp(found) > 0.1

    training = official.OfficialTraining(theirs, recipe, torch.device("cpu"))
    losses = [training.step(batch) for _ in range(20)]
    assert losses[-1] < losses[0]
