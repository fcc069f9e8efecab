"""Guesses a SPEC from the headers and first rows of files: a text to edit, in YAML."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmctr_kit.datasets.imports.roles import (
    TOPS,
    Roles,
    item_roles,
    likeness,
    log_roles,
    plain,
    time_by_values,
    time_unit,
)
from mmctr_kit.datasets.imports.sample import Column, Sample, take_sample
from mmctr_kit.errors import UsageError, visible

FILL_IN = "FILL_IN"
"""Written in place of a column that the guess did not find."""

_EVENTS = {
    *("purchase", "transaction", "buy", "order", "pay", "cart", "addtocart"),
    *("fav", "favorite", "like", "share", "click"),
}
"""Events, in small letters and without other characters, that say that somebody wanted the item."""
_NO_TAG = {"unknown", "none", "n/a", "other", "(no genres listed)", "null", "nan"}
_TAG_SEPARATORS = ("|", ";", ",")
_FIVE = 5.0
_POSITIVE, _NEGATIVE = 0.8, 0.6
"""The least positive and the largest negative rating, as shares of the largest of its scale."""


def guess(files: Sequence[Path]) -> str:
    """A SPEC of these files; errors as :func:`guess_with_notes`."""
    return guess_with_notes(files)[0]


def guess_with_notes(files: Sequence[Path]) -> tuple[str, dict[str, str]]:
    """A SPEC of these files, as a commented YAML text that ``load_spec`` accepts.

    Of one table it makes the log, of several the log and the items; ``.npy`` files are vectors.
    What it cannot tell is FILL_IN, and a comment has the columns to choose from. The second is what
    the user should know of keys that are less sure than the others, by key. Raises UsageError if
    there is no table among the files, and for a file that is absent; DataError for one that cannot
    be read.
    """
    samples = [take_sample(path) for path in files if path.suffix != ".npy"]
    if not samples:
        raise UsageError(
            "no table among the files; expected the log, as CSV, JSON lines or parquet"
        )
    log = max(samples, key=lambda s: len(log_roles(s)))
    roles, notes = log_roles(log), {}
    if "time" not in roles and (column := time_by_values(log, roles)):
        roles["time"] = column
        notes["interactions.time"] = (
            f"'{column.name}' is taken as the time, by its values and not its name; if it is not, "
            "give --set interactions.time=COLUMN"
        )
    others = [sample for sample in samples if sample is not log]
    items = max(others, key=lambda s: likeness(s, roles), default=None)
    lines = [
        "# Guessed from the first rows: read each line before you use it. Each key explained:",
        "#   mmctr-kit data import --example",
        *_log_lines(log, roles, notes),
        *(_item_lines(items, roles) if items is not None else ()),
        *(f"# not used: {s.path}" for s in others if s is not items),
        *_vector_lines([path for path in files if path.suffix == ".npy"]),
        *_row_lines(roles),
        *_split_lines(roles),
    ]
    return visible("\n".join(lines)) + "\n", notes  # comments hold names, too


def _table_lines(sample: Sample, roles: Roles) -> Iterator[str]:
    """The keys that say where a table is, and the columns of its header or their new names."""
    table = sample.table
    yield f"  files: {_yaml(list(table.files))}"
    if table.format != "auto":
        yield f"  format: {table.format}"
    if table.separator:
        yield f"  separator: {_yaml(table.separator)}"
    if sample.has_header:
        yield f"  # columns: {', '.join(c.name for c in sample.columns)}"
    else:
        names = [_name(c, sample, roles) for c in sample.columns]
        yield f"  columns: {_yaml(names)}  # names for columns without header"
    if table.quoting is False:
        yield "  quoting: false"


def _name(column: Column, sample: Sample, roles: Roles) -> str:
    """The column's name, or its role's if the file has no names."""
    if sample.has_header:
        return column.name
    return next((role for role, c in roles.items() if c is column), column.name)


def _yaml(value: Any) -> str:
    """A value on one line of YAML."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    if text != visible(text):  # it is printed, so what a terminal obeys is written as its code
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _key(key: str, role: str, sample: Sample, roles: Roles) -> str:
    """A line with a column, or FILL_IN."""
    if role in roles:
        return f"  {key}: {_yaml(_name(roles[role], sample, roles))}"
    return f"  {key}: {FILL_IN}  # cannot tell which column it is"


def _log_lines(sample: Sample, roles: Roles, notes: Mapping[str, str]) -> Iterator[str]:
    yield "interactions:"
    yield from _table_lines(sample, roles)
    yield _key("user", "user", sample, roles)
    yield _key("item", "item", sample, roles)
    if note := notes.get("interactions.time"):
        yield f"  # {note}"
    if "time" in roles:
        yield _key("time", "time", sample, roles)
        yield f"  time_unit: {time_unit(roles['time'])}"
    else:
        yield "  # time: no column is surely one; without it each user's order is drawn. If one is"
        yield "  # one, name it, and set time_unit: order if it merely grows"
    for column in (roles[r] for r in ("time", "watch", "rating") if r in roles):
        if column.odd:
            kind = "a date" if column.kind == "iso" else "numeric"
            yield f"  # {column.name} is {kind} but for {column.odd}: mend it before the import"
    for column in (roles[r] for r in ("user", "item", "time", "watch", "rating") if r in roles):
        if column.empty:
            yield f"  # {column.name} is empty in {column.empty}: mend it before the import"
    yield from _rule_lines(sample, roles)


