"""Finds and reads a SPEC: a YAML file, or a shipped one by its name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from mmctr_kit.datasets.imports.rules import parse_rule
from mmctr_kit.datasets.imports.sources import find_sources, find_table
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.errors import UsageError, did_you_mean
from mmctr_kit.yaml_files import apply_setting, explain_all, parse_yaml, read_yaml

_POSITIVE, _NEGATIVE = "interactions.positive", "interactions.negative"
SHIPPED = Path(__file__).with_name("specs")


def find_spec(name_or_path: str) -> Path:
    """The file of a SPEC: a path, or the name of a shipped one; UsageError if there is none."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            hint = did_you_mean(path.name, (p.name for p in path.parent.glob("*.y*ml")))
            raise UsageError(f"no SPEC at '{path}'{hint}; expected a YAML file")
        return path
    known = shipped()
    if name_or_path not in known:
        raise UsageError(
            f"no SPEC '{name_or_path}'{did_you_mean(name_or_path, known)}; expected a YAML file, "
            f"or a shipped one: {', '.join(known)}"
        )
    return known[name_or_path]


def load_shipped(name: str, settings: Sequence[str] = ()) -> Spec:
    """Read a shipped SPEC whose files are in the working folder; errors as :func:`load_spec`.

    If the log is not there, the error says how to name its folder.
    """
    spec = load_spec(shipped()[name], settings)
    try:
        find_sources(spec.interactions, Path(), "interactions.files")
    except UsageError as e:
        raise UsageError(
            f"no file '{', '.join(spec.interactions.files)}' in this folder; {name} is a shipped "
            "SPEC: name the folder of its files with --from DIR (in Python: source)"
        ) from e
    return spec


def load_spec(path: Path, settings: Sequence[str] = ()) -> Spec:
    """Read a SPEC, with ``settings`` ('a.b=v') applied.

    Raises UsageError, in one line, for broken YAML, an unknown key or a bad value.
    """
    return _with_settings(read_yaml(path, "SPEC"), settings, str(path))


@dataclass(frozen=True)
class GuessedSpec:
    """A SPEC that was guessed: ``notes`` for the user, and the rules that nobody gave."""

    spec: Spec
    notes: tuple[str, ...]
    guessed_rules: tuple[str, ...]


def guess_spec(tables: Sequence[Path], settings: Sequence[str] = ()) -> GuessedSpec:
    """The SPEC that a log, and a table of items, seem to need, with ``settings`` applied.

    A guessed negative rule that could overlap a given positive one is replaced by its complement.

    Raises UsageError if it still has a key to be filled in, and as :func:`load_spec` does.
    """
    from mmctr_kit.datasets.imports.guess import FILL_IN, guess_with_notes

    where = f"the guess for {', '.join(map(str, tables))}"
    for path, key in zip(tables, ("the log", "the items table (--items)"), strict=False):
        find_table(path, key)
    text, notes = guess_with_notes(tables)
    given = {setting.partition("=")[0].strip() for setting in settings}
    content = parse_yaml(text)
    if "interactions.time" in given:
        content["interactions"].pop("time_unit", None)  # it is that of the guessed column
    spec = _with_settings(content, settings, where)
    if open_keys := [key for key, value in _leaves(spec.model_dump()) if value == FILL_IN]:
        raise UsageError(
            f"{where} cannot tell {', '.join(open_keys)}; give --set {open_keys[0]}=..., or write "
            "a SPEC: mmctr-kit data import --guess"
        )
    rules = tuple(key for key in (_POSITIVE, _NEGATIVE) if key not in given)
    if rules == (_NEGATIVE,) and (others := _other_negatives(spec)):
        notes[_NEGATIVE] = (
            f"negatives are '{others}', since the guessed '{spec.interactions.negative}' could fit "
            f"given positives too; give --set {_NEGATIVE}=RULE for another"
        )
        log = spec.interactions.model_copy(update={"negative": others})
        spec = spec.model_copy(update={"interactions": log})
    return GuessedSpec(spec, tuple(n for key, n in notes.items() if key not in given), rules)


def _other_negatives(spec: Spec) -> str | None:
    """The complement of the positive rule if the guessed negative one could overlap it."""
    log = spec.interactions
    if log.positive is None or log.negative is None:
        return None
    positive, guessed = parse_rule(log.positive), parse_rule(log.negative)
    return None if positive.is_above(guessed) else str(positive.complement())


def _leaves(content: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _with_settings(content: dict[str, Any], settings: Sequence[str], where: str) -> Spec:
    for setting in settings:
        apply_setting(content, setting)
    shown = f" with --set {' '.join(settings)}" if settings else ""
    return parse_spec(content, f"{where}{shown}")


def parse_spec(content: dict[str, Any], where: str) -> Spec:
    """Validate ``content``; ``where`` names it in the one line of an UsageError."""
    try:
        return Spec.model_validate(content)
    except ValidationError as e:
        faults = "; ".join(explain_all(e, content, (), _keys_at))
        raise UsageError(f"{where}: {faults}") from e


def shipped() -> dict[str, Path]:
    """The shipped SPECs by name."""
    return {p.stem: p for p in sorted(SHIPPED.glob("*.yaml"))}


def _keys_at(place: Sequence[Any]) -> list[str]:
    block: Any = Spec
    for key in place:
        block = block.model_fields[key].annotation
        block = next((t for t in (*get_args(block), block) if hasattr(t, "model_fields")), block)
    return list(getattr(block, "model_fields", ()))
