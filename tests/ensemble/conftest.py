"""Made-up stacks of runs for the tests of blending."""

import numpy as np
import pytest

from mmctr_kit.data.folds import user_folds
from mmctr_kit.ensemble.stack import Stack

FOLDS = 3


def rows_of_users(rng, users, per=4, one_positive=True):
    """user, label, fold of users with ``per`` rows, one of them (or a quarter) positive."""
    user = np.repeat(rng.permutation(10 * users)[:users], per).astype(np.int64)
    label = np.zeros((users, per), dtype=np.int64)
    label[np.arange(users), rng.integers(0, per, users)] = 1
    if not one_positive:
        label = (rng.random((users, per)) < 0.25).astype(np.int64)
    return user, label.ravel(), user_folds(user, FOLDS, 7)


def make_informative(seed, users=1500, valid=3000, extra=()):
    """Three runs that see the label through different noise, on three different scales.

    ``extra`` adds a run of pure noise for each 'noise' and a near-copy of run 0 for each 'copy'.
    Returns the stack and the labels of its valid rows, which are its test rows too.
    """
    rng = np.random.default_rng(seed)
    user, label, fold = rows_of_users(rng, users)
    valid_label = (rng.random(valid) < 0.25).astype(np.int64)

    def see(of):
        shared = 1.5 * of + 0.5 * rng.normal(size=len(of))
        seen = [shared + noise * rng.normal(size=len(of)) for noise in (1.2, 1.3, 1.5)]
        runs = [2.0 * seen[0] - 3.0, 0.3 * seen[1] + 10.0, 0.5 * seen[2] - 1.0]
        for kind in extra:
            copied = runs[0] if kind == "copy" else 0.0
            runs.append(copied + (0.1 if kind == "copy" else 1.0) * rng.normal(size=len(of)))
        return np.stack(runs)

    oof = see(label)
    later = np.stack([see(valid_label) for _ in range(FOLDS)], axis=1)
    names = tuple(f"run{i}" for i in range(len(oof)))
    return Stack(
        names, oof, label, user, np.arange(len(user)), fold, later, later.copy()
    ), valid_label


def make_memorised(seed, users=1000, runs=12, items=200, noise=0.5, one_positive=True):
    """Runs that know nothing: each fold model has memorised the other folds' label rate of every
    item; the runs add their own noise to that common signal."""
    rng = np.random.default_rng(seed)
    user, label, fold = rows_of_users(rng, users, one_positive=one_positive)
    popularity = 1.0 / np.arange(1, items + 1)
    item = rng.choice(items, size=len(user), p=popularity / popularity.sum())
    later = rng.integers(0, items, 500)
    table = np.empty((FOLDS, items))
    for f in range(FOLDS):
        seen = fold != f
        rate = (np.bincount(item[seen], label[seen], items) + 2.5) / (
            np.bincount(item[seen], minlength=items) + 10.0
        )
        table[f] = np.log(rate / (1.0 - rate))
    signal = table[fold, item]
    size = noise * signal.std()
    oof = signal + size * rng.normal(size=(runs, len(user)))
    valid = table[:, later] + size * rng.normal(size=(runs, FOLDS, len(later)))
    names = tuple(f"run{i}" for i in range(runs))
    return Stack(names, oof, label, user, item, fold, valid, valid.copy())


@pytest.fixture
def informative():
    """The maker of informative stacks: see `make_informative`."""
    return make_informative


@pytest.fixture
def memorised():
    """The maker of stacks that know nothing: see `make_memorised`."""
    return make_memorised
