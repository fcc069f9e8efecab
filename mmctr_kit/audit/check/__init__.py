"""``data check``: is a data folder complete, aligned and sane?

Each check has a fixed id in :data:`CHECKS`. A check whose input is unreadable is reported as not
run; one whose optional file is absent as skipped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mmctr_kit.audit.check.alignment import alignment_findings
from mmctr_kit.audit.check.files import file_findings, image_findings, memory_findings
from mmctr_kit.audit.check.history_order import order_findings
from mmctr_kit.audit.check.item_files import item_findings, read_items
from mmctr_kit.audit.check.item_values import (
    count_items,
    embedding_findings,
    id_findings,
    incomplete,
    tag_findings,
)
from mmctr_kit.audit.check.leaks import leak_findings
from mmctr_kit.audit.check.row_values import copy_findings, length_findings, level_findings
from mmctr_kit.audit.check.rows import read_rows, row_findings
from mmctr_kit.audit.check.source import Source, probe
from mmctr_kit.audit.check.users import read_sequences, user_findings
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import FILES, SPLITS
from mmctr_kit.data.path_hints import refuse_neighbour
from mmctr_kit.errors import UsageError


@dataclass(frozen=True)
class Check:
    """The highest ``level`` a check can reach, its ``meaning``, and the files it ``reads``."""

    level: Level
    meaning: str
    reads: tuple[str, ...]


_ITEMS = ("item_info", "item_feature", "item_emb")
_FAIL, _WARN = Level.FAIL, Level.WARN
_MEND = "mend what failed above, then check again"

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "files-needed": Check(_FAIL, "train, valid, test and item_info are there", ()),
        "files-optional": Check(_WARN, "what the absence of an optional file narrows", ()),
        "files-readable": Check(_FAIL, "each file opens and reads through to its end", ()),
        "columns-present": Check(_FAIL, "each column once; further columns are ignored", ()),
        "column-kinds": Check(
            _FAIL, "integers, texts and arrays of the right kind; array or list, any width", ()
        ),
        "no-nulls": Check(_FAIL, "no nulls, in columns or inside arrays", ()),
        "row-counts": Check(
            _FAIL, "no file is empty; item files have one row for each item; sizes reported", ()
        ),
        "array-widths": Check(_FAIL, "an embedding has the same length in every row", ()),
        "item-ids-unique": Check(_FAIL, "each item once in each item file", _ITEMS),
        "item-ids-complete": Check(
            _FAIL, "item ids 0..n in item_info, 1..n in the others, none left out", _ITEMS
        ),
        "item-ids-sorted": Check(_FAIL, "item files are in the order of their ids", _ITEMS),
        "padding-row": Check(_FAIL, "item_info has item 0, all zeros", ("item_info",)),
        "tag-ids": Check(
            _FAIL,
            "tag ids are not negative, nor beyond 10 million in item_info; over 100 times as "
            "large as there are tags: WARN",
            ("item_info", "item_feature"),
        ),
        "left-padding-tags": Check(_FAIL, "item_info's tags are padded on the left", _ITEMS[:1]),
        "embeddings-finite": Check(
            _FAIL,
            "no NaN, no infinity, no value over 1e18; 10,000 times beyond other items': WARN",
            _ITEMS,
        ),
        "embeddings-zero": Check(
            _FAIL,
            "items without a vector: WARN, over half FAIL; an optional column "
            "that is zero throughout: WARN",
            _ITEMS,
        ),
        "embeddings-duplicate": Check(
            _WARN, "items that repeat another's vector: over 1 %", _ITEMS
        ),
        "item-info-alignment": Check(
            _FAIL,
            "item_info's embedding is item_emb's v3 by item id, its tags item_feature's: shifted "
            "or re-sorted files FAIL, an embedding of one's own WARN",
            ("item_info", "item_emb"),
        ),
        "item-feature-alignment": Check(
            _FAIL,
            "text agrees with v1 and image with v2 by item id: shifted or re-sorted files "
            "FAIL, without any relation WARN",
            ("item_feature", "item_emb"),
        ),
        "test-ids": Check(_FAIL, "test's ID is 0..n-1 in order", ("test",)),
        "user-ids": Check(_WARN, "user_id is not negative", SPLITS),
        "left-padding-history": Check(_FAIL, "histories are padded on the left", SPLITS),
        "history-length": Check(
            _FAIL,
            "histories have 3 to 64 items, long ones in each split; over half of a split's empty: "
            "FAIL",
            SPLITS,
        ),
        "history-ids": Check(
            _FAIL, "histories and item_seq.parquet hold known items", (*SPLITS, "item_info")
        ),
        "target-ids": Check(_FAIL, "item_id is a known item", (*SPLITS, "item_info")),
        "target-in-history": Check(_WARN, "share of rows with the target in its history", SPLITS),
        "history-order": Check(
            _FAIL,
            "a sample of users' histories run as item_seq.parquet does: proven backwards FAIL; "
            "perhaps backwards, in another order or cut at the recent end WARN",
            (*SPLITS, "item_seq"),
        ),
        "levels-range": Check(
            _FAIL, "likes_level and views_level in 1..10; 0 in item_feature: WARN", SPLITS
        ),
        "levels-agree": Check(
            _WARN, "levels in rows are those of item_feature", (*SPLITS, "item_feature")
        ),
        "labels": Check(_FAIL, "labels are 0 and 1, both of them", ("train", "valid")),
        "label-mean": Check(_WARN, "the label mean; far from 0.25: WARN", ("train", "valid")),
        "split-users": Check(_WARN, "no user in two of the splits", SPLITS),
        "rows-per-user": Check(_WARN, "4 rows a user, one of them positive (train)", SPLITS),
        "shared-history": Check(_WARN, "a user's rows share one history", SPLITS),
        "duplicate-rows": Check(
            _FAIL,
            "no user and item twice in a split: WARN; over 1 % of the rows of valid or test in "
            "train too: FAIL",
            SPLITS,
        ),
        "conflicting-labels": Check(_WARN, "no user and item with both labels", ("train", "valid")),
        "unseen-items": Check(_WARN, "rows whose item is no target in train: over 10 %", SPLITS),
        "item-seq-targets": Check(
            _WARN, "item_seq.parquet does not hold the rows' targets", (*SPLITS, "item_seq")
        ),
        "leaks": Check(
            _WARN,
            "nothing tells labels, or splits, that should not: the quick probes of `data profile`",
            (*SPLITS, "item_info"),
        ),
        "images": Check(_WARN, "every item has an image, none an empty file", ()),
        "memory": Check(_WARN, "memory that loading takes, against what is free", ()),
    }
)
"""Every check in the order it is reported; the docs' table is made from this."""


