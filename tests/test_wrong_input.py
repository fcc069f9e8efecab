"""Wrong input of every kind, each with the one line that it brings.

A case is a name, the error and a part of its message, and what provokes it in a new folder.
Messages that need a run, a cluster or a library have their tests where these are at hand.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.datasets.imports.bad_cells import BadCellsError
from mmctr_kit.errors import DataError, MmctrKitError, RunError, UsageError

Provoke = Callable[[Path, ChallengeData], object]
Case = tuple[type[MmctrKitError], str, Provoke]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def damaged_parquet(folder: Path) -> Path:
    """A parquet file whose footer is whole and whose pages are not."""
    path = folder / "damaged.parquet"
    ids = np.random.default_rng(0).integers(0, 1 << 60, 20_000)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(ids.astype(np.float64)), 1)
    pq.write_table(pa.table({"item_id": ids, "vector": vectors}), path, compression="snappy")
    content = bytearray(path.read_bytes())
    content[100 : len(content) // 2] = bytes(len(content) // 2 - 100)
    path.write_bytes(content)
    return path


def table_of(
    folder: Path, name: str, content: str | bytes, *columns: str, named: bool = True
) -> list[Any]:
    """The batches of a table of the importer, whose file names its columns or not."""
    from mmctr_kit.datasets.imports.sources import find_sources
    from mmctr_kit.datasets.imports.spec import Table
    from mmctr_kit.datasets.imports.tables import read_batches

    written(folder, name, content)
    table = Table(files=(name,), columns=None if named else columns)
    return list(read_batches(table, find_sources(table, folder, "files"), columns))


def batch(folder: Path, **columns: Any) -> Any:
    from mmctr_kit.datasets.imports.sources import Source
    from mmctr_kit.datasets.imports.tables import Batch

    return Batch(Source(folder / "log.csv"), 1, {k: pa.array(v) for k, v in columns.items()})


# What the importer says of logs and SPECs.


def empty_id(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.datasets.imports.cells import ids

    return ids(batch(folder, user=["a", " ", "b"]), "user", True)


def empty_time(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.datasets.imports.cells import moments

    times = pa.array([0, None], pa.timestamp("ms"))
    return moments(batch(folder, time=times), "time", "iso")


def recent_without_dates(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.datasets.imports.draw import Draw
    from mmctr_kit.datasets.imports.spec import Rows

    log = cast(Any, SimpleNamespace(calendar=False))
    return Draw.of(log, Rows.model_construct(negatives="recent"), 0)


def dates_of_an_order(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.datasets.imports.spec import Split
    from mmctr_kit.datasets.imports.splits import _cuts

    moments = {"valid": datetime(2025, 1, 1, tzinfo=UTC), "test": datetime(2025, 2, 1, tzinfo=UTC)}
    return _cuts(np.arange(9), Split(by="time", **moments), False)


def no_file_of_a_spec(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.datasets.imports.sources import find_sources
    from mmctr_kit.datasets.imports.spec import Table

    return find_sources(Table(files=("nowhere.csv",)), folder, "interactions.files")


def unknown_spec(name: str) -> Provoke:
    def find(folder: Path, _: ChallengeData) -> object:
        from mmctr_kit.datasets.imports.load import find_spec

        return find_spec(str(folder / name) if name.endswith(".yaml") else name)

    return find


def cut_gzip(folder: Path, _: ChallengeData) -> object:
    import gzip

    content = gzip.compress(b"user,item\n" + b"1,2\n" * 50_000)
    return table_of(folder, "log.csv.gz", content[:-40], "user")


def ready_vectors(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.datasets.imports.spec import Vectors
    from mmctr_kit.datasets.imports.vectors import read_vectors

    wanted = Vectors.model_construct(text="nowhere.npy", image=None, ids=None)
    return read_vectors(wanted, folder, cast(Any, None), None)


def vector_twice(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.datasets.imports.vectors import _rows_of

    class Index:
        def __len__(self) -> int:
            return 2

        def name(self, at: int) -> str:
            return f"i{at}"

    return _rows_of(np.array([0, 1, 1]), cast(Any, Index()), "vectors.ids")


def log_with_a_source(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit import import_data

    return import_data("log.csv", folder / "out", source="elsewhere")


IMPORTS: dict[str, Case] = {
    "an id is empty": (BadCellsError, "no user; expected an id in every row", empty_id),
    "a time is empty": (BadCellsError, "no time; expected a time in every row", empty_time),
    "recent without dates": (
        DataError,
        "interactions.time tells no dates",
        recent_without_dates,
    ),
    "dates of an order": (DataError, "interactions.time only tells an order", dates_of_an_order),
    "a file is absent": (UsageError, "interactions.files: no file '", no_file_of_a_spec),
    "no shipped SPEC": (UsageError, "or a shipped one: ", unknown_spec("movielns")),
    "no SPEC": (UsageError, "no SPEC at '.*; expected a YAML file", unknown_spec("a.yaml")),
    "a log and a folder": (UsageError, "source goes with a SPEC; found", log_with_a_source),
    "a gzip is cut": (DataError, r"cannot be read to its end \(", cut_gzip),
    "no vectors": (UsageError, "expected a .npy or parquet file", ready_vectors),
    "vectors twice": (DataError, "vectors.ids has item 'i1' twice; expected it once", vector_twice),
    "a line is no JSON": (
        DataError,
        "line 2 is no JSON .*; expected an object a line",
        lambda folder, _: table_of(folder, "log.jsonl", '{"user": 1}\n{"user": \n', "user"),
    ),
    "a line is no object": (
        DataError,
        "line 2: expected an object in braces",
        lambda folder, _: table_of(folder, "log.jsonl", '{"user": 1}\n7\n', "user"),
    ),
    "a column twice": (
        DataError,
        "log.csv has column user twice; expected it once",
        lambda folder, _: table_of(folder, "log.csv", "user,user\n1,2\n", "user"),
    ),
    "a table without rows": (
        DataError,
        "holds no row; expected one an interaction or item",
        lambda folder, _: table_of(folder, "log.csv", "", "user", named=False),
    ),
    "no seed": (
        UsageError,
        "the seed is -1; expected 0 or more",
        lambda folder, _: _synth(folder),
    ),
}


def _synth(folder: Path) -> None:
    from mmctr_kit.datasets.synth import PRESETS, generate

    generate(folder / "world", PRESETS["tiny"], seed=-1)


# What is said of data files and item vectors.


def vectors_of(ids: list[int], values: list[float]) -> Provoke:
    def place(_: Path, __: ChallengeData) -> object:
        from mmctr_kit.data.load import by_item_id
        from mmctr_kit.data.ragged import Ragged

        each = np.array(values, np.float32)
        vectors = Ragged(each, np.arange(len(each) + 1))
        return by_item_id(np.array(ids), vectors, 2, "mine.parquet: vector")

    return place


def damaged_vectors(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.data.parquet import read_vectors

    return read_vectors(damaged_parquet(folder), "item_id", "vector")


def no_parquet(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.data.parquet import column_names

    return column_names(written(folder, "x.parquet", b"PAR1" + bytes(50) + b"PAR1"))


def unhashed(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.data.cache import content_hash

    return content_hash(folder / "nowhere.parquet")


def one_label(_: Path, data: ChallengeData) -> object:
    from mmctr_kit.cv.fold import FoldRows
    from mmctr_kit.cv.plan import _require_classes
    from mmctr_kit.recipe import load_recipe

    every = np.arange(len(data.train))
    negative = np.flatnonzero(data.train.labels() == 0)[:7]
    return _require_classes(FoldRows(every, every, negative), data, load_recipe("din_demo"))


def absent_content(_: Path, data: ChallengeData) -> object:
    from mmctr_kit.embed.content import Content
    from mmctr_kit.recipe import load_recipe

    recipe = load_recipe("din_demo", ["items.embedding=text", "items.text_dim=4"])
    return Content.of(data, recipe.items.model_copy(update={"encoded": "nowhere.parquet"}))


def too_many_dimensions(_: Path, data: ChallengeData) -> object:
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.recipe import load_recipe

    recipe = load_recipe("din_demo", ["items.embedding=text", "items.text_dim=5000"])
    return ItemFeatures.derive(recipe, data)


def no_csv_of_drops(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.embed.content import read_dropped

    return read_dropped(written(folder, "drop.csv", b"item_id,modality\n1,\xff\xfe\n"), 10)


def no_tag_names(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.embed.encode.content import _tag_names

    return _tag_names(folder / "tags.csv")


def no_titles(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.embed.encode.content import _fill_titles

    return _fill_titles([""], folder, None)


def no_quality_check(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.embed.quality import require_checks

    return require_checks(["blury"])


def no_encoded(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit import item_quality

    return item_quality(folder, encoded=folder / "encoded.parquet")


def model_folder(config: str) -> Provoke:
    def look(folder: Path, _: ChallengeData) -> object:
        from mmctr_kit.embed.encode.models import _of_folder

        written(folder, "config.json", config)
        written(folder, "model.safetensors", b"")
        return _of_folder("mine", folder)

    return look


def no_package(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.embed.encode.models import require_installed

    return require_installed("no_such_package_of_anybody")


def new_rows(**columns: list[Any]) -> Provoke:
    def read(_: Path, data: ChallengeData) -> object:
        from mmctr_kit.data.new_rows import read_rows

        plain: dict[str, list[Any]] = {"user_id": [1], "item_seq": [[1]], "item_id": [1]}
        plain |= {"likes_level": [1], "views_level": [1], **columns}
        return read_rows(pa.table({k: v for k, v in plain.items() if v}), data)

    return read


def new_rows_file(folder: Path, data: ChallengeData) -> object:
    from mmctr_kit.data.new_rows import read_rows

    return read_rows(written(folder, "rows.csv", "user_id,item_id\n1\n"), data)


def wrong_level(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.data.load import _require_range

    return _require_range("likes_level", np.array([11]), "train.parquet", 9)


def narrow_search(values: dict[str, Any]) -> Provoke:
    def narrow(_: Path, __: ChallengeData) -> object:
        from mmctr_kit.recipe.search import Range
        from mmctr_kit.tuning.space import _at_most

        return _at_most(Range.model_validate(values), 8, "items.text_dim")

    return narrow


DATA: dict[str, Case] = {
    "an item twice": (
        DataError,
        "item 1 occurs 2 times; expected",
        vectors_of([1, 1], [1, 2]),
    ),
    "a value is NaN": (DataError, "holds non-finite values; run", vectors_of([1, 2], [1, np.nan])),
    "pages are damaged": (DataError, r"cannot be read to its end \(", damaged_vectors),
    "no parquet": (DataError, r"is not a readable parquet file \(", no_parquet),
    "no file to hash": (DataError, "check that it is there and its permissions", unhashed),
    "one label in a fold": (DataError, r"without both labels \(train has", one_label),
    "encoded is absent": (
        UsageError,
        r"no file at 'nowhere.parquet' \(recipe key ",
        absent_content,
    ),
    "vectors are narrower": (DataError, "values; set it to [0-9]+ or less", too_many_dimensions),
    "drops are no CSV": (DataError, r"is not a CSV file in UTF-8 \(", no_csv_of_drops),
    "no tag names": (UsageError, "no file of tag names at '", no_tag_names),
    "no titles": (DataError, "which holds the titles", no_titles),
    "no such check": (UsageError, "no check 'blury'.*; expected some of", no_quality_check),
    "no encoded vectors": (UsageError, "expected one that 'mmctr-kit items encode'", no_encoded),
    "a model's config is a list": (
        DataError,
        "is not a JSON object; get the model's folder again",
        model_folder("[]"),
    ),
    "a model sees otherwise": (
        DataError,
        "which is neither a vision-language model nor one of",
        model_folder('{"model_type": "seer", "vision_config": {}}'),
    ),
    "a package is absent": (UsageError, "encoding needs no-such-package", no_package),
    "a level is unknown": (
        DataError,
        "likes_level 11 is outside 0..10; run 'mmctr-kit data check'",
        wrong_level,
    ),
    "new rows lack a column": (
        DataError,
        "expected user_id, .* and perhaps ID, found user_id",
        new_rows(item_id=[]),
    ),
    "new rows of a negative item": (
        DataError,
        "item_seq holds item -4; expected ids from 1 on",
        new_rows(item_seq=[[-4]]),
    ),
    "new rows of an unknown item": (
        DataError,
        "so nothing tells what to score; leave such rows out",
        new_rows(item_id=[10**6]),
    ),
    "new rows are no table": (DataError, r"rows.csv cannot be read \(", new_rows_file),
    "a choice is too wide": (
        DataError,
        "the folder's vectors have only 8 values",
        narrow_search({"choice": [16, 32]}),
    ),
    "a range is too wide": (
        DataError,
        "the folder's vectors have only 8 values",
        narrow_search({"int": [16, 32]}),
    ),
}


# What is said of runs, studies, checkpoints and submissions.


def run_with(name: str, content: str) -> Provoke:
    def read(folder: Path, _: ChallengeData) -> object:
        from mmctr_kit.runs.run import Run

        written(folder, "recipe.yaml", content)
        return getattr(Run(folder), name)()

    return read


def unfinished_run(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.runs.run import open_run

    written(folder, "qin/manifest.json", "{}")
    return open_run("qin", folder)


def run_of_a_study(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.runs.run import open_run

    written(folder, "qin.study/finalists/trial-3/manifest.json", "{}")
    return open_run("qin", folder)


def study_as_run(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.runs.run import open_run

    written(folder, "qin.study/finalists/trial-3/manifest.json", "{}")
    return open_run("qin.study", folder)


def run_at_work(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.files import locked
    from mmctr_kit.runs.lineage import unfinished

    with locked(folder / "qin"):
        raise unfinished(folder / "qin", "run 'qin'")


def nothing_of_that_name(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit import show_run

    return show_run("qin", folder)


def recipes_that_differ(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.runs.compare import _different_recipe
    from mmctr_kit.runs.run import Run

    for name in ("a", "b"):
        written(folder, f"{name}/recipe.yaml", "a: [")
    return _different_recipe(Run(folder / "a"), Run(folder / "b"))


def unfinished_study(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.report.context import _open

    written(folder, "qin.study/settings.json", "{}")
    return _open("qin.study", folder)


def study_to_export(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.export.record import _study

    return _study(folder, False)


def unseen_study(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.tuning.journal import Journal

    return Journal(folder / "nowhere").study()


def other_folds(_: Path, data: ChallengeData) -> object:
    from mmctr_kit.ensemble.runs import stack_of
    from mmctr_kit.runs.predictions import predictions_for

    oof, valid, test = (np.zeros(len(rows)) for rows in data.rows.values())
    fold = np.arange(len(oof)) % 2
    runs = [
        predictions_for(data, oof, f.astype(np.int16), np.stack([valid] * 2), np.stack([test] * 2))
        for f in (fold, 1 - fold)
    ]
    return stack_of(["a", "b"], runs)


def json_file(content: str) -> Provoke:
    def read(folder: Path, _: ChallengeData) -> object:
        from mmctr_kit.files import read_json

        return read_json(written(folder, "metrics.json", content))

    return read


def table_file(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.files import read_columns

    return read_columns(written(folder, "oof.parquet", b"no parquet"))


def checkpoint(name: str, content: bytes | None) -> Provoke:
    def read(folder: Path, _: ChallengeData) -> object:
        from mmctr_kit.importers.checkpoint import read_checkpoint

        if content is not None:
            written(folder, name, content)
        return read_checkpoint(folder / name)

    return read


def no_state_dict(folder: Path, _: ChallengeData) -> object:
    import torch

    from mmctr_kit.importers.checkpoint import read_checkpoint

    torch.save([1, 2], folder / "w.pt")
    return read_checkpoint(folder / "w.pt")


def strange_safetensors(dtype: str, shape: list[int], size: int) -> Provoke:
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return checkpoint(
        "w.safetensors", len(header).to_bytes(8, "little") + header + bytes(range(size))
    )


def huge_logits(_: Path, data: ChallengeData) -> object:
    from mmctr_kit.runs.predictions import predictions_for

    return predictions_for(data, None, None, None, np.full((1, len(data.test)), 1e308))


def odd_places(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.runs.run import Run

    manifest = {"kind": "blend", "rows": "", "features": "", "folds": "", "recipe": ""}
    written(folder, "manifest.json", json.dumps(manifest | {"sources": ["a"]}))
    written(folder, "blend.json", '{"places": {"a": 3}}')
    return Run(folder).source_places


def many_tags(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.data.contract import FILES
    from mmctr_kit.data.load import _read_items

    path = folder / FILES["item_info"].path
    path.parent.mkdir()
    tags = [[0], [*range(1, 1_002)], [2]]
    vectors = [[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]
    pq.write_table(
        pa.table({"item_id": [0, 1, 2], "item_tags": tags, "item_emb_d128": vectors}), path
    )
    return _read_items(folder)


def name_of_other_bytes(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.errors import refusal

    try:
        "runs/\udcff".encode()
    except UnicodeEncodeError as e:
        assert refusal(UnicodeEncodeError("ascii", "é", 0, 1, "x")) is None
        error = refusal(e)
        assert error is not None
        raise error from e


def unreadable_checkpoint(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.importers.checkpoint import read_checkpoint

    path = written(folder, "w.pt", b"x")

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        return read_checkpoint(path)


def unpublished(_: Path, __: ChallengeData) -> object:
    import torch

    from mmctr_kit.models.published import load_published

    return load_published(torch.nn.Linear(2, 2), {})


def quantized(_: Path, __: ChallengeData) -> object:
    import torch

    from mmctr_kit.models.published import _require_numbers

    return _require_numbers("w", torch.zeros(2, dtype=torch.int8), torch.zeros(2))


def argument_that_nobody_gives(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.models.registry import _signature_of

    written(folder, "mine_alone.py", "class Net:\n    def __init__(self, *, moon): ...\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return _signature_of("mine_alone:Net")


def teacher_without_oof(_: Path, data: ChallengeData) -> object:
    from mmctr_kit.training import teacher

    fit = SimpleNamespace(name="fit", predictions=lambda: SimpleNamespace(oof=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "open_run", lambda *_: fit)
        return teacher.teacher_logits("runs/fit", data)


def run_without_weights(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.cv import predict

    manifest = SimpleNamespace(kind="cv", transductive=False)
    parts = {"name": "qin", "path": folder, "manifest": manifest, "recipe": lambda: None}
    run = cast(Any, SimpleNamespace(**parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "_jobs", lambda *_: [(0, 0)])
        return predict.fold_models(run)


def data_of_others(_: Path, data: ChallengeData) -> object:
    from mmctr_kit.ensemble import runs

    manifest = SimpleNamespace(rows="others")
    named = cast(Any, SimpleNamespace(name="qin", manifest=manifest))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "require_blend", lambda *_: None)
        patch.setattr(runs, "read_predictions", lambda _: [])
        return runs.blend_runs([named], "auto", Path("mix"), False, 0, data, False)


def too_few_logits(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.data.contract import Task
    from mmctr_kit.submission.write import submission_bytes

    return submission_bytes(np.arange(3), {next(iter(Task)): np.zeros(2)})


def no_tracker(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.export.trackers import require_tool

    return require_tool("excel", None)


def no_task(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.api.rules import find_task

    return find_task("Task9")


def not_installed(named: Callable[..., object], call: str) -> Provoke:
    def ask(_: Path, __: ChallengeData) -> object:
        from mmctr_kit.submission.bundle import distribution

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(distribution, "distribution", named)
            function = getattr(distribution, call)
            return (
                function("mmctr_kit.models.din:DIN") if call == "package_versions" else function()
            )

    return ask


def _absent(name: str) -> NoReturn:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


def no_submission(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.submission.check import check_submission

    return check_submission(folder / "nowhere.zip")


def labels(content: str | bytes, name: str = "labels.csv") -> Provoke:
    def read(folder: Path, _: ChallengeData) -> object:
        from mmctr_kit.submission.score import read_labels

        return read_labels(written(folder, name, content))

    return read


def spec_ids(content: str, rows: int | None = None) -> Provoke:
    def read(folder: Path, _: ChallengeData) -> object:
        from mmctr_kit.submission.spec import IdsSpec

        ids = IdsSpec.model_construct(column="ID", like=written(folder, "sample.csv", content))
        return ids.numbers if rows is None else ids.sized(rows)

    return read


def no_spec(folder: Path, _: ChallengeData) -> object:
    from mmctr_kit.submission.spec import load_spec

    return load_spec(folder / "contest.yaml")


def shuffled_ids(_: Path, __: ChallengeData) -> object:
    from mmctr_kit.data.contract import Task
    from mmctr_kit.submission.write import submission_bytes

    return submission_bytes(np.array([1, 0]), {next(iter(Task)): np.zeros(2)})


WORK: dict[str, Case] = {
    "a recipe is no YAML": (
        RunError,
        "has no readable recipe.yaml; copy the run again",
        run_with("recipe", "a: ["),
    ),
    "a recipe is empty": (RunError, "has no recipe in its recipe.yaml", run_with("recipe", "")),
    "a run is unfinished": (
        RunError,
        "' is unfinished; repeat the command that began it",
        unfinished_run,
    ),
    "a run is at work": (RunError, "a process is at work on it; wait until it ends", run_at_work),
    "nothing of that name": (
        UsageError,
        "no run, study or ablation 'qin' under",
        nothing_of_that_name,
    ),
    "recipes that differ": (
        RunError,
        "has no readable recipe.yaml; copy the run again",
        recipes_that_differ,
    ),
    "a run is of a study": (UsageError, "no run 'qin' under .* itself, but ", run_of_a_study),
    "a study is no run": (
        UsageError,
        "^'qin.study' is a study; name one of its runs: qin.study/finalists/trial-3$",
        study_as_run,
    ),
    "a study is unfinished": (RunError, "is unfinished; repeat the command", unfinished_study),
    "a study is not exported": (
        RunError,
        "' is unfinished; repeat the command that began it",
        study_to_export,
    ),
    "a study is not seen": (RunError, "give --runs on a disk that all machines", unseen_study),
    "runs of other folds": (RunError, "have different folds; train one again", other_folds),
    "metrics are no JSON": (RunError, "is not readable; make the run again", json_file("{")),
    "metrics are a list": (RunError, "is not a JSON object; make the run again", json_file("[]")),
    "predictions are damaged": (RunError, "is not readable; make the run again", table_file),
    "no checkpoint": (UsageError, "no checkpoint at '", checkpoint("w.pt", None)),
    "no .npz": (
        DataError,
        r"is not a readable .npz of arrays \(",
        checkpoint("w.npz", b"\x00" * 9),
    ),
    "no torch file": (DataError, "torch", checkpoint("w.pt", bytes(20))),
    "a huge shape": (
        DataError,
        "is not a readable .safetensors file",
        strange_safetensors("F32", [0, 2**63], 0),
    ),
    "a huge shape of nothing": (
        DataError,
        "which cannot be read as an array; save the weights as float32|is not a readable",
        strange_safetensors("F32", [0, 2**62], 0),
    ),
    "4-bit floats": (
        DataError,
        "which cannot be read as an array; save the weights as float32",
        strange_safetensors("F4", [2], 1),
    ),
    "huge logits": (
        RunError,
        "test predictions reach 1e\\+308, whose squares are no numbers; expected logits",
        huge_logits,
    ),
    "odd places": (RunError, "is damaged: its places are no paths; make", odd_places),
    "many tags": (DataError, "item 1 has 1,001 tags, expected at most 1,000", many_tags),
    "a name of other bytes": (
        UsageError,
        r"'runs/.xff' holds bytes that are no UTF-8; rename the file or folder",
        name_of_other_bytes,
    ),
    "no state dict": (DataError, "holds no state dict: expected names", no_state_dict),
    "no permission": (DataError, r"\(Permission denied\); check its perm", unreadable_checkpoint),
    "never published": (UsageError, "was published; none can be read", unpublished),
    "quantized weights": (DataError, "expected floats: save it unquantized", quantized),
    "an unknown argument": (
        UsageError,
        "has no default and is no input that models get",
        argument_that_nobody_gives,
    ),
    "a teacher without OOF": (
        RunError,
        "training.teacher: run 'fit' has no OOF predictions; name a cv run or a blend",
        teacher_without_oof,
    ),
    "a run without weights": (
        RunError,
        "copy the whole run, or train it again with --force",
        run_without_weights,
    ),
    "data of other runs": (
        RunError,
        "has other rows than run qin: name the runs' own data",
        data_of_others,
    ),
    "too few logits": (DataError, "logits, one for each ID; found shape", too_few_logits),
    "no tracker": (UsageError, "to: expected one of .*; found 'excel'", no_tracker),
    "no task": (UsageError, r"no task 'Task9'; expected Task1, Task2 or both \(Task1&2\)", no_task),
    "not installed": (
        MmctrKitError,
        "is not installed here; install it with pip first",
        not_installed(_absent, "package_versions"),
    ),
    "no licence": (
        MmctrKitError,
        "lacks its licence file; install it again",
        not_installed(lambda _: SimpleNamespace(read_text=lambda _: None), "_licence_of_kit"),
    ),
    "no submission": (UsageError, "nowhere.zip'; expected the path of a .zip", no_submission),
    "fractions as IDs": (
        DataError,
        "column ID holds fractions or non-finite values",
        labels("ID,label\n0.5,1\n"),
    ),
    "labels are damaged": (
        DataError,
        "is not a readable parquet or CSV file: ",
        labels(b"no parquet", "labels.parquet"),
    ),
    "a sample without IDs": (
        UsageError,
        "ids.like: expected a header with ID",
        spec_ids("id,score\n1,2\n"),
    ),
    "a sample of another length": (
        UsageError,
        "give the --data that it belongs to",
        spec_ids("ID,score\n1,2\n", 5),
    ),
    "no spec": (UsageError, "no spec at '.*expected a YAML file; ", no_spec),
    "IDs out of order": (DataError, "expected IDs 0, 1, 2, ... in order; found", shuffled_ids),
}

CASES = IMPORTS | DATA | WORK


@pytest.mark.parametrize("name", CASES)
def test_wrong_input_brings_its_message_in_one_line(
    name: str, tmp_path: Path, tiny: ChallengeData
) -> None:
    error, part, provoke = CASES[name]
    with pytest.raises(error, match=part) as raised:
        provoke(tmp_path, tiny)
    assert type(raised.value) is error
    message = str(raised.value)
    assert "\n" not in message
    assert not re.search(r"Traceback|pydantic|<class '|Error:", message)
