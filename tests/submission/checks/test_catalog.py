"""mmctr_kit.submission.checks.catalog: the checks that a file is put to."""

import ast
from pathlib import Path

import mmctr_kit.submission
from mmctr_kit.submission.checks.catalog import BY_LEDGER, CHECKS

SOURCES = list(Path(mmctr_kit.submission.__file__).parent.rglob("*.py"))


def test_ids_are_kebab_case_and_promises_one_line() -> None:
    for check in (*CHECKS.values(), *BY_LEDGER.values()):
        assert check.id.replace("-", "").isalpha()
        assert 0 < len(check.promise) <= 90
        assert check.promise.isprintable()


def test_every_check_of_the_catalogue_is_written_somewhere_and_no_other() -> None:
    trees = [ast.parse(p.read_text()) for p in SOURCES if p.name != "catalog.py"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert {*CHECKS, *BY_LEDGER} <= texts
    calls = [
        n
        for n in nodes
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr in ("fail", "warn", "passed")
    ]
    named = {c.args[0].value for c in calls if isinstance(c.args[0], ast.Constant)}
    assert len(calls) > 80
    assert named <= {*CHECKS, *BY_LEDGER}
