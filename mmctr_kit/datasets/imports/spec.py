"""The SPEC of an import: where the tables are, and how the challenge's rows are made of them.

The shipped file ``specs/example.yaml`` has every key with its meaning.
"""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from mmctr_kit.data.contract import MAX_HISTORY, SPLITS
from mmctr_kit.datasets.imports.rules import parse_rule
from mmctr_kit.errors import did_you_mean

Format = Literal["auto", "csv", "tsv", "jsonl", "parquet", "atomic"]
TIME_UNITS = ("auto", "s", "ms", "us", "ns", "iso", "order")
NegativesFrom = Literal["logged", "popularity", "uniform", "recent"]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
SplitName = Literal["train", "valid", "test"]


def _moment(value: object) -> object:
    """YAML reads 2020-01-01 as a date; a time without a zone is UTC."""
    if isinstance(value, str) and re.match(r"^\d{4}-\d\d", value):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return value


Moment = Annotated[Share | datetime, BeforeValidator(_moment)]
"""A share of the rows or users, or a date."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_listed)]
"""One text or a list of them."""


class Block(BaseModel):
    """A part of a SPEC: immutable, and it refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Table(Block):
    """One table in one or several files.

    ``files`` are paths or glob patterns, from the folder of the SPEC or of ``--from``; files may be
    gzipped, and ``archive.zip:inside.csv`` is a file in a zip. ``format`` auto goes by the name.
    ``separator`` is of a text table; ``columns`` names its columns if it has no header. ``quoting``
    says whether quotes enclose fields, which they do by default in CSV alone, or are text.
    ``encoding`` auto is UTF-8, or Latin-1 if that cannot be.
    ``atomic`` is RecBole's text table, whose header has types, as in ``rating:float``.
    """

    files: Annotated[Names, Field(min_length=1)]
    format: Format = "auto"
    separator: str | None = None
    columns: Names | None = None
    encoding: Literal["auto", "utf-8", "latin-1"] = "auto"
    quoting: bool | None = None


class Interactions(Table):
    """The log: who took what, and when.

    ``user``, ``item`` and ``time`` are columns; without ``time`` the order of a user's
    interactions is drawn, and there is no split by time. ``time_unit``: seconds, milliseconds,
    microseconds or nanoseconds since 1970; ``iso`` for dates and times as text; a format such as
    ``%d/%m/%Y`` for others; ``order`` for a number that merely grows; ``auto`` goes by the values.
    Texts without a zone are UTC.

    ``positive`` and ``negative`` are rules such as ``rating >= 4``, ``event in [buy, cart]``;
    what meets neither only counts as a view. No ``positive`` means that everything is one; no
    ``negative`` that everything else that the log holds is one if negatives are ``logged``, and
    nothing if not. ``range`` refuses values outside, such as ``rating: [0.5, 5]``.

    ``repeats``: of a user's interactions with one item ``last``, ``first``, or all (``keep``).
    ``strip`` takes blanks from around ids, which are refused otherwise.
    """

    user: str
    item: str
    time: str | None = None
    time_unit: str = "auto"
    positive: str | None = None
    negative: str | None = None
    range: dict[str, Annotated[tuple[float, float], Field(strict=False)]] = {}
    repeats: Literal["last", "first", "keep"] = "last"
    strip: bool = False

    @field_validator("time_unit")
    @classmethod
    def _is_a_unit(cls, value: str) -> str:
        if value not in TIME_UNITS and "%" not in value:
            raise ValueError(
                f"expected one of {', '.join(TIME_UNITS)}, or a format like %d/%m/%Y; found "
                f"{value!r}{did_you_mean(value, TIME_UNITS)}"
            )
        return value

    @field_validator("positive", "negative")
    @classmethod
    def _is_a_rule(cls, value: str | None) -> str | None:
        if value is not None:
            parse_rule(value)
        return value


class Items(Table):
    """What is known of the items: their id as in the log, texts, tags, pictures.

    ``tags`` is a column of lists, or of texts that ``tags_separator`` divides; ``tag_flags`` are
    columns of 0 and 1, one a tag. ``year`` is a column; a year in parentheses at the title's end
    wins over it. ``not_a_tag`` are the publisher's ways to say "none".

    ``pictures`` is a folder of ``ITEM.jpg`` (or .jpeg, .png, .webp), or with ``picture`` the
    folder that the paths in that column start from.
    """

    id: str
    title: str | None = None
    description: str | None = None
    tags: str | None = None
    tags_separator: str | None = None
    tag_flags: Names = ()
    not_a_tag: Names = ()
    year: str | None = None
    pictures: str | None = None
    picture: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.tags and self.tag_flags:
            raise ValueError("items: give tags or tag_flags, not both")
        if self.picture and self.pictures is None:
            raise ValueError(
                "items.picture: needs items.pictures, the folder that paths start from"
            )
        return self


class Vectors(Block):
    """Ready vectors of the items.

    ``text`` and ``image`` are a ``.npy`` of shape (items, d), its rows in the order of ``ids``, or
    a parquet file with a column ``id`` and one of lists. ``ids`` is a table whose column
    ``id`` has an item a row in that order; without it the rows are those of the items table, or
    (no items table) of the items' numbers 0, 1, 2, ...
    """

    text: str | None = None
    image: str | None = None
    id: str = "item_id"
    ids: Table | None = None


