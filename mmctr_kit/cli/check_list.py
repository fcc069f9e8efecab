"""The ``--list`` option of commands that check something: what they check, without checking."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from mmctr_kit.cli.output import print_json, table

if TYPE_CHECKING:
    from mmctr_kit.audit.findings import CheckInfo


def _data(context: typer.Context, wanted: bool) -> None:
    if wanted:
        from mmctr_kit.audit.check import CHECKS

        _show(CHECKS.values(), context)


def _submission(context: typer.Context, wanted: bool) -> None:
    if wanted:
        from mmctr_kit.submission.checks.catalog import CHECKS, RULES

        _show([*CHECKS.values(), *RULES.values()], context)


def _show(checks: Iterable["CheckInfo"], context: typer.Context) -> None:
    """Prints each check's id, worst level and promise, and ends the command."""
    rows = [(c.id, c.worst.value, c.promise) for c in checks]
    keys = ("id", "worst", "promise")
    if context.params["as_json"]:
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        table(("check", "at worst", "it passes if"), rows, left=3)
    raise typer.Exit


_HELP = "List the checks, run none."

ListDataChecks = Annotated[bool, typer.Option("--list", callback=_data, help=_HELP)]
ListSubmissionChecks = Annotated[bool, typer.Option("--list", callback=_submission, help=_HELP)]
