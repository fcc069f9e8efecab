"""What a contest accepts as a submission: the challenge's shipped spec, or one from a YAML file.

The shipped file ``specs/mmctr.yaml`` is the one place for what the challenge's submissions look
like, and documents every key.
"""

import csv
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mmctr_kit.errors import UsageError, did_you_mean, plural
from mmctr_kit.files import regular
from mmctr_kit.yaml_files import explain_all, read_yaml

SHIPPED = Path(__file__).with_name("specs") / "mmctr.yaml"
MAX_ROWS = 10_000_000
"""The reader takes no more rows than this."""
_MAX_ID = 10**17
_EXAMPLE = "'mmctr-kit submit --spec-example' prints one with every key"

Names = Annotated[tuple[str, ...], Field(strict=False)]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class IdsSpec(_Block):
    """The IDs of a test set: integers from ``first``, or the texts of the CSV ``like``.

    Everywhere an ID is a number: itself, or the position (0-based) of its text in ``like``.
    """

    column: str
    first: Annotated[int, Field(ge=-_MAX_ID, le=_MAX_ID)] = 0
    count: Annotated[int | None, Field(gt=0, le=MAX_ROWS)] = None
    like: Annotated[Path | None, Field(strict=False)] = None
    order: Literal["required", "any"] = "required"
    source: str = ""

    @field_validator("like")
    @classmethod
    def _beside_the_spec(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return None if value is None else Path(info.context or "") / value

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.count is None and self.like is None:
            raise ValueError("ids: expected count (integers from first), or like (a CSV's texts)")
        if self.like and (self.count is not None or self.first):
            given = "first" if self.count is None else "count"
            raise ValueError(f"ids: give {given} or like, not both")
        return self

    @cached_property
    def numbers(self) -> dict[bytes, int] | None:
        """The number of each text of ``like``; None if IDs are integers.

        Raises UsageError if the CSV cannot be read, or has an ID twice.
        """
        if self.like is None:
            return None
        try:
            with regular(self.like).open(encoding="utf-8-sig", newline="") as file:
                header, *rows = csv.reader(file)
            at = header.index(self.column)
            texts = [row[at].encode() for row in rows if row]
        except FileNotFoundError as e:
            raise UsageError(f"ids.like: no file '{self.like}'; expected a CSV with IDs") from e
        except (OSError, UnicodeDecodeError, csv.Error) as e:
            raise UsageError(f"ids.like: '{self.like}' cannot be read as a CSV in UTF-8") from e
        except (ValueError, IndexError) as e:
            wanted = f"a header with {self.column}, and an ID in every row"
            raise UsageError(f"ids.like: expected {wanted} in '{self.like}'") from e
        numbers = {text: number for number, text in enumerate(texts)}
        if len(numbers) < max(1, len(texts)):
            many = plural(len(texts), "row")
            raise UsageError(f"ids.like: expected IDs, each once; '{self.like}' has {many}")
        return numbers

    @property
    def n_rows(self) -> int:
        return len(self.numbers or ()) if self.count is None else self.count

    @property
    def taken_from(self) -> str:
        """Where entrants find the IDs, for messages."""
        return self.source or (self.like.name if self.like else "the test set")

    def sized(self, n_rows: int) -> "IdsSpec":
        """These IDs for a test set of ``n_rows`` rows, in its order.

        Raises UsageError if ``like`` lists another number of them.
        """
        if self.like is not None and self.n_rows != n_rows:
            many = f"{plural(self.n_rows, 'ID')}, and the test set {plural(n_rows, 'row')}"
            raise UsageError(f"'{self.like}' has {many}; give the --data that it belongs to")
        return self if self.like else self.model_copy(update={"count": n_rows})


class ColumnsSpec(_Block):
    """The columns of scores, by name."""

    required: Names = ()
    optional: Names = ()
    at_least_one: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)

    @property
    def needs_optional(self) -> bool:
        return bool(self.optional) and (self.at_least_one or not self.required)


class SizeSpec(_Block):
    """How many bytes a file, and what it unpacks to, may have."""

    file: PositiveInt = 256 * 2**20
    unpacked: PositiveInt = 256 * 2**20


class Spec(_Block):
    """The whole of what a contest accepts; ``specs/mmctr.yaml`` has each key's meaning."""

    container: Literal["zip", "csv"]
    member: str = ""
    ids: IdsSpec
    columns: ColumnsSpec
    values: Annotated[tuple[float, float] | None, Field(strict=False)] = None
    size: SizeSpec = SizeSpec()

    @field_validator("values", mode="before")
    @classmethod
    def _two(cls, value: object) -> object:
        if value is not None and not (isinstance(value, list | tuple) and len(value) == 2):
            wanted = "expected the least and the largest score, such as [0, 1]"
            raise ValueError(f"values: {wanted}; found {value!r}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [self.ids.column, *self.columns.names]
        odd = [n for i, n in enumerate(names) if not n.strip(" ") or set(n) & set(',"\r\n')]
        if (self.container == "zip") != bool(self.member) or set(self.member) & set("/\\"):
            raise ValueError("member: expected a file name with container zip, none with csv")
        if len(names) < 2:
            raise ValueError("columns: expected a name in required or optional")
        if odd or len(set(names)) < len(names):
            bad = odd[0] if odd else next(n for n in names if names.count(n) > 1)
            raise ValueError(f'columns: expected names without , and ", each once; found {bad!r}')
        if self.values and not self.values[0] < self.values[1]:
            raise ValueError(f"values: expected the least first; found {list(self.values)}")
        return self

    @property
    def header(self) -> str:
        """The header that is expected, in words."""
        needed = ", ".join([self.ids.column, *self.columns.required])
        how = "one or more of " if self.columns.needs_optional else "any of "
        optional = self.columns.optional
        return f"{needed} and {how}{', '.join(optional)}" if optional else needed


@cache
def challenge() -> Spec:
    """What the challenge accepts."""
    return Spec.model_validate(read_yaml(SHIPPED, "specification"))


def load_spec(path: Path) -> Spec:
    """Read a spec. Raises UsageError, in one line, for a missing file, broken YAML or a wrong key.

    The CSV that ``ids.like`` names is read too.
    """
    if not path.is_file():
        hint = did_you_mean(path.name, (p.name for p in path.parent.glob("*.y*ml")))
        raise UsageError(f"no spec at '{path}'{hint}; expected a YAML file; {_EXAMPLE}")
    try:
        content = read_yaml(path, "spec")
        spec = Spec.model_validate(content, context=path.parent)
    except ValidationError as e:
        faults = "; ".join(explain_all(e, content, (), _keys_at))
        raise UsageError(f"{path}: {faults}; {_EXAMPLE}") from e
    except UsageError as e:
        raise UsageError(f"{e}; {_EXAMPLE}") from e
    try:
        _ = spec.ids.numbers
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from e
    return spec


def _keys_at(place: Any) -> list[str]:
    block: Any = Spec
    for key in place:
        block = block.model_fields[key].annotation
    return list(getattr(block, "model_fields", ()))
