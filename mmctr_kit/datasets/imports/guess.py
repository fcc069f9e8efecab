"""Guesses a SPEC from the headers and first rows of files: a text to edit, in YAML."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmctr_kit.data.contract import PICTURE_SUFFIXES
from mmctr_kit.datasets.imports.sample import Column, Sample, take_sample
from mmctr_kit.errors import UsageError, visible

FILL_IN = "FILL_IN"
"""Written in place of a column that the guess did not find."""

_NAMES = {
    "user": "user userid uid reviewerid customerid visitorid memberid accountid profileid viewerid "
    "usernumber useridx username sessionid session member customer reviewer",
    "item": "item itemid iid movieid movie parentasin asin videoid video productid product sku "
    "skuid articleid article newsid bookid isbn songid trackid adid goodsid contentid appid gameid "
    "businessid recipeid pid mid",
    "time": "timestamp unixreviewtime ts unixtime eventtimestamp eventtime time datetime createdat "
    "createdtime servertime tdat date reviewtime",
    "label": "label click clicked isclick islike like liked purchase purchased target",
    "watch": "watchratio playratio completion finishratio",
    "event": "event eventtype behavior behaviour behaviortype action actiontype interaction type",
    "rating": "rating overall stars score rate ratingvalue",
    "split": "xlabel",
    "title": "title movietitle itemtitle name itemname productname producttitle headline caption",
    "description": "description desc abstract overview summary detaildesc text content",
    "tags": "genres genre tags tag categories category class topics feat keywords "
    "productgroupname maincategory",
    "year": "year releaseyear",
    "picture": "picture picturepath image imagepath img photo photopath cover poster",
}
"""Names of columns by what they hold, in small letters and without other characters, best first."""

_EVENTS = {
    *("purchase", "transaction", "buy", "order", "pay", "cart", "addtocart"),
    *("fav", "favorite", "like", "share", "click"),
}
"""Events, in small letters and without other characters, that say that somebody wanted the item."""
_NO_TAG = {"unknown", "none", "n/a", "other", "(no genres listed)", "null", "nan"}
_TAG_SEPARATORS = ("|", ";", ",")
_SINCE_1970 = {"s": (1e8, 1e10), "ms": (1e11, 1e13), "us": (1e14, 1e16), "ns": (1e17, 1e19)}
_FIVE = 5.0
_TOPS = (1.0, _FIVE, 10.0, 20.0, 100.0)
_POSITIVE, _NEGATIVE = 0.8, 0.6
"""The least positive and the largest negative rating, as shares of the largest of its scale."""

Roles = dict[str, Column]
"""The columns of a table by what they hold."""


def guess(files: Sequence[Path]) -> str:
    """A SPEC of these files, as a commented YAML text that ``load_spec`` accepts.

    Of one table it makes the log, of several the log and the items; ``.npy`` files are vectors.
    What it cannot tell is FILL_IN, and a comment has the columns to choose from. Raises UsageError
    if there is no table among the files, and for a file that is absent; DataError for one that
    cannot be read.
    """
    samples = [take_sample(path) for path in files if path.suffix != ".npy"]
    if not samples:
        raise UsageError(
            "no table among the files; expected the log, as CSV, JSON lines or parquet"
        )
    log = max(samples, key=lambda s: len(_log_roles(s)))
    roles = _log_roles(log)
    others = [sample for sample in samples if sample is not log]
    items = max(others, key=lambda s: _likeness(s, roles), default=None)
    lines = [
        "# Guessed from the first rows: read each line before you use it. Each key explained:",
        "#   mmctr-kit data import --example",
        *_log_lines(log, roles),
        *(_item_lines(items, roles) if items is not None else ()),
        *(f"# not used: {s.path}" for s in others if s is not items),
        *_vector_lines([path for path in files if path.suffix == ".npy"]),
        *_row_lines(roles),
        *_split_lines(roles),
    ]
    return visible("\n".join(lines)) + "\n"  # comments hold names, too


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_name(sample: Sample, role: str, used: Roles) -> Column | None:
    """The column that is best named for a role and holds what fits it."""
    free = [c for c in sample.columns if all(c is not other for other in used.values())]
    named = {_plain(c.name): c for c in reversed(free)}
    columns = (named[name] for name in _NAMES[role].split() if name in named)
    return next((c for c in columns if _fits(role, c)), None)


def _fits(role: str, column: Column) -> bool:
    kind, distinct = column.kind, len(set(column.values))
    if role == "time":
        return _time_unit(column) is not None
    if role in ("rating", "watch"):
        return kind == "number" and (role == "watch" or distinct <= 101)
    if role == "label":
        return kind == "flag"
    if role == "event":
        return kind == "text" and distinct <= 50
    if role == "split":
        return kind in ("number", "flag") and set(column.values) <= {"0", "1", "2"}
    if role == "picture":
        return kind == "text" and column.values[0].lower().endswith(PICTURE_SUFFIXES)
    if role in ("title", "description", "tags"):
        return kind in ("text", "list", "number") and (kind != "number" or role == "tags")
    return kind in ("text", "number", "flag", "iso")


def _log_roles(sample: Sample) -> Roles:
    roles: Roles = {}
    for role in ("user", "item", "time", "label", "watch", "event", "rating", "split"):
        if column := _by_name(sample, role, roles):
            roles[role] = column
    return roles if sample.has_header else _log_roles_by_value(sample)


def _log_roles_by_value(sample: Sample) -> Roles:
    """Time by its size, the rating by its few values; of the others the user is the first."""
    left, roles = list(sample.columns), Roles()
    tests: dict[str, Callable[[Column], bool]] = {
        "time": lambda c: _time_unit(c) is not None,
        "rating": lambda c: (
            c.kind == "number" and len(set(c.values)) <= 21 and max(c.numbers()) <= max(_TOPS)
        ),
        "user": lambda c: c.kind in ("number", "text", "flag"),
        "item": lambda c: c.kind in ("number", "text", "flag"),
    }
    for role, test in tests.items():
        # Of columns with few values the last is the rating: a small set has few users too.
        order = left[::-1] if role == "rating" else left
        if column := next((c for c in order if test(c)), None):
            roles[role] = column
            left.remove(column)
    texts = [c for c in sample.columns if c.kind == "text"]
    return roles if "time" in roles or not texts else {}


def _time_unit(column: Column) -> str | None:
    if column.kind == "iso":
        return "iso"
    if column.kind != "number":
        return None
    low, high = min(column.numbers()), max(column.numbers())
    return next((u for u, (a, b) in _SINCE_1970.items() if a <= low and high < b), None)


def _item_roles(sample: Sample, log: Roles) -> Roles:
    known = set(log["item"].values) if "item" in log else set()
    shared = {c.name: len(known & set(c.values)) for c in sample.columns}
    best = max(sample.columns, key=lambda c: shared[c.name])
    same = [c for c in sample.columns if "item" in log and c.name == log["item"].name]
    ids = [c for c in sample.columns if _plain(c.name) == "id"]
    named = _by_name(sample, "item", {})
    id_column = (same or ([named] if named else ids) or [best])[0]
    if sample.has_header and shared[id_column.name]:
        best = id_column
    roles = {"id": best if shared[best.name] else id_column}
    for role in ("title", "description", "tags", "year", "picture"):
        if column := _by_name(sample, role, roles):
            roles[role] = column
    if not sample.has_header:
        texts = [c for c in sample.columns if c.kind == "text" and c is not roles["id"]]
        if tags := [c for c in texts if sum("|" in v for v in c.values) > len(c.values) / 4]:
            roles["tags"] = tags[0]
        if titles := [c for c in texts if all(c is not t for t in tags)]:
            roles["title"] = max(titles, key=lambda c: len(set(c.values)))
    return roles


def _likeness(sample: Sample, log: Roles) -> tuple[bool, int]:
    """How much a table is like one of items: whether it has the log's, and how much of them."""
    roles = _item_roles(sample, log)
    known = set(log["item"].values) if "item" in log else set()
    return bool(known & set(roles["id"].values)), len(roles)


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


