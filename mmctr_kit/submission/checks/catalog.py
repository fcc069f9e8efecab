"""The checks of ``submit --check``, in the order in which they are reported.

FAIL: the organisers' scorer might refuse or misread the file. WARN: it would be scored, but it
looks like a mistake. What the task's rules allow is another table: ``submission/rules.py``.
"""

from dataclasses import replace
from functools import partial

from mmctr_kit.audit.findings import CheckInfo, Level, catalogue
from mmctr_kit.submission.spec import Spec, challenge

_warns = partial(CheckInfo, worst=Level.WARN)

CHECKS = catalogue(
    CheckInfo("file-readable", "FILE is a regular, readable file of plausible size"),
    CheckInfo("zip-format", "FILE is a zip whose directory can be read"),
    CheckInfo("zip-extra-bytes", "no bytes before the zip's start or after its end"),
    CheckInfo("zip-members", "the zip holds one member and nothing else"),
    CheckInfo("zip-name", "the member is at the root and has the expected name (prediction.csv)"),
    CheckInfo("zip-kind", "the member is a regular file, not a folder or link"),
    CheckInfo("zip-encryption", "the member needs no password"),
    CheckInfo("zip-method", "the member is stored or deflated, which every reader opens"),
    CheckInfo("zip-bomb", "the member unpacks to a plausible size"),
    CheckInfo("zip-data", "the member's headers, size and CRC agree with its bytes"),
    CheckInfo("csv-encoding", "UTF-8 text without a byte order mark or NUL bytes"),
    CheckInfo("csv-line-ends", "lines end in LF or CRLF, the same everywhere"),
    CheckInfo("csv-separator", "columns are separated by commas"),
    CheckInfo("csv-quotes", "no quotes around names or numbers"),
    CheckInfo("csv-blank-lines", "no blank lines"),
    CheckInfo("csv-header", "the first line is a header that starts with the ID column"),
    CheckInfo("csv-columns", "besides IDs only known score columns, each once, none lacking"),
    CheckInfo("csv-fields", "every row has as many fields as the header"),
    CheckInfo("row-count", "one row for each row of the test set"),
    CheckInfo("id-integer", "every ID is written as a plain integer"),
    CheckInfo("id-unique", "no ID occurs twice"),
    CheckInfo("id-complete", "every ID of the test set occurs, and no other"),
    CheckInfo("id-order", "IDs are in the test set's order"),
    CheckInfo("score-missing", "no value is empty or a word for 'missing'"),
    CheckInfo("score-number", "every value is a plain decimal number"),
    CheckInfo("score-finite", "no value is NaN or infinite"),
    CheckInfo("score-range", "every value is in the allowed range ([0, 1])"),
    CheckInfo("score-constant", "a column varies; other columns may be constant placeholders"),
    _warns("score-hard-labels", "scores, not labels: more than the values 0 and 1"),
    _warns("score-ties", "at most 1 % of the rows share their score with another"),
    CheckInfo("score-identical", "says if two columns hold the same scores", worst=Level.PASS),
    _warns("score-sorted", "scores do not rise or fall along the file"),
    _warns("rank-correlation", "ranks agree with those of existing runs, along the whole file"),
    _warns(
        "rows-aligned",
        "scores follow the row's item: rows are not shuffled, even in part, and not reversed",
    ),
)
"""What the organisers' scorer and plausibility say of a file."""

BY_LEDGER = catalogue(
    _warns("rules", "the ledger knows the run behind FILE, and it is there to check its rules"),
    _warns(
        "daily-attempts", "no more files were written today (UTC) for the task than may be sent"
    ),
)
"""What the ledger says of a file: ``rules`` if it is checked, attempts if it is written."""


def checks_of(spec: Spec) -> list[CheckInfo]:
    """The checks that apply to a spec's files; what the ledger says, to the challenge's only."""
    ids, of_challenge = spec.ids, spec == challenge()
    idle = {
        "zip-": spec.container == "csv",
        "id-integer": ids.like is not None,
        "id-order": ids.order == "any",
        "score-range": spec.values is None,
        "score-identical": len(spec.columns.names) < 2,
    }
    unused = tuple(name for name, is_idle in idle.items() if is_idle)
    checks = [check for check in CHECKS.values() if not check.id.startswith(unused)]
    if not of_challenge:
        return [replace(c, promise=c.promise.partition(" (")[0]) for c in checks]
    return [*checks, *BY_LEDGER.values()]
