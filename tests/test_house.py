"""The house: who may import whom, and what nothing may import before it must."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmctr_kit.training.gpu_probe import may_have_gpu

PACKAGE = Path(__file__).parent.parent / "mmctr_kit"

LINE = (
    "errors",
    "files",
    "processes",
    "metrics",
    "data",
    "models",
    "datasets",
    "audit",
    "recipe",
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
    "api",
    "cli",
)
"""Each part may import those before it, and itself."""

HEAVY = {
    "torch": ("models", "training", "items", "bench"),
    "lightgbm": ("ensemble", "audit"),
    "optuna": ("tuning",),
}
ALSO = {
    # They name its version in the manifest, read its files, and test models.
    "torch": {"cv/plan.py", "importers/checkpoint.py", "testing.py"},
    "lightgbm": {"models/gbdt.py"},
    "optuna": set[str](),
}
BEFORE_USE = ("torch", "lightgbm", "optuna", "pandas", "sklearn", "scipy", "matplotlib", "jinja2")


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part not in ("__init__", "__main__"):
            yield part, path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield str(node.module)
            if node.module == "mmctr_kit":
                yield from (f"mmctr_kit.{alias.name}" for alias in node.names)


def test_every_part_has_its_place_on_the_line() -> None:
    assert {part for part, _ in modules()} == set(LINE)


def test_imports_point_down_the_line_only() -> None:
    wrong = []
    for part, path in modules():
        for name in imports(path):
            pieces = name.split(".")
            if pieces[0] != "mmctr_kit" or len(pieces) == 1 or pieces[1] == "__version__":
                continue
            if LINE.index(pieces[1]) > LINE.index(part):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("library", sorted(HEAVY))
def test_a_heavy_library_is_imported_only_where_it_belongs(library: str) -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for part, path in modules()
        for name in imports(path)
        if name.split(".")[0] == library and part not in HEAVY[library]
    }
    assert found <= ALSO[library]


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


def test_importing_the_package_costs_nothing() -> None:
    """Under 0.1 s, as the interpreter measures it; nothing heavy until a function needs it."""
    code = (
        "import sys, mmctr_kit\n"
        f"print([m for m in (*{BEFORE_USE!r}, 'numpy', 'pyarrow') if m in sys.modules])\n"
        "mmctr_kit.cross_validate, mmctr_kit.Recipe, mmctr_kit.Run\n"
        f"print([m for m in {BEFORE_USE!r} if m in sys.modules])\n"
    )
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
    (line,) = [line for line in done.stderr.splitlines() if line.endswith("| mmctr_kit")]
    assert int(line.split("|")[1]) < 100_000


@pytest.mark.parametrize(
    "arguments",
    [
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
    ],
    ids=lambda a: " ".join(a),
)
def test_help_and_mistakes_load_nothing_heavy(arguments: tuple[str, ...], tiny_root: Path) -> None:
    assert loaded_by(*(str(tiny_root / "data") if a == "TINY" else a for a in arguments)) == set()


def test_what_ends_at_a_run_that_is_there_loads_nothing_heavy(
    tiny_root: Path, tmp_path: Path
) -> None:
    runs = str(tmp_path / "runs")
    command = ("cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", runs)
    once = ("--set", "training.epochs=1", "--set", "folds.count=2", "--jobs", "1")
    assert "torch" in loaded_by(*command, *once)
    assert loaded_by(*command, *once) == set()
    assert loaded_by(*command, *once, "--set", "training.epochs=2") == set()


def test_files_and_functions_stay_small_enough_to_read() -> None:
    long = [
        str(p.relative_to(PACKAGE))
        for _, p in modules()
        if len(p.read_text("utf-8").splitlines()) > 350
    ]
    assert long == []
