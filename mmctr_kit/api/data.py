"""Load, check, profile and generate data from Python."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.api.results import CheckResult, GeneratedData, ProfileResult

if TYPE_CHECKING:
    from mmctr_kit.data.dataset import ChallengeData


def load_data(folder: AnyPath) -> "ChallengeData":
    """Load a data folder, from the cache if its files were read before.

    Parameters
    ----------
    folder : str or Path
        The folder that contains ``MicroLens_1M_x1/``.

    Returns
    -------
    ChallengeData
        The splits as arrays, each history stored once.

    Raises
    ------
    UsageError
        If there is no such folder.
    DataError
        If it lacks needed files, or they are damaged.

    Examples
    --------
    >>> data = mmctr_kit.load_data("world/data")
    >>> data.n_items, len(data.train), len(data.test)
    (300, 2000, 400)
    """
    from mmctr_kit.data.load import load

    return load(Path(folder))


def check_data(folder: AnyPath) -> CheckResult:
    """Check that a download is complete, aligned and sane.

    Parameters
    ----------
    folder : str or Path
        The folder that contains ``MicroLens_1M_x1/``.

    Returns
    -------
    CheckResult
        ``ok``, ``table()``, and the findings to iterate over.

    Raises
    ------
    UsageError
        If there is no such folder.

    Examples
    --------
    >>> result = mmctr_kit.check_data("world/data")
    >>> result.ok
    True
    >>> result.table().columns.tolist()
    ['id', 'level', 'what', 'todo']
    """
    from mmctr_kit.audit.check import check_data as check

    return CheckResult(Path(folder), tuple(check(Path(folder))))


def profile_data(folder: AnyPath, *, progress: Progress = None) -> ProfileResult:
    """Look for leaks: signals that predict the label, or the split, but should not.

    Parameters
    ----------
    folder : str or Path
        The folder that contains ``MicroLens_1M_x1/``.
    progress : bool or callable, optional
        True shows which probe is at work; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    ProfileResult
        ``ok`` if nothing is suspicious, ``table()`` with a row for each measurement.

    Raises
    ------
    UsageError
        If there is no such folder.
    DataError
        If rows are too few or have one label alone.

    Examples
    --------
    >>> mmctr_kit.profile_data("world/data").table().probe.nunique()
    13
    """
    from mmctr_kit.audit.profile import profile_data as profile

    with listening(progress) as listen:
        listen(ProgressEvent("load", label=f"loading {folder}"))
        verdicts = profile(
            Path(folder), lambda probe: listen(ProgressEvent("load", label=f"profile: {probe}"))
        )
    return ProfileResult(Path(folder), tuple(verdicts))


def generate_data(
    out: AnyPath,
    preset: str = "demo",
    *,
    seed: int = 0,
    covers: bool = False,
    bad: float = 0.0,
    progress: Progress = None,
) -> GeneratedData:
    """Generate a data set in the challenge's layout whose best possible AUC is known.

    Parameters
    ----------
    out : str or Path
        A new folder; ``out/data`` has the challenge's layout.
    preset : str
        ``"tiny"`` (2,000 train rows), ``"demo"`` (40,000) or ``"full"`` (3.6 million).
    seed : int
        Another seed makes another data set.
    covers : bool
        Also draw ``item_images``, and write titles of English words: an encoder can read both.
    bad : float
        Share of the items, up to 0.5, whose text or image is spoilt; ``truth/bad_items.csv`` has
        a row for each.
    progress : bool or callable, optional
        True shows a bar; a callable receives each :class:`ProgressEvent`.

    Returns
    -------
    GeneratedData
        The folders ``data`` and ``truth``, and ``best_auc`` by split.

    Raises
    ------
    UsageError
        If ``out`` is not empty, or for an unknown preset, a negative seed, or a share of bad items
        outside 0..0.5.

    Examples
    --------
    >>> world = mmctr_kit.generate_data("world", "tiny")
    >>> print(world.data, f"{world.best_auc['test']:.3f}")
    world/data 0.911
    """
    from mmctr_kit.datasets.synth import Extras, find_preset, generate

    folder = Path(out)
    with listening(progress) as listen:
        truth = generate(
            folder,
            find_preset(preset),
            seed,
            lambda stage, done, total: listen(
                ProgressEvent("load", "", f"generating {stage}", done, total)
            ),
            Extras(covers, bad),
        )
    best = {str(split): auc.row for split, auc in truth.auc.items()}
    return GeneratedData(folder / "data", folder / "truth", best)
