"""Results of the public functions: objects with pandas tables, shown whole in a notebook."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmctr_kit.audit.findings import Finding, Level, summary, worst
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.estimate import UNKNOWN, Estimate
from mmctr_kit.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.ablation.table import Table
    from mmctr_kit.audit.profile.measurement import TestResult
    from mmctr_kit.cv.whole import CvReference
    from mmctr_kit.tuning.finalists import Finalist
    from mmctr_kit.tuning.summary import Summary


def estimate_columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """Make two columns of an estimate: its value and its standard error."""
    value, se = (None, None) if estimate is None else (estimate.value, estimate.se)
    return {name: value, f"{name}_se": se}


def frame(rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> "pd.DataFrame":
    """Make a pandas table of rows; ``columns`` name its columns if there are no rows."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=None if rows else list(columns))


def html(title: str, table: "pd.DataFrame") -> str:
    """Write a title and a table as HTML, for a notebook; an unknown standard error is n/a."""
    from html import escape

    shown = table.copy()
    for name in table.columns:
        if (of := name.removesuffix("_se")) != name and of in table:
            unknown = table[of].notna() & table[name].isna()
            shown[name] = table[name].astype(object).where(~unknown, UNKNOWN)
    cells = shown.to_html(index=False, na_rep="", float_format="{:.4f}".format)
    return f"<b>{escape(title)}</b>{cells}"


class FitResult(Run):
    """A finished single fit: a run of one model, trained on the whole train split.

    ``cv`` is the cross-validation of its recipe on the same data, None if there is none.
    """

    def __init__(self, path: str | Path, cv: Run | None = None) -> None:
        super().__init__(path)
        self.cv = cv

    def predictors(self) -> "pd.DataFrame":
        """The valid AUC of the single fit, and of the predictors of its recipe's cross-validation.

        ``gap`` is the single fit's AUC less the fold mean's, paired.
        """
        known = self.reference()
        rows = [{"predictor": "single fit"} | estimate_columns("valid_auc", self.valid_auc)]
        if known is not None:
            rows[0] |= estimate_columns("gap", known.gap)
            rows += [
                {"predictor": name} | estimate_columns("valid_auc", auc)
                for name, auc in (("fold model", known.fold_model), ("fold mean", known.fold_mean))
            ]
        return frame(rows)

    def reference(self) -> "CvReference | None":
        """The scores of the cross-validation ``cv``, and the fit's gap to it; None without one."""
        from mmctr_kit.cv.whole import cv_reference

        return None if self.cv is None else cv_reference(self.recipe(), self.cv, self)

    def _repr_html_(self) -> str:
        return super()._repr_html_() + html("predictors", self.predictors())


class BlendResult(Run):
    """A finished blend: a run, with the methods that were tried and its runs' weights."""

    @property
    def method(self) -> str:
        return str(self.report["method"])

    @property
    def reason(self) -> str:
        """One line that says why this method was chosen."""
        return str(self.report["reason"])

    @property
    def report(self) -> dict[str, Any]:
        """The contents of blend.json: see :func:`mmctr_kit.ensemble.runs.blend_report`."""
        from mmctr_kit.ensemble.runs import blend_report

        return blend_report(self)

    def methods(self) -> "pd.DataFrame":
        """Each method's cross-fitted OOF AUC, and its difference to the plain mean."""
        scores, gains = self.report["scores"], self.report["differences"]
        rows = [
            {"method": name}
            | estimate_columns("oof_auc", Estimate.from_json(score))
            | estimate_columns("gain", Estimate.find(gains, name))
            for name, score in scores.items()
        ]
        return frame(rows, ("method", "oof_auc", "oof_auc_se", "gain", "gain_se"))

    def members(self) -> "pd.DataFrame":
        """Each run's weight, and what the blend's OOF AUC gains by it."""
        weights, adds = self.report["weights"] or {}, self.report["adds"]
        return frame(
            [
                {"run": name, "weight": weights.get(name)}
                | estimate_columns("adds", Estimate.find(adds, name))
                for name in self.report["runs"]
            ]
        )

    def _repr_html_(self) -> str:
        return super()._repr_html_() + html(self.reason, self.methods())


