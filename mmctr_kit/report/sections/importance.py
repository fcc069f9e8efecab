"""The importance section: which features a run's trees use, and what valid loses without each."""

from mmctr_kit.report.blocks import Picture, Section, Table, estimate_text, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import dots
from mmctr_kit.runs.importance import FeatureImportance, feature_importance

_DRAWN = 15
_FEW = 8


def importance_section(context: ReportContext) -> Section | None:
    """Permutation importance and gain; only for a run whose features have names."""
    features = feature_importance(context.run)
    if not features:
        return None
    by_gain = sorted(features, key=lambda f: -f.gain.value)
    pictures = []
    if features[0].drop is not None:
        pictures.append(_drops(features[:_DRAWN]))
    pictures.append(_gains(by_gain[:_DRAWN]))
    used = sum(f.gain.value > 0 for f in features)
    lead = (
        "Drop: what the valid AUC of the fold mean loses if the feature's values are shuffled "
        "among the valid rows. Gain: the feature's share of what all splits brought in training, "
        "be it right or overfitted. Features that can replace each other have little of either."
    )
    notes = [
        f"The models use {used} of {len(features)} features. 'recent': a mean weighted by how "
        "recent a history item is. 'lift': how much likelier a positive is than usual."
    ]
    caption = (
        "± is one standard error: of drop by valid users, paired; of gain from the spread over "
        "fold models."
    )
    few, every = features[:_FEW], f"All {len(features)} features"
    tables = [
        _table(f"The {_FEW} features with the largest drop. {caption}", few),
        _table(caption, features, every),
    ]
    return Section("importance", "Feature importance", lead, pictures, tables, notes=notes)


def _drops(features: tuple[FeatureImportance, ...]) -> Picture:
    drops = [feature.drop for feature in features]
    names = [feature.name for feature in features]
    says = "; ".join(f"{n} {estimate_text(d, True)}" for n, d in zip(names, drops, strict=True))
    figure = dots(names, {"valid": drops}, "drop of valid AUC", reference=0.0)
    caption = "Bars: 95 % intervals. An interval that holds 0: the feature may be worth nothing."
    says = f"Drop of valid AUC by feature. {says}."
    return picture(figure, "importance-drop", "Permutation importance", caption, says)


def _gains(features: list[FeatureImportance]) -> Picture:
    names = [feature.name for feature in features]
    says = "; ".join(f"{f.name} {f.gain.value:.1%}" for f in features)
    gains = [feature.gain for feature in features]
    figure = dots(names, {"amount": gains}, "share of the gain")
    caption = "Mean over fold models; bars: 95 % intervals from their spread."
    return picture(figure, "importance-gain", "Gain", caption, f"Share of gain by feature. {says}.")


def _table(caption: str, features: tuple[FeatureImportance, ...], folded: str = "") -> Table:
    rows = [(f.name, f.meaning, estimate_text(f.drop, True), f.gain.percent()) for f in features]
    columns = ("feature", "meaning", "drop of valid AUC", "gain")
    return Table(caption, columns, rows, left=2, folded=folded)
