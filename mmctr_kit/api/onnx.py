"""Export a run's network as an ONNX file from Python."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath, as_data
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.cv.onnx import ExportedModel
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.runs.run import Run


def export_model(
    run: "AnyPath | Run",
    out: AnyPath,
    data: "str | Path | ChallengeData",
    *,
    fold: int | None = None,
    seed: int | None = None,
    force: bool = False,
    runs: AnyPath = "runs",
    progress: Progress = None,
) -> "ExportedModel":
    """Write the network of a cross-validation or a fit as an ONNX file, checked by onnxruntime.

    By default the file gives the run's own prediction: the mean logit of all its fold models. It
    takes left-padded histories, any number of rows at once, and holds the item table, so that items
    are asked for by their id. Its inputs are described in the file's metadata, key ``mmctr_kit``,
    as JSON. It needs the extra ``mmctr-kit[onnx]``.

    Parameters
    ----------
    run : str, Path or Run
        A run of a network. Trees and blends cannot be exported.
    out : str or Path
        A new ``.onnx`` file.
    data : str, Path or ChallengeData
        The data that the run was trained on.
    fold, seed : int, optional
        Export the fold model, or the models, of this fold and seed alone. A recipe with signals
        needs a fold, since each fold counts its own.
    force : bool
        Replace a file at ``out``.
    runs : str or Path
        Folder of the run folders.
    progress : bool or callable
        As in :func:`cross_validate`.

    Returns
    -------
    ExportedModel
        ``path``, ``inputs`` (name, dtype, shape, meaning), ``description()``, and the largest
        ``difference`` of a logit from the run's on ``rows`` test rows, at most 1e-5.

    Raises
    ------
    UsageError
        If there is no such run or model, the extra is not installed, or ``out`` exists.
    RunError
        If the run has no network that can be exported, or the data are not its own.

    Examples
    --------
    >>> made = mmctr_kit.export_model("din_demo", "din.onnx", "world/data")
    >>> [each.name for each in made.inputs], made.difference < 1e-5
    (['item_id', 'likes_level', 'views_level', 'item_seq'], True)
    """
    from mmctr_kit.api.runs import open_run
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.files import require_free

    path = Path(out)
    advice = "; name another file, or replace it with --force"
    require_free(path, "an ONNX file", (".onnx",), force, advice)
    opened = open_run(run, runs)
    if isinstance(data, str | Path):
        require_folder(Path(data))
    from mmctr_kit.cv.onnx import chosen_models
    from mmctr_kit.cv.onnx import export_model as export
    from mmctr_kit.models.onnx import require_extra

    jobs = chosen_models(opened, fold, seed)
    require_extra()
    with listening(progress) as listen:
        content = as_data(data, listen)
        listen(ProgressEvent("load", label=f"exporting {plural(len(jobs), 'network')}"))
        return export(opened, content, jobs, path)
