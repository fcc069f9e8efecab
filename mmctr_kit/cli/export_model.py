"""``mmctr-kit export-model``: a run's network as an ONNX file."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, progress, say, say_path, table
from mmctr_kit.errors import plural


def export_model(
    run: Annotated[str, options.run_argument("RUN", "A cv run or a fit of a network.")],
    data: options.Data,
    out: Annotated[
        Path | None, Option(metavar="FILE", help="A .onnx file; default: RUN.onnx in this folder.")
    ] = None,
    fold: Annotated[
        int | None, Option(min=0, help="One fold model; default: the mean of all.")
    ] = None,
    seed: Annotated[int | None, Option(min=0, help="Models of this seed; default: all.")] = None,
    force: options.Force = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Write a run's network as an ONNX file, which any ONNX runtime can score rows with.

    The file gives the run's own prediction, the mean logit of its fold models, for any number of
    rows at once. It holds the item table of DATA, so items are asked for by their id. It is kept
    only if onnxruntime gives the run's own logits to 1e-5. Its inputs are printed, and stand in the
    file's metadata, key mmctr_kit, as JSON.

    Trees and blends cannot be exported. A recipe with signals needs --fold: each fold counts its
    own. Needs pip install 'mmctr-kit\\[onnx]'.

    [bold]Examples[/bold]

      mmctr-kit export-model din_official --data DATA
      mmctr-kit export-model din_official --fold 0 --out din-0.onnx --data DATA
    """
    from mmctr_kit.api.onnx import export_model as export

    with progress() as display:
        made = export(
            run,
            out or Path(f"{Path(run).name}.onnx"),
            data,
            fold=fold,
            seed=seed,
            force=force,
            runs=runs,
            progress=display,
        )
    if as_json:
        checked = {"rows": made.rows, "difference": made.difference}
        print_json({"out": str(made.path), **made.description(), "checked": checked})
        return
    rows = [
        (each.name, each.dtype, " x ".join(map(str, each.shape)), each.meaning)
        for each in made.inputs
    ]
    table(("input", "dtype", "shape", "meaning"), rows, left=4)
    say(f"output logit, float32: the mean logit of {plural(len(made.models), 'model')}")
    within = f"within {made.difference:.1g} of the run's logits on {plural(made.rows, 'row')}"
    say_path("wrote ", made.path, f": {within}")