def check_data(folder: Path) -> list[Finding]:
    """Every check of :data:`CHECKS` on ``folder``, at least one finding each, in its order.

    A check that passed is one finding; else there is one for each thing that did not pass.

    Reads every file through, in batches. Raises UsageError where there is no such folder or the
    one above or below it is meant, and nothing for anything the folder holds.
    """
    if not folder.is_dir():
        raise UsageError(f"no data folder at '{folder}'; expected the folder of the download")
    refuse_neighbour(folder)
    sources = {key: probe(folder, key) for key in FILES}
    items = read_items(sources)
    n_items = count_items(items)
    found = [*file_findings(folder, sources, n_items, incomplete(items))]
    found += [*image_findings(folder, n_items), *id_findings(items)]
    found += [*item_findings(items), *embedding_findings(items), *alignment_findings(items)]
    found += tag_findings(items)
    feature = items.pop("item_feature")
    items.clear()  # the vectors, before the rows come
    sequences = read_sequences(sources["item_seq"])
    sample = None if sequences is None else sequences.sample
    rows = read_rows(sources, n_items, None if sample is None else sample.users)
    strange = None if sequences is None else sequences.strange(n_items)
    found += row_findings(rows, n_items, strange)
    found += length_findings(rows)
    found += level_findings(rows, feature, sources["item_feature"])
    found += user_findings(rows, sequences)
    found += copy_findings(rows)
    found += order_findings(rows, sample)
    entries = sum(int(f.history.counts.sum()) for f in rows.values() if f.history is not None)
    del rows, sequences, sample
    memory = list(memory_findings(sources, entries))
    found += memory
    if any(f.level is not Level.PASS for f in memory):
        found.append(Finding("leaks", Level.PASS, "skipped: it loads the data; see memory", ""))
    elif failed := [f.id for f in found if f.level is Level.FAIL]:
        what = f"not run: it loads the data, and {failed[0]} failed"
        found.append(Finding("leaks", Level.WARN, what, _MEND))
    else:
        found += leak_findings(folder)
    return _in_order(found, sources)


def table() -> str:
    """The checks as a Markdown table for the docs: id, highest level, meaning."""
    lines = ["| check | at worst | what it looks at |", "|---|---|---|"]
    lines += [f"| `{name}` | {c.level.value} | {c.meaning} |" for name, c in CHECKS.items()]
    return "\n".join(lines)


def _in_order(found: Iterable[Finding], sources: Mapping[str, Source]) -> list[Finding]:
    by_check: dict[str, list[Finding]] = {name: [] for name in CHECKS}
    for finding in found:
        by_check[finding.id].append(finding)
    ordered: list[Finding] = []
    for name, findings in by_check.items():
        wrong = [f for f in findings if f.level is not Level.PASS]
        if wrong:
            ordered += wrong
        elif findings:
            ordered.append(Finding(name, Level.PASS, "; ".join(f.what for f in findings), ""))
        else:
            ordered.append(_not_run(name, CHECKS[name], sources))
    return ordered


def _not_run(name: str, check: Check, sources: Mapping[str, Source]) -> Finding:
    absent = [k for k in check.reads if not sources[k].file.needed and not sources[k].present]
    if absent:
        return Finding(name, Level.PASS, f"skipped: no {FILES[absent[0]].path}", "")
    what = f"not run: what it reads of {', '.join(check.reads) or 'any file'} is absent or faulty"
    return Finding(name, Level.WARN, what, _MEND)
