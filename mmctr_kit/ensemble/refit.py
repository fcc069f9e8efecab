"""A finished blend as a function of its runs' logits, to blend other rows than its own.

A blend's folder has its method and seed, not what was fitted. The fit depends on nothing but these
and the runs' OOF predictions, so it is made again, and must give the blend's own test predictions.
"""

from collections.abc import Callable, Sequence

import numpy as np

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.ensemble.blend import fit_again
from mmctr_kit.ensemble.methods.catalogue import WITH_CONTEXT
from mmctr_kit.ensemble.runs import blend_report, read_predictions, stack_of
from mmctr_kit.ensemble.stack import context_of
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.runs.predictions import mean_logits
from mmctr_kit.runs.run import Run

_ROUNDING = 1e-6
"""How far the fit on another machine may be from the blend's own, relative above 1."""


def open_sources(run: Run) -> list[Run]:
    """The runs of a blend, in its order; RunError if one is not there, or unfinished."""
    sources = [Run(path.resolve()) for path in run.source_places.values()]
    for source in sources:
        if not source.finished:
            raise RunError(
                f"blend '{run.name}' needs its run '{source.name}', and {source.path} is no "
                "finished run; put it back"
            )
    return sources


def refit(
    run: Run, sources: Sequence[Run], data: ChallengeData
) -> Callable[[Sequence[Floats], ChallengeData], Floats]:
    """The function of a blend that is not transductive, from its ``sources`` on their ``data``.

    It takes the runs' logits (folds, rows) of the test split of its second argument, which may be
    other rows than those of ``data``, and returns the blend's, (folds, rows). Raises RunError if
    the runs no longer give the blend's own test predictions.
    """
    report, whole = blend_report(run), read_predictions(sources)
    method = report["method"]
    with_context = method in WITH_CONTEXT
    names = [source.name for source in sources]
    stack = stack_of(names, whole, data if with_context else None)
    blended = fit_again(stack, method, run.manifest.seeds[0], bool(report.get("left_out")))
    before = run.predictions(with_oof=False).test
    again = blended(stack.test, None if stack.context is None else stack.context.test)
    if again.shape != before.shape or not np.allclose(again, before, _ROUNDING, _ROUNDING):
        raise RunError(
            f"blend '{run.name}' is not what its runs give now: one was trained again since; blend "
            "them again with --force"
        )

    def apply(each: Sequence[Floats], rows: ChallengeData) -> Floats:
        # Without OOF for all, each run is its fold mean, as in stack_of().
        folds = [x if stack.oof is not None else mean_logits(x)[None] for x in each]
        context = None
        if with_context:
            assert whole[0].oof is not None
            context = context_of(rows, whole[0].oof.folds_of(rows.train)).test
        return blended(np.stack(folds), context)

    return apply
