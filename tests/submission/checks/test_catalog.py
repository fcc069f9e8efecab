"""mmctr_kit.submission.checks.catalog: the checks that a file and a run are put to."""

import ast
from pathlib import Path

import mmctr_kit.submission
from mmctr_kit.audit.findings import Level
from mmctr_kit.submission.checks.catalog import ATTEMPTS, CHECKS, RULES

SOURCES = list(Path(mmctr_kit.submission.__file__).parent.rglob("*.py"))


def test_ids_are_kebab_case_and_promises_one_line() -> None:
    for check in (*CHECKS.values(), *RULES.values(), *ATTEMPTS.values()):
        assert check.id.replace("-", "").replace("1", "").replace("2", "").isalpha()
        assert 0 < len(check.promise) <= 90
        assert check.promise.isprintable()
    assert not CHECKS.keys() & RULES.keys()


def test_rules_never_fail_a_file() -> None:
    assert Level.FAIL not in {rule.worst for rule in RULES.values()}


def test_every_check_of_the_catalogue_is_written_somewhere_and_no_other() -> None:
    trees = [ast.parse(p.read_text()) for p in SOURCES if p.name != "catalog.py"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert {*CHECKS, *RULES, *ATTEMPTS} <= texts
    calls = [
        n
        for n in nodes
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr in ("fail", "warn", "passed")
    ]
    named = {c.args[0].value for c in calls if isinstance(c.args[0], ast.Constant)}
    assert len(calls) > 80
    assert named <= {*CHECKS, *RULES, *ATTEMPTS}
