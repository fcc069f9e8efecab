"""Every error message of the package has a test, or stands in a list with the reason why not.

A message is tested if some test holds a run of its letters that no other message has. That is found
by reading the code, so that whoever adds a ``raise`` is told at once.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "mmctr_kit"

RUN = 12
"""How many letters of a message a test must name at least."""

UNTESTED: Mapping[str, str] = {
    "mmctr_kit/api/overview.py: RunError: ": "passed",
    "mmctr_kit/api/preflight.py: DataError: ": "passed",
    "mmctr_kit/cv/estimate.py: RunError: ": "passed",
    "mmctr_kit/datasets/imports/bad_cells.py: DataError: ": "passed",
    "mmctr_kit/errors.py: MmctrKitError: ": "passed",
    "mmctr_kit/errors.py: UsageError: ": "passed",
    "mmctr_kit/processes.py: RunError: ": "passed",
    "mmctr_kit/tuning/trial.py: InvalidTrialError: ": "passed",
    "Ray is not installed; pip install 'mmctr-kit[ray]'": "cluster",
    " has no chat template, which says ": "extra",
    "no node of the Ray cluster at '": "cluster",
    "no node of the Ray cluster has ": "cluster",
    ": the data did not arrive (": "cluster",
    " failed (...); the same command goes on where it stopped": "cluster",
    "' cannot be fetched (the hub is not reached)": "network",
    "UsageError: '...' cannot be fetched (...)": "network",
    " does not parse as ": "unknown",
}
"""A part of ``FILE: ERROR: MESSAGE``, and in a word why no test names the message.

*passed*: the text is another error's, passed on. *cluster* and *network*: what provokes it is not
to be had where the tests run, or a test of the extra provokes it without naming its text.
*extra*: a model would be needed that is broken in this way. *unknown*: no input is known that
brings it.
"""


@dataclass(frozen=True)
class Message:
    """An error that the package makes, with the literal pieces of its text."""

    path: str
    line: int
    kind: str
    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        """The error and its message."""
        return f"{self.kind}: {'...'.join(self.pieces)}"

    def runs(self) -> set[str]:
        """Every run of :data:`RUN` letters of its pieces."""
        return {p[i : i + RUN] for p in self.pieces for i in range(len(p) - RUN + 1)}


def error_names() -> set[str]:
    """The package's own errors, and the one by which an option's callback refuses a value."""
    bases = {
        name: set(re.findall(r"\w+", of))
        for path in PACKAGE.rglob("*.py")
        for name, of in re.findall(r"^class (\w+)\((.*)\):", path.read_text("utf-8"), re.M)
    }
    names = {"MmctrKitError", "BadParameter"}
    while more := {name for name, of in bases.items() if of & names} - names:
        names |= more
    return names


def literals(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """The string constants in an expression, but those that format or look up a value."""
    for node in nodes:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.value
        elif isinstance(node, ast.FormattedValue):
            yield from literals([node.value] if isinstance(node.value, ast.IfExp) else [])
        elif not isinstance(node, ast.Call | ast.Subscript | ast.Compare):
            yield from literals(list(ast.iter_child_nodes(node)))


def text_of(call: ast.Call, scope: ast.AST, module: ast.Module) -> tuple[str, ...]:
    """The pieces of a message: of its arguments, or of a variable or function that makes it."""
    found = tuple(literals(call.args))
    if any(len(piece.strip()) > 3 for piece in found):
        return found
    inside = [node for argument in call.args for node in ast.walk(argument)]
    names = {node.id for node in inside if isinstance(node, ast.Name)}
    nodes: list[ast.AST] = []
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id in names for t in targets):
                nodes.append(node.value)
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            nodes += [n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value]
    return found + tuple(literals(nodes))


def calls(module: ast.Module) -> Iterator[tuple[ast.Call, ast.AST]]:
    """Every call of a module, with the innermost function around it."""
    waiting: list[tuple[ast.AST, ast.AST]] = [(module, module)]
    while waiting:
        node, scope = waiting.pop()
        if isinstance(node, ast.Call):
            yield node, scope
        scope = node if isinstance(node, ast.FunctionDef) else scope
        waiting += ((child, scope) for child in ast.iter_child_nodes(node))


def messages() -> list[Message]:
    names, found = error_names(), list[Message]()
    for path in sorted(PACKAGE.rglob("*.py")):
        module, where = (
            ast.parse(path.read_text("utf-8")),
            path.relative_to(PACKAGE.parent).as_posix(),
        )
        for call, scope in calls(module):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name in names and call.args:
                found.append(Message(where, call.lineno, name, text_of(call, scope, module)))
    return found


def corpus() -> str:
    """The tests' lines that hold strings, whole and without a regular expression's backslashes."""
    files = (p for p in TESTS.rglob("*.py") if p != Path(__file__))
    text = "\n".join(path.read_text("utf-8") for path in files).replace("\\", "")
    text = re.sub(r"\"\s*\n\s*[rf]{0,2}\"", "", text)
    return "\n".join({line.strip() for line in text.splitlines() if '"' in line})


@cache
def untested() -> list[Message]:
    every, text = messages(), corpus()
    owners = defaultdict[str, set[str]](set)
    for message in every:
        for run in message.runs():
            owners[run].add(message.text)
    own = {run for run, texts in owners.items() if len(texts) == 1}
    tested = {run for i in range(len(text) - RUN + 1) if (run := text[i : i + RUN]) in own}
    return [m for m in every if not m.runs() & tested and not _named_whole(m, own, text)]


def _named_whole(message: Message, own: set[str], text: str) -> bool:
    """Whether a test names the longest piece of a message that has no run of its own."""
    longest = max(message.pieces, key=len, default="").strip()
    return not message.runs() & own and bool(longest) and longest in text


def _listed(message: Message, part: str) -> bool:
    """Whether a part names the message; one that ends in a colon has no text of its own."""
    whole = f"{message.path}: {message.text}"
    return part == whole if part.endswith(": ") else part in whole


def test_every_error_message_has_a_test_or_is_listed() -> None:
    lacking = [
        f"{m.path}:{m.line}: {m.text}"
        for m in untested()
        if not any(_listed(m, part) for part in UNTESTED)
    ]
    assert lacking == [], (
        f"{len(lacking)} error messages have no test: provoke each in a test that names "
        f"{RUN} of its letters (pytest.raises(..., match=...)), or list it in UNTESTED"
    )


def test_the_list_names_no_message_that_is_tested_or_gone() -> None:
    left = untested()
    assert [part for part in UNTESTED if not any(_listed(m, part) for m in left)] == []