class Rows(Block):
    """How a user's interactions become a history and rows.

    ``history: shared`` gives a user one history, which ends before the first of the user's rows,
    as in the challenge; ``growing`` gives each row the positives before it, and is the default if
    rows are split by time or by a column, so that a later row's history tells the labels of its
    user's earlier rows. A history holds nothing of its row's time or later, and never its row's
    item. It has ``min_history`` to ``history_length`` items. At most the last ``target_share`` of a
    user's positives (by default 0.4 of those with a shared history, else all), and at most
    ``max_targets``, are rows; the others are history alone.

    ``negatives``: ``logged`` takes the log's own as they are. The others give each positive
    ``per_positive`` negatives: of these at most ``low_share`` are the user's own later negatives of
    the log, the rest drawn from items that the user never took and that somebody took before that
    time: by ``popularity`` (count ** ``power``), ``uniform``, or as often as they were taken in the
    ``recent_days`` before.
    """

    history: Literal["shared", "growing"]
    min_history: Annotated[int, Field(ge=0)] = 3
    history_length: Annotated[int, Field(ge=1, le=MAX_HISTORY)] = MAX_HISTORY
    target_share: Annotated[float, Field(gt=0, le=1, strict=False)]
    max_targets: Count | None = 40
    negatives: NegativesFrom = "popularity"
    per_positive: Annotated[int, Field(ge=1, le=100)] = 3
    low_share: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.5
    power: Annotated[float, Field(ge=0, le=2, strict=False)] = 0.75
    recent_days: Annotated[float, Field(gt=0, strict=False)] = 30.0


class Split(Block):
    """Which rows train, and which are valid and test.

    ``user``: each user is in one split; ``valid`` and ``test`` are their shares of the users.
    ``time``: ``valid`` and ``test`` are the moments from which on rows are in them, as dates, or
    shares of the rows, the last ones. ``both``: each user is in one split, ``users`` being the
    share of valid, and of test, and only the rows of the split's own period are kept.
    ``column``: the column ``column`` of the log tells the split of each row; ``values`` has the
    texts that it holds for train, valid and test.
    """

    by: Literal["user", "time", "both", "column"] = "user"
    valid: Moment = 0.1
    test: Moment = 0.1
    users: Share = 0.1
    column: str | None = None
    values: dict[SplitName, Annotated[str, BeforeValidator(str)]] = {
        "train": "0",
        "valid": "1",
        "test": "2",
    }

    def shares(self) -> tuple[float, float]:
        """``valid`` and ``test``, which are shares; ValueError if they are dates."""
        if isinstance(self.valid, datetime) or isinstance(self.test, datetime):
            raise ValueError("expected shares as valid and test, such as 0.1")
        return self.valid, self.test

    @model_validator(mode="after")
    def _fits(self) -> Self:
        dates = [v for v in (self.valid, self.test) if isinstance(v, datetime)]
        shares = [v for v in (self.valid, self.test) if not isinstance(v, datetime)]
        if self.by == "user" and dates:
            raise ValueError("split: by user expects shares as valid and test, such as 0.1")
        if dates and shares:
            raise ValueError("split: expected two dates, or two shares, as valid and test")
        if dates and not dates[0] < dates[1]:
            raise ValueError("split: expected valid to begin before test")
        if sum(shares) >= 1:
            raise ValueError("split: valid and test leave no row to train on")
        if (self.by == "column") != bool(self.column) or set(self.values) != set(SPLITS):
            raise ValueError("split: by column needs column, and values for train, valid and test")
        return self


class Spec(Block):
    """A whole SPEC; ``specs/example.yaml`` has each key's meaning."""

    interactions: Interactions
    items: Items | None = None
    vectors: Vectors | None = None
    rows: Rows
    split: Split = Split()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_depend(cls, content: Any) -> Any:
        """Fill in what ``rows`` leaves out and depends on other keys."""
        split, rows = (content.get(name) or {} for name in ("split", "rows"))
        if not (isinstance(split, dict) and isinstance(rows, dict)):
            return content
        grows = split.get("by") in ("time", "column")
        rows = {"history": "growing" if grows else "shared"} | rows
        rows = {"target_share": 1.0 if rows["history"] == "growing" else 0.4} | rows
        return {**content, "rows": rows}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        log = self.interactions
        if self.rows.negatives == "logged" and log.positive is None and log.negative is None:
            raise ValueError(
                "rows.negatives: logged needs interactions.positive, the rule of what is one"
            )
        if self.rows.negatives != "logged" and log.repeats == "keep":
            raise ValueError(
                "interactions.repeats: keep needs rows.negatives: logged, since a drawn negative "
                "is never an item that the user took before"
            )
        if log.time is None and self.split.by in ("time", "both"):
            raise ValueError(f"split.by: {self.split.by} needs interactions.time, a column")
        return self

    def in_words(self) -> str:
        """What becomes of the log, in one line."""
        log, rows, split = self.interactions, self.rows, self.split
        positive = log.positive or "every interaction"
        kind = rows.negatives
        if kind == "logged":
            negative = f"as logged ({log.negative or 'the others'})"
        else:
            how = f"the last {rows.recent_days:g} days" if kind == "recent" else kind
            low = f", at most {rows.low_share:.0%} of them logged ones" if log.negative else ""
            negative = f"{rows.per_positive} a positive, drawn by {how}{low}"
        history = f"{rows.history} history of {rows.min_history} to {rows.history_length}"
        where = "" if split.by == "column" else f" ({split.valid}, {split.test})"
        return (
            f"positives: {positive}; negatives: {negative}; {history}; split by {split.by}{where}"
        )

    def to_yaml(self) -> str:
        """The SPEC as YAML, with every key."""
        import yaml

        content = self.model_dump(mode="json")
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