def _log_lines(sample: Sample, roles: Roles) -> Iterator[str]:
    yield "interactions:"
    yield from _table_lines(sample, roles)
    yield _key("user", "user", sample, roles)
    yield _key("item", "item", sample, roles)
    if "time" in roles:
        yield _key("time", "time", sample, roles)
        yield f"  time_unit: {_time_unit(roles['time'])}"
    else:
        yield "  # time: no column is surely one; without it each user's order is drawn. If one is"
        yield "  # one, name it, and set time_unit: order if it merely grows"
    for column in (roles[r] for r in ("time", "watch", "rating") if r in roles):
        if column.odd:
            yield f"  # {column.name} is numeric but for {column.odd}: mend it before the import"
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
            yield f"  positive: {name} == {'1' if '1' in column.values else 'true'}"
    elif role == "watch":
        yield f"  positive: {name} >= 1  # watched to its end"
    elif role == "event":
        yield from _event_lines(name, Counter(column.values))
    else:
        yield from _rating_lines(name, column.numbers())


def _event_lines(name: str, events: Counter[str]) -> Iterator[str]:
    shown = ", ".join(f"{event} {count:,}" for event, count in events.most_common(12))
    yield f"  # {name} is {shown} in the rows read"
    wanted = [event for event in events if _plain(event) in _EVENTS]
    if wanted and len(wanted) < len(events):
        yield f"  positive: {name} in [{', '.join(sorted(wanted))}]"
    else:
        yield f"  # positive: {name} in [...]; without it every interaction is a positive"


def _rating_lines(name: str, ratings: list[float]) -> Iterator[str]:
    low, high = min(ratings), max(ratings)
    top = next((t for t in _TOPS if high <= t), high)
    first = 0.5 if any(r % 1 for r in ratings) else 1.0
    bottom = min(low, first if top == _FIVE else 0.0)
    yield f"  # {name} is {low:g} to {high:g} in the rows read: a scale to {top:g}?"
    yield f"  positive: {name} >= {_POSITIVE * top:g}"
    yield f"  negative: {name} <= {_NEGATIVE * top:g}"
    yield f"  range: {{{_yaml(name)}: [{bottom:g}, {top:g}]}}"


def _item_lines(sample: Sample, log: Roles) -> Iterator[str]:
    roles = _item_roles(sample, log)
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