def _rule_lines(sample: Sample, roles: Roles) -> Iterator[str]:
    """What a positive is, by the best column that tells."""
    role = next((r for r in ("label", "watch", "event", "rating") if r in roles), None)
    if role is None:
        yield "  # positive: no rating, label or event was known; every interaction is a positive"
        return
    column, name = roles[role], _name(roles[role], sample, roles)
    if role == "label":
        if len(set(column.values)) == 1:
            yield f"  # {name} is {column.values[0]} in all rows read, so that each is a positive"
        else:
            true = next(v for v in ("1", "true", "True") if v in column.values)
            yield f"  positive: {name} == {true}"
    elif role == "watch":
        yield f"  positive: {name} >= 1  # watched to its end"
    elif role == "event":
        yield from _event_lines(name, Counter(column.values))
    else:
        yield from _rating_lines(name, column.numbers())


def _event_lines(name: str, events: Counter[str]) -> Iterator[str]:
    shown = ", ".join(f"{event} {count:,}" for event, count in events.most_common(12))
    yield f"  # {name} is {shown} in the rows read"
    wanted = [event for event in events if plain(event) in _EVENTS]
    if wanted and len(wanted) < len(events):
        yield f"  positive: {name} in [{', '.join(sorted(wanted))}]"
    else:
        yield f"  # positive: {name} in [...]; without it every interaction is a positive"


def _rating_lines(name: str, ratings: list[float]) -> Iterator[str]:
    low, high = min(ratings), max(ratings)
    top = next((t for t in TOPS if high <= t), high)
    first = 0.5 if any(r % 1 for r in ratings) else 1.0
    bottom = min(low, first if top == _FIVE else 0.0)
    yield f"  # {name} is {low:g} to {high:g} in the rows read: a scale to {top:g}?"
    yield f"  positive: {name} >= {_POSITIVE * top:g}"
    yield f"  negative: {name} <= {_NEGATIVE * top:g}"
    yield f"  range: {{{_yaml(name)}: [{bottom:g}, {top:g}]}}"


def _item_lines(sample: Sample, log: Roles) -> Iterator[str]:
    roles = item_roles(sample, log)
    yield "items:"
    yield from _table_lines(sample, roles)
    yield _key("id", "id", sample, roles)
    if "item" in log and not set(log["item"].values) & set(roles["id"].values):
        yield "  # none of its first ids is among the first of the log"
    for role in ("title", "description", "year"):
        if role in roles:
            yield _key(role, role, sample, roles)
    yield from _tag_lines(sample, roles)
    if "picture" in roles:
        yield _key("picture", "picture", sample, roles)
        yield f"  pictures: {FILL_IN}  # the folder that its paths start from"
    else:
        yield "  # pictures: a folder of ITEM.jpg, if you have one"


def _tag_lines(sample: Sample, roles: Roles) -> Iterator[str]:
    flags = [c for c in sample.columns if c.kind == "flag"]
    if "tags" not in roles:
        if len(flags) > 2:
            yield f"  tag_flags: {_yaml([c.name for c in flags])}"
        return
    yield _key("tags", "tags", sample, roles)
    values = roles["tags"].values
    counts = {s: sum(s in v for v in values) for s in _TAG_SEPARATORS}
    separator: str | None = max(_TAG_SEPARATORS, key=lambda s: counts[s])
    if sample.table.format == "auto" and sample.path.suffix == ".item":
        separator = " "  # RecBole's token_seq
    elif roles["tags"].kind == "list" or values[0].startswith("[") or not counts[str(separator)]:
        separator = None
    if separator:
        yield f"  tags_separator: {_yaml(separator)}"
    parts = {p.strip() for v in values for p in (v.split(separator) if separator else [v])}
    if no_tags := sorted(p for p in parts if p.lower() in _NO_TAG):
        yield f"  not_a_tag: {_yaml(no_tags)}"


def _vector_lines(paths: Sequence[Path]) -> Iterator[str]:
    if not paths:
        return
    yield "vectors:  # rows in the order of the items table, else set ids; see the example"
    for path in paths:
        image = re.search("im(age|g)|clip|vis|pic|photo", path.name.lower())
        yield f"  {'image' if image else 'text'}: {_yaml(str(path))}"


def _row_lines(roles: Roles) -> Iterator[str]:
    label = roles.get("label")
    logged = "watch" in roles or (label is not None and len(set(label.values)) > 1)
    yield "rows:"
    if logged:
        yield "  negatives: logged  # what is no positive is a negative, as it is in the log"
    else:
        yield "  negatives: popularity  # drawn; or uniform, recent, or logged: those of the log"
        yield "  per_positive: 3"


def _split_lines(roles: Roles) -> Iterator[str]:
    yield "split:"
    if split := roles.get("split"):
        yield f"  by: column\n  column: {_yaml(split.name)}"
    else:
        yield "  by: user  # or time, or both"
