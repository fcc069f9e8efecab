"""The house: who may import whom, what is imported before it must be, how large things are."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mmctr_kit.models.registry import SHIPPED
from mmctr_kit.training.gpu_probe import may_have_gpu

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "mmctr_kit"

ORDER = (
    "errors",
    "files",
    "yaml_files",
    "activity",
    "processes",
    "metrics",
    "data",
    "models",
    "datasets",
    "audit",
    "recipe",
    "embed",
    "items",
    "runs",
    "training",
    "testing",
    "submission",
    "ensemble",
    "cv",
    "importers",
    "report",
    "tuning",
    "ablation",
    "bench",
    "export",
    "api",
    "cli",
)
"""The rooms: each may import those before it, and itself."""

HEAVY = {
    "torch": ("models", "training", "embed", "bench", "testing"),
    "lightgbm": ("ensemble", "audit"),
    "optuna": ("tuning",),
    "ray": (),
    "submitit": (),
}
ALSO = {
    # The first names its version in the manifest, the second reads its files.
    "torch": {"cv/plan.py", "importers/checkpoint.py"},
    "lightgbm": {"models/gbdt.py"},
    "optuna": set[str](),
    "ray": {"cv/executors/ray_cluster.py", "cv/executors/ray_pool.py"},
    "submitit": {"cv/executors/slurm.py", "cv/executors/slurm_pool.py"},
}
BEFORE_USE = (
    "torch",
    "lightgbm",
    "optuna",
    "pandas",
    "sklearn",
    "scipy",
    "matplotlib",
    "jinja2",
    "PIL",
    "ray",
    "submitit",
)

TESTED_THROUGH = {
    "report/sections/": "report/sections/test_sections.py",
    # Each needs its tool: make test-extras.
    "export/mlflow.py": "extras/test_export.py",
    "export/tensorboard.py": "extras/test_export.py",
    "export/trackio.py": "extras/test_export.py",
    "export/wandb.py": "extras/test_export.py",
    "api/onnx.py": "extras/test_onnx.py",
    "cli/export_model.py": "extras/test_onnx.py",
    "api/removal.py": "api/test_overview.py",
    "api/report.py": "cli/test_report.py",
    "cv/executors/ray": "extras/test_ray.py",
    "cv/executors/slurm": "extras/test_slurm.py",
    "training/learner.py": "training/test_build.py",  # a protocol: its learners keep it
}
"""Modules, or folders of them, without a test module of their own: a file that tests them."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room not in ("__init__", "__main__"):
            yield room, path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    """The dotted name of a module of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_what_is_printed_goes_through_the_one_console_that_shows_control_characters() -> None:
    consoles, writers = [], []
    for _, path in modules():
        of = str(path.relative_to(PACKAGE))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                consoles += [of] if called.rpartition(".")[2] == "Console" else []
                writes = called in ("print", "typer.echo") or re.search(r"sys\.\w+\.write$", called)
                writers += [of] if writes else []
    assert consoles == []
    # JSON, which escapes; a SPEC as YAML, which does; lines that are made visible; the version.
    assert set(writers) == {"cli/app.py", "cli/output.py", "cli/verbosity.py"}


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room for room, _ in modules()} == set(ORDER)


def test_the_top_of_the_package_has_few_entries() -> None:
    entries = [p for p in PACKAGE.iterdir() if p.name not in ("__pycache__", "__init__.py")]
    rooms = {p.name for p in entries} - {"__main__.py", "py.typed"}
    assert len(rooms) <= 27


def test_imports_point_to_rooms_that_come_before() -> None:
    wrong = []
    for room, path in modules():
        for name in imports(path):
            pieces = name.split(".")
            other = pieces[1] if pieces[0] == "mmctr_kit" and len(pieces) > 1 else ""
            if other in ORDER and ORDER.index(other) > ORDER.index(room):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {name_of(path): path for _, path in modules()}
    graph = {
        name: {found for found in imports(path) if found in names and found != name}
        for name, path in names.items()
    }
    while leaves := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert graph == {}


@pytest.mark.parametrize("library", sorted(HEAVY))
def test_a_heavy_library_is_imported_only_where_it_belongs(library: str) -> None:
    importers = {
        str(path.relative_to(PACKAGE))
        for room, path in modules()
        for name in imports(path)
        if name.split(".")[0] == library and room not in HEAVY[library]
    }
    assert importers <= ALSO[library]


def loaded_by(*arguments: str) -> set[str]:
    """The modules of :data:`BEFORE_USE` that a command line has loaded when it ends."""
    code = (
        "import sys\n"
        "from mmctr_kit.cli.app import main\n"
        f"sys.argv = ['mmctr-kit', *{list(arguments)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [m for m in {BEFORE_USE!r} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.split("LOADED ")[1]))


COMMANDS: list[tuple[str, ...]] = [
    ("--help",),
    ("cv", "--help"),
    ("cv", "no_such_recipe", "--data", "nowhere"),
    ("cv", "din_demo", "--data", "nowhere"),
    ("cv", "din_demo", "--data", ".", "--set", "training.epoch=3"),
    ("ablate", "din_demo", "--data", "nowhere"),
    ("ablate", "din_demo", "--data", "TINY", "--only", "no_such"),
    ("tune", "din_demo", "--data", "nowhere"),
    (
        "tune",
        "din_demo",
        "--data",
        "TINY",
        "--set",
        "search={training.weight_decay: {choice: [1]}}",
    ),
    ("submit", "--check", "nowhere.zip"),
    ("bench", "--help"),
    ("bench", "--data", "nowhere"),
    *(() if may_have_gpu() else [("cv", "din_demo", "--data", ".", "--devices", "cuda")]),
    ("recipes",),
    ("report", "nowhere"),
    ("items", "quality", "nowhere"),
    ("items", "quality", "TINY", "--drop", "bad.csv", "--drop-checks", "no-such"),
]
EACH = f"""
import json, os, sys
import numpy, pydantic, rich.table, typer, yaml  # light, and loaded once for all
from mmctr_kit.cli.app import main
for command in json.loads(sys.argv[1]):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    sys.argv = ["mmctr-kit", *command]
    try:
        main()
    except SystemExit:
        print("LOADED", [m for m in {BEFORE_USE!r} if m in sys.modules], flush=True)
    finally:
        os._exit(0)
