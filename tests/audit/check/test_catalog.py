"""mmctr_kit.audit.check.catalog: the checks that a data folder is put to."""

import ast
from pathlib import Path

from mmctr_kit.audit import check
from mmctr_kit.audit.check.catalog import CHECKS
from mmctr_kit.audit.profile import PROBES
from mmctr_kit.data.contract import FILES

SOURCES = [p for p in Path(check.__file__).parent.glob("*.py") if p.name != "catalog.py"]


def test_ids_are_kebab_case_and_promises_one_line() -> None:
    for info in (*CHECKS.values(), *PROBES.values()):
        assert info.id.replace("-", "").isalpha()
        assert info.promise
        assert info.promise.isprintable()
        assert set(info.reads) <= set(FILES)


def test_every_check_of_the_catalogue_is_written_somewhere_and_no_other() -> None:
    nodes = [node for p in SOURCES for node in ast.walk(ast.parse(p.read_text()))]
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert set(CHECKS) <= texts
    calls = [
        n
        for n in nodes
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr in ("fail", "warn", "passed")
    ]
    named = {c.args[0].value for c in calls if isinstance(c.args[0], ast.Constant)}
    assert len(calls) > 80
    assert named <= set(CHECKS)
