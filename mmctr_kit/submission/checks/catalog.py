"""The checks of ``submit --check``, in the order in which they are reported.

FAIL: the organisers' scorer might refuse or misread the file. WARN: it would be scored, but it
looks like a mistake, or the task's rules may not allow it.
"""

from mmctr_kit.audit.findings import CheckInfo, Level, catalogue

_FAIL, _WARN, _PASS = Level.FAIL, Level.WARN, Level.PASS

CHECKS = catalogue(
    CheckInfo("file-readable", _FAIL, "FILE is a regular, readable file of plausible size"),
    CheckInfo("zip-format", _FAIL, "FILE is a zip whose directory can be read"),
    CheckInfo("zip-extra-bytes", _FAIL, "no bytes before the zip's start or after its end"),
    CheckInfo("zip-members", _FAIL, "the zip holds one member and nothing else"),
    CheckInfo("zip-name", _FAIL, "the member is named prediction.csv, at the root"),
    CheckInfo("zip-kind", _FAIL, "the member is a regular file, not a folder or link"),
    CheckInfo("zip-encryption", _FAIL, "the member needs no password"),
    CheckInfo("zip-method", _FAIL, "the member is stored or deflated, which every reader opens"),
    CheckInfo("zip-bomb", _FAIL, "the member unpacks to a plausible size"),
    CheckInfo("zip-data", _FAIL, "the member's headers, size and CRC agree with its bytes"),
    CheckInfo("csv-encoding", _FAIL, "UTF-8 text without a byte order mark or NUL bytes"),
    CheckInfo("csv-line-ends", _FAIL, "lines end in LF or CRLF, the same everywhere"),
    CheckInfo("csv-separator", _FAIL, "columns are separated by commas"),
    CheckInfo("csv-quotes", _FAIL, "no quotes around names or numbers"),
    CheckInfo("csv-blank-lines", _FAIL, "no blank lines"),
    CheckInfo("csv-header", _FAIL, "the first line is a header that starts with ID"),
    CheckInfo("csv-columns", _FAIL, "besides ID only task columns, each once, at least one"),
    CheckInfo("csv-fields", _FAIL, "every row has as many fields as the header"),
    CheckInfo("row-count", _FAIL, "one row for each row of the test set"),
    CheckInfo("id-integer", _FAIL, "every ID is written as a plain integer"),
    CheckInfo("id-unique", _FAIL, "no ID occurs twice"),
    CheckInfo("id-complete", _FAIL, "every ID of the test set occurs, and no other"),
    CheckInfo("id-order", _FAIL, "IDs ascend"),
    CheckInfo("score-missing", _FAIL, "no value is empty or a word for 'missing'"),
    CheckInfo("score-number", _FAIL, "every value is a plain decimal number"),
    CheckInfo("score-finite", _FAIL, "no value is NaN or infinite"),
    CheckInfo("score-range", _FAIL, "every value is in [0, 1]"),
    CheckInfo(
        "score-constant", _FAIL, "a column varies; other columns may be constant placeholders"
    ),
    CheckInfo("score-hard-labels", _WARN, "scores, not labels: more than the values 0 and 1"),
    CheckInfo("score-ties", _WARN, "at most 1 % of the rows share their score with another"),
    CheckInfo("score-identical", _PASS, "says if two task columns hold the same scores"),
    CheckInfo("score-sorted", _WARN, "scores do not rise or fall along the file"),
    CheckInfo(
        "rank-correlation", _WARN, "ranks agree with those of existing runs, along the whole file"
    ),
    CheckInfo(
        "rows-aligned",
        _WARN,
        "scores follow the row's item: rows are not shuffled, even in part, and not reversed",
    ),
)
"""What the organisers' scorer and plausibility say of a file."""

RULES = catalogue(
    CheckInfo(
        "rule-task1-model", _WARN, "Task1: the model is the official DIN; only dropout may differ"
    ),
    CheckInfo(
        "rule-task1-training", _WARN, "Task1: of the training only the four named settings differ"
    ),
    CheckInfo("rule-task1-blend", _WARN, "Task1: one model, not a blend of several runs"),
    CheckInfo(
        "rule-task2-embedding",
        _WARN,
        "Task2: the item embedding is one of the four in item_emb.parquet",
    ),
    CheckInfo("rule-transductive", _PASS, "says if a row's score depends on other rows of test"),
    CheckInfo("rule-unchecked", _WARN, "the recipe of every run behind the file can be checked"),
)
"""What the organisers' rules say of the run that a file is written from."""