"""


@pytest.fixture(scope="module")
def loaded(tiny_root: Path) -> dict[tuple[str, ...], str]:
    """What each command has loaded when it ends: processes that begin when the app is imported."""
    lines = [[str(tiny_root / "data") if a == "TINY" else a for a in c] for c in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps(lines)], capture_output=True, text=True, check=True
    )
    found = re.findall(r"^LOADED (.*)$", done.stdout, re.MULTILINE)
    return dict(zip(COMMANDS, found, strict=True))


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda a: " ".join(a))
def test_help_and_mistakes_load_nothing_heavy(
    arguments: tuple[str, ...], loaded: dict[tuple[str, ...], str]
) -> None:
    assert loaded[arguments] == "[]"


@pytest.mark.slow
def test_what_ends_at_a_run_that_is_there_loads_nothing_heavy(
    tiny_root: Path, tmp_path: Path
) -> None:
    runs = str(tmp_path / "runs")
    command = ("cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", runs)
    once = ("--set", "training.epochs=1", "--set", "folds.count=2", "--jobs", "1")
    assert "torch" in loaded_by(*command, *once)
    assert loaded_by(*command, *once) == set()
    assert loaded_by(*command, *once, "--set", "training.epochs=2") == set()


ASKED = """
import importlib.abc, sys
class Recorder(importlib.abc.MetaPathFinder):
    asked = set()
    def find_spec(self, name, path, target=None):
        self.asked.add(name.partition(".")[0])
sys.meta_path.insert(0, Recorder())
from mmctr_kit.cli.app import main
try:
    main()
except SystemExit as e:
    print("ASKED", e.code, sorted(Recorder.asked))
