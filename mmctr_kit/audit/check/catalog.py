"""The checks of ``data check``, in the order in which they are reported."""

from functools import partial

from mmctr_kit.audit.findings import CheckInfo, Level, catalogue
from mmctr_kit.data.contract import SPLITS

_warns = partial(CheckInfo, worst=Level.WARN)
_LABELLED = ("train", "valid")
_INFO = ("item_info",)
_ITEMS = ("item_info", "item_feature", "item_emb")
_ROWS_INFO, _ROWS_SEQ = (*SPLITS, "item_info"), (*SPLITS, "item_seq")
_of_items = partial(CheckInfo, reads=_ITEMS)
_of_rows, _warns_of_rows = partial(CheckInfo, reads=SPLITS), partial(_warns, reads=SPLITS)

CHECKS = catalogue(
    CheckInfo("files-needed", "train, valid, test and item_info are present"),
    _warns("files-optional", "the optional files are present; says what each is for"),
    CheckInfo("files-readable", "each file opens and can be read to its end"),
    CheckInfo("columns-present", "each column is present once; further columns are ignored"),
    CheckInfo(
        "column-kinds", "columns have the right kind of values; arrays or lists, of any width"
    ),
    CheckInfo("no-nulls", "there are no nulls, in columns or inside arrays"),
    CheckInfo("row-counts", "no file is empty, and item files have one row for each item"),
    CheckInfo("array-widths", "an embedding has the same length in every row"),
    _of_items("item-ids-unique", "each item occurs once in each item file"),
    _of_items(
        "item-ids-complete", "item ids are 0..n in item_info and 1..n in the others, without a gap"
    ),
    _of_items("item-ids-sorted", "item files are sorted by item_id"),
    CheckInfo("padding-row", "item_info has item 0, all zeros", reads=_INFO),
    CheckInfo(
        "tag-ids",
        "tag ids are 0 to 10 million in item_info; over 100 times the number of tags: WARN",
        reads=("item_info", "item_feature"),
    ),
    CheckInfo("left-padding-tags", "item_info's tags are padded on the left", reads=_INFO),
    _of_items(
        "embeddings-finite",
        "no value is NaN, infinite or over 1e18; 10,000 times beyond other items': WARN",
    ),
    _of_items(
        "embeddings-zero",
        "items have vectors: some all zeros: WARN, over half FAIL; a whole optional column: WARN",
    ),
    _warns("embeddings-duplicate", "at most 1 % of items repeat another's vector", reads=_ITEMS),
    CheckInfo(
        "item-info-alignment",
        "item_info's embedding is item_emb's v3 by item id, and its tags are item_feature's: "
        "shifted or re-sorted files FAIL, an embedding of your own WARN",
        reads=("item_info", "item_emb"),
    ),
    CheckInfo(
        "item-feature-alignment",
        "text agrees with v1 and image with v2 by item id: shifted or re-sorted files FAIL, "
        "no relation at all WARN",
        reads=("item_feature", "item_emb"),
    ),
    CheckInfo("test-ids", "test's ID is 0..n-1 in order", reads=("test",)),
    _warns_of_rows("user-ids", "no user_id is negative"),
    _of_rows("left-padding-history", "histories are padded on the left"),
    _of_rows(
        "history-length",
        "histories have 3 to 64 items, and long ones in each split; over half of them empty: FAIL",
    ),
    CheckInfo(
        "history-ids", "histories and item_seq.parquet hold known items only", reads=_ROWS_INFO
    ),
    CheckInfo("target-ids", "item_id is a known item", reads=_ROWS_INFO),
    _warns_of_rows("target-in-history", "hardly any row has its target in its own history"),
    CheckInfo(
        "history-order",
        "histories of sampled users run as item_seq.parquet does: proven reversed FAIL; perhaps "
        "reversed, in another order, or cut at the recent end WARN",
        reads=_ROWS_SEQ,
    ),
    _of_rows("levels-range", "likes_level and views_level are 1..10; 0 in item_feature: WARN"),
    _warns("levels-agree", "levels of rows equal item_feature's", reads=(*SPLITS, "item_feature")),
    CheckInfo("labels", "labels are 0 and 1, and both occur", reads=_LABELLED),
    _warns("label-mean", "the label mean is within 0.05 of 0.25", reads=_LABELLED),
    _warns_of_rows("split-users", "no user is in two splits"),
    _warns_of_rows("rows-per-user", "train has 4 rows a user, one positive"),
    _warns_of_rows("shared-history", "all rows of a user have the same history"),
    _of_rows(
        "duplicate-rows",
        "no split repeats a user and item (WARN); over 1 % of valid's or test's rows in train: "
        "FAIL",
    ),
    _warns("conflicting-labels", "no user and item have both labels", reads=_LABELLED),
    _warns_of_rows(
        "unseen-items", "at most 10 % of the rows have an item that train never targets"
    ),
    _warns_of_rows("times", "no row of train is later than a split that comes after it"),
    _warns("item-seq-targets", "item_seq.parquet does not hold the rows' targets", reads=_ROWS_SEQ),
    _warns(
        "leaks",
        "nothing predicts labels, or the split, that should not (quick probes of `data profile`)",
        reads=_ROWS_INFO,
    ),
    _warns("images", "every item has an image, and none is an empty file"),
    _warns("memory", "loading needs less memory than is free"),
)
