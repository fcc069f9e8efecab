"""mmctr_kit.training.gbdt.collaborative: similarities of the target and the history."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.items.similarity import fit_similarity
from mmctr_kit.recipe import Signals
from mmctr_kit.recipe.blocks import SIGNAL_KINDS, SignalKind
from mmctr_kit.training.gbdt.collaborative import signal_features
from mmctr_kit.training.gbdt.packed import Packed
from tests.training.gbdt.loops import assert_columns, kind_loops, make_fold
from tests.training.gbdt.worlds import OPTIONS, Row, World, all_rows, in_memory, worlds

HALF_LIFE, MAX_HISTORY = 1.5, 5


@settings(max_examples=25)
@given(worlds(), st.permutations(SIGNAL_KINDS), st.integers(1, len(SIGNAL_KINDS)))
def test_signals_are_what_plain_loops_say(
    world: World, kinds: Sequence[SignalKind], count: int
) -> None:
    data = in_memory(world)
    signals = Signals(kinds=tuple(kinds[:count]))
    fold = make_fold(
        world,
        range(0, len(data.train), 2),
        OPTIONS,
        max_history=MAX_HISTORY,
        half_life=99.0,
        signals=signals,
    )
    similarity = fit_similarity(data, all_rows(data)[::2], signals, MAX_HISTORY)
    for split in SPLITS:
        packed = Packed.of(data, data.examples(split, MAX_HISTORY), 99.0)
        loops = [
            {k: v for kind in signals.kinds for k, v in kind_loops(fold, row, kind).items()}
            for row in world.rows[split]
        ]
        assert_columns(signal_features(packed, similarity, data, signals.half_life), loops)


def test_a_row_without_history_has_no_similarity() -> None:
    train = [Row(user, [1, 2], 3, 1, 1, 0) for user in range(4)] + [Row(5, [4], 3, 1, 1, 0)]
    test = [Row(9, [], 2, 1, 1, 0), Row(9, [1], 2, 1, 1, 0)]
    data = in_memory(World({"train": train, "valid": [], "test": test}, {}, {}, {}, {}, {}))
    similarity = fit_similarity(data, all_rows(data), Signals(kinds=SIGNAL_KINDS), MAX_HISTORY)
    packed = Packed.of(data, data.examples("test", MAX_HISTORY), HALF_LIFE)
    for name, column in signal_features(packed, similarity, data, HALF_LIFE).items():
        assert np.isnan(column).tolist() == [True, False], name
        assert column[1] > 0, name


def test_the_sum_of_ease_is_over_the_history() -> None:
    train = [Row(user, [1, 2, 3], 4, 1, 1, 0) for user in range(9)]
    test = [Row(99, [1, 2, 1], 3, 1, 1, 0)]
    data = in_memory(World({"train": train, "valid": [], "test": test}, {}, {}, {}, {}, {}))
    similarity = fit_similarity(data, all_rows(data), Signals(kinds=("ease",)), MAX_HISTORY)
    packed = Packed.of(data, data.examples("test", MAX_HISTORY), HALF_LIFE)
    actual = signal_features(packed, similarity, data, HALF_LIFE)
    np.testing.assert_allclose(actual["ease_sum"], 3 * actual["ease_mean"], rtol=1e-6)
    assert actual["ease_sum"][0] > 2 * actual["ease_max"][0] > 0