"""


@pytest.mark.slow
def test_no_extra_is_imported_unless_it_is_asked_for(tiny_root: Path, tmp_path: Path) -> None:
    content = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]
    base = {re.split(r"[^\w-]", line)[0] for line in content["dependencies"]}
    extras = {
        re.split(r"[^\w-]", line)[0]
        for name, lines in content["optional-dependencies"].items()
        if name not in ("all", "dev", "test-extras")
        for line in lines
    }
    extras -= base | {"alembic"}  # Optuna brings that one
    names = {name.removesuffix("-skinny").replace("-", "_") for name in extras}
    assert {"psycopg", "mlflow", "sentence_transformers"} <= names
    # A search with its trials in a database reaches the rooms that have extras.
    command = ["tune", "din_demo", "--data", str(tiny_root / "data"), "--devices", "cpu"]
    command += ["--set", "training.epochs=1", "--set", "folds.count=2", "--jobs", "1"]
    command += ["--trials", "1", "--finalists", "0", "--runs", str(tmp_path / "runs")]
    command += ["--storage", f"sqlite:///{tmp_path}/tuning.db"]
    done = subprocess.run(
        [sys.executable, "-c", ASKED, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    code, asked = re.findall(r"^ASKED (\w+) (.*)$", done.stdout, re.MULTILINE)[0]
    assert code in ("None", "0"), done.stdout
    assert {"optuna", "torch", "sqlalchemy"} <= set(ast.literal_eval(asked))
    assert names & set(ast.literal_eval(asked)) == set()


def test_files_and_functions_stay_small_enough_to_read() -> None:
    long = [
        str(path.relative_to(PACKAGE))
        for _, path in modules()
        if len(path.read_text("utf-8").splitlines()) > 350
    ]
    assert long == []
    functions = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for _, path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef) and _lines(node) > 60
    ]
    assert functions == []


def _lines(function: ast.FunctionDef) -> int:
    """How many lines the body has: a signature's options and a docstring are read as a list."""
    body = function.body
    documented = ast.get_docstring(function) is not None
    if documented and len(body) == 1:
        return 0
    first = body[1 if documented else 0]
    assert function.end_lineno is not None
    return function.end_lineno - first.lineno + 1


def test_every_module_has_a_test_module_or_says_which_one_tests_it() -> None:
    for name, tested in TESTED_THROUGH.items():
        assert list(PACKAGE.glob(f"{name}*"))
        assert (TESTS / tested).is_file()
    models = {entry.target.partition(":")[0] for entry in SHIPPED.values()}
    lacking = []
    for _, path in modules():
        relative = path.relative_to(PACKAGE)
        if path.name == "__init__.py":
            if not any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in tree(path).body):
                continue
            relative = relative.parent.with_suffix(".py")
        if name_of(path) in models:
            continue  # the contract suite tests what the registry names
        own = TESTS / relative.with_name(f"test_{relative.name}")
        covered = any(relative.as_posix().startswith(name) for name in TESTED_THROUGH)
        if not own.is_file() and not covered:
            lacking.append(relative.as_posix())
    assert lacking == []


WORDS = re.compile(r"^(Of|The same|Those|Both|As|Also)\b|\b(told|crew|is to be had|put wrongly)\b")


def test_the_first_line_of_a_docstring_means_something_on_its_own() -> None:
    unclear = [
        f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}"
        for _, path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)
        and (text := ast.get_docstring(node)) is not None
        and WORDS.search(text.splitlines()[0])
    ]
    assert unclear == []


def test_an_uncertainty_is_a_standard_error() -> None:
    """Readers take "2 errors" for two mistakes."""
    unclear = [
        f"{path.name}:{number}: {line.strip()}"
        for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html"), TESTS.parent / "README.md"]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"(?<!standard )\berrors? (above|over|of the AUC|needed)\b", line)
    ]
    assert unclear == []


def test_only_an_estimate_writes_its_standard_error() -> None:
    """Elsewhere an unknown one would be shown as nan, and one of 0 as if it were measured."""
    elsewhere = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for _, path in modules()
        if path.name != "estimate.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"\{[\w.]*\bse:|± \{", line)
    ]
    assert elsewhere == []


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import json, sys, time; began = time.process_time(); import mmctr_kit;"
        "print(json.dumps([time.process_time() - began, sorted(sys.modules)]))"
    )
    tries = [
        json.loads(
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        )
        for _ in range(3)
    ]
    assert min(seconds for seconds, _ in tries) < 0.1
    assert not {"torch", "lightgbm", "optuna", "pandas", "numpy", "typer"} & set(tries[0][1])
