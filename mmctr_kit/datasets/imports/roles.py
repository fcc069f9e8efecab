"""Which columns of a table hold what, by their names and first values."""

import re
from collections.abc import Callable, Mapping

from mmctr_kit.data.contract import PICTURE_SUFFIXES
from mmctr_kit.datasets.imports.sample import Column, Sample

_NAMES = {
    "user": "user userid uid reviewerid customerid visitorid memberid accountid profileid viewerid "
    "usernumber useridx username sessionid session member customer reviewer",
    "item": "item itemid iid movieid movie parentasin asin videoid video productid product sku "
    "skuid articleid article newsid bookid isbn songid trackid adid goodsid contentid appid gameid "
    "businessid recipeid pid mid",
    "time": "timestamp unixreviewtime ts unixtime eventtimestamp eventtime time datetime createdat "
    "createdtime createtime servertime logtime requesttime tdat date reviewtime when epoch unix "
    "epochtime unixtimestamp timestampms timems dt occurredat eventat eventdate interactiontime "
    "ratedat ratingtime ratingdate viewedat watchedat playedat clickedat clicktime purchasedat "
    "purchasedate orderedat ordertime orderdate invoicedate reviewedat reviewdate",
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

_NEARLY_ALL = 0.95
"""The least share of a column's numbers that must be times; an import names the others."""
_SINCE_1970 = {"s": (1e8, 1e10), "ms": (1e11, 1e13), "us": (1e14, 1e16), "ns": (1e17, 1e19)}
_PLAIN = {"s": (631_152_000, 2_208_988_800), "ms": (631_152_000_000, 2_208_988_800_000)}
"""From when to when numbers of a unit are surely times or possibly; the second: 1990 to 2040."""
TOPS = (1.0, 5.0, 10.0, 20.0, 100.0)

Roles = dict[str, Column]
"""The columns of a table by what they hold."""


def plain(name: str) -> str:
    """A name in small letters, without other characters than letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_name(sample: Sample, role: str, used: Roles) -> Column | None:
    """The column that is best named for a role and holds what fits it."""
    free = [c for c in sample.columns if all(c is not other for other in used.values())]
    named = {plain(c.name): c for c in reversed(free)}
    columns = (named[name] for name in _NAMES[role].split() if name in named)
    return next((c for c in columns if _fits(role, c)), None)


def _fits(role: str, column: Column) -> bool:
    kind, distinct = column.kind, len(set(column.values))
    if role == "time":
        return time_unit(column) is not None
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


def log_roles(sample: Sample) -> Roles:
    """What the columns of a log hold: by their names if it has a header, else by their values."""
    roles: Roles = {}
    for role in ("user", "item", "time", "label", "watch", "event", "rating", "split"):
        if column := _by_name(sample, role, roles):
            roles[role] = column
    return roles if sample.has_header else _log_roles_by_value(sample)


def _log_roles_by_value(sample: Sample) -> Roles:
    """Time by its size, the rating by its few values; of the others the user is the first."""
    left, roles = list(sample.columns), Roles()
    tests: dict[str, Callable[[Column], bool]] = {
        "time": lambda c: time_unit(c) is not None,
        "rating": lambda c: (
            c.kind == "number" and len(set(c.values)) <= 21 and max(c.numbers()) <= max(TOPS)
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


def time_unit(column: Column, units: Mapping[str, tuple[float, float]] = _SINCE_1970) -> str | None:
    """The unit of the times that nearly all values of a column are; None if they are none."""
    if column.kind == "iso":
        return "iso"
    if column.kind != "number":
        return None
    numbers = column.numbers()
    least = _NEARLY_ALL * len(numbers)
    fits = (u for u, (a, b) in units.items() if sum(a <= n < b for n in numbers) >= least)
    return next(fits, None)


def time_by_values(sample: Sample, roles: Roles) -> Column | None:
    """The one column without a role that plainly holds a time of each row; None if several do.

    A column that has one value for each user, or item, is a birthday or a release, say.
    """
    free = [c for c in sample.columns if all(c is not other for other in roles.values())]
    ids = [roles[role] for role in ("user", "item") if role in roles]
    found = [
        c
        for c in free
        if not c.empty
        and len(set(c.values)) > 1
        and time_unit(c, _PLAIN)
        and not any(_told_by(each, c) for each in ids)
    ]
    return found[0] if len(found) == 1 else None


def _told_by(ids: Column, column: Column) -> bool:
    """Whether ids repeat, and each has one value of another column."""
    known = set(ids.values)
    if len(known) == len(ids.values) or len(ids.values) != len(column.values):
        return False
    return len(set(zip(ids.values, column.values, strict=True))) == len(known)


def item_roles(sample: Sample, log: Roles) -> Roles:
    """What the columns of a table of items hold, of which ``log`` has the ids."""
    known = set(log["item"].values) if "item" in log else set()
    shared = {c.name: len(known & set(c.values)) for c in sample.columns}
    best = max(sample.columns, key=lambda c: shared[c.name])
    same = [c for c in sample.columns if "item" in log and c.name == log["item"].name]
    ids = [c for c in sample.columns if plain(c.name) == "id"]
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


def likeness(sample: Sample, log: Roles) -> tuple[bool, int]:
    """How much a table is like one of items: whether it has the log's, and how much of them."""
    roles = item_roles(sample, log)
    known = set(log["item"].values) if "item" in log else set()
    return bool(known & set(roles["id"].values)), len(roles)
