"""Whether text and image belong together, without labels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mmctr_kit.embed.quality.agreement import CUT, measure_agreement

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
N = 1_500
ROWS = np.arange(1, N + 1)


def pair(shared: int = 10, tails: bool = False) -> Pair:
    """Texts and images that show the same ``shared`` factors, each with noise and its own rest."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((N + 1, shared))
    if tails:
        factors = rng.standard_t(3, (N + 1, shared))
    made = []
    for width in (60, 80):
        rest = rng.standard_normal((N + 1, 15))
        basis = np.linalg.qr(rng.standard_normal((width, shared + 15)))[0]
        seen = np.hstack([factors + 0.5 * rng.standard_normal(factors.shape), rest])
        made.append((seen @ basis.T + 3).astype(np.float32))
    return made[0], made[1]


@pytest.mark.parametrize("tails", [False, True], ids=["normal", "heavy tails"])
def test_swapped_images_score_below_the_cut_and_good_items_hardly_ever(tails: bool) -> None:
    text, image = pair(tails=tails)
    good = measure_agreement(text, image, ROWS)
    assert (good.score < CUT).mean() < 0.005
    image[1:61] = np.roll(image[1:61], 1, axis=0)
    made = measure_agreement(text, image, ROWS)
    assert (made.score[:60] < CUT).mean() > 0.5
    assert (made.score[60:] < CUT).mean() < 0.01
    assert made.power == pytest.approx((made.score[:60] < CUT).mean(), abs=0.2)


def test_texts_and_images_that_share_nothing_give_no_power() -> None:
    text, image = pair()
    made = measure_agreement(text, np.random.default_rng(1).permutation(image), ROWS)
    assert made.power < 0.05
    assert (made.score < CUT).mean() < 0.02


def test_outliers_rule_no_direction() -> None:
    text, image = pair()
    before = measure_agreement(text, image, ROWS)
    text[1:9] *= 1e3
    after = measure_agreement(text, image, ROWS)
    assert after.power > before.power - 0.1


def test_scale_and_offset_of_an_encoder_do_not_matter() -> None:
    text, image = pair()
    here = measure_agreement(text, image, ROWS)
    moved = measure_agreement(text, 100 * image - 7, ROWS)
    assert np.corrcoef(moved.score, here.score)[0, 1] > 0.999
    assert moved.power == pytest.approx(here.power, abs=0.01)