@dataclass(frozen=True)
class CheckResult:
    """The findings of a check. Iterates over them; ``ok`` if none is a FAIL."""

    path: Path
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return self.level is not Level.FAIL

    @property
    def level(self) -> Level:
        """The most severe level."""
        return worst(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __str__(self) -> str:
        return f"{self.path}: {summary(self.findings)}"

    def table(self) -> "pd.DataFrame":
        """A row for each finding: id, level, what, todo."""
        rows = [asdict(f) | {"level": f.level.value} for f in self.findings]
        return frame(rows, ("id", "level", "what", "todo"))

    def _repr_html_(self) -> str:
        table = self.table()
        return html(str(self), table[table.level != "PASS"])


@dataclass(frozen=True)
class ProfileResult:
    """The results of the probes on a data folder; ``ok`` if none is a suspicion."""

    path: Path
    results: tuple["TestResult", ...]

    @property
    def ok(self) -> bool:
        return not any(v.suspicious for v in self.results)

    def table(self) -> "pd.DataFrame":
        """A row for each measurement: probe, where, value and SE, clean value, verdict."""
        return frame(
            [
                {"probe": v.measurement.probe, "where": v.measurement.where}
                | estimate_columns("value", v.measurement.value)
                | {
                    "clean": v.measurement.clean,
                    "suspicious": v.suspicious,
                    "what": v.measurement.what,
                }
                for v in self.results
            ]
        )

    def _repr_html_(self) -> str:
        return html(str(self.path), self.table())


@dataclass(frozen=True)
class GeneratedData:
    """A generated data set: its folders ``data`` and ``truth``, and its ``best_auc``.

    ``best_auc``: by split, the highest AUC that a model can expect which scores rows one by one.
    """

    data: Path
    truth: Path
    best_auc: dict[str, float]


@dataclass(frozen=True)
class StudyResult:
    """A finished study in ``path``; ``summary`` holds all of it.

    ``run`` and ``valid_auc`` raise RunError if the study was only searched, without finalists.
    """

    path: Path
    summary: "Summary"

    @property
    def best_recipe(self) -> Path:
        """The chosen finalist's recipe, ready for :func:`cross_validate`."""
        return self.path / "best.yaml"

    @property
    def run(self) -> Run:
        """The chosen finalist's run."""
        return Run(self.path / "finalists" / f"trial-{self._chosen.number}")

    @property
    def valid_auc(self) -> Estimate:
        """The chosen finalist's valid AUC: unbiased, since it was not used for selection."""
        return self._chosen.valid

    @property
    def _chosen(self) -> "Finalist":
        if not self.summary.finalists:
            raise RunError(f"{self.path} was only searched; tune it with finalists=1 or more")
        return self.summary.finalists[0]

    def trials(self) -> "pd.DataFrame":
        """A row for each trial: number, state, value, AUC and its settings."""
        return frame(
            [
                {"number": t["number"], "state": t["state"], "value": t["value"]}
                | estimate_columns("auc", Estimate.find(t, "auc"))
                | dict(t["params"])
                for t in self.summary.trials
            ]
        )

    def finalists(self) -> "pd.DataFrame":
        """A row for each finalist, the chosen one first, with what differs from the recipe."""
        return frame(
            [
                {"trial": f.number}
                | estimate_columns("oof_auc", f.oof)
                | estimate_columns("valid_auc", f.valid)
                | f.changes
                for f in self.summary.finalists
            ]
        )

    def _repr_html_(self) -> str:
        name, finalists = self.summary.name, self.summary.finalists
        scored = f"valid AUC {self.valid_auc}" if finalists else "only searched"
        return html(f"study {name}: {scored}", self.finalists())


@dataclass(frozen=True)
class AblationResult:
    """A finished ablation in ``path``; ``content`` holds all of it."""

    path: Path
    content: "Table"

    def changes(self) -> "pd.DataFrame":
        """The base's AUCs, then each variant's changes against it; claim, cost and settings."""
        return frame(
            [
                {"variant": row.name, "what": row.what}
                | estimate_columns("oof", row.oof)
                | estimate_columns("valid", row.valid)
                | {"claim": row.claim, "parameters": row.cost.parameters}
                | {"train_rows_per_second": row.cost.train_rows_per_second}
                for row in self.content.rows
            ]
        )

    def _repr_html_(self) -> str:
        return html(f"ablation of {self.content.recipe}", self.changes())
