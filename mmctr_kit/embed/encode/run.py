"""Encoding of all items: shard by shard, each written whole, so that a killed run goes on."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from mmctr_kit.embed.encode.encoders import Encoder, Item, load_encoder
from mmctr_kit.embed.encode.file import faults_of, write_encoded, write_shard
from mmctr_kit.embed.encode.plan import Column, Plan, differences
from mmctr_kit.embed.encode.report import (
    ADVICE,
    ColumnReport,
    ItemFault,
    Report,
    report_path,
    require_encoded,
)
from mmctr_kit.embed.pictures import Fault, read_pictures
from mmctr_kit.errors import DataError, MmctrKitError, UsageError, plural
from mmctr_kit.files import locked, read_json, write_json
from mmctr_kit.metrics.ranks import Floats32
from mmctr_kit.processes import peak_process_bytes

Listener = Callable[[Column, int, int], None]
"""Called with a column, how many items are done, and of how many; first when it begins."""

_SINGLES = 5
"""How many items are encoded alone, after a first one, to measure what one new item takes."""
_SAMPLE_SECONDS = 10.0
_READERS = 4
"""How many pictures are read at once."""


class Batch(NamedTuple):
    """The items of a batch that can be encoded, as the encoder takes them, and the others."""

    ids: list[int]
    prepared: Any
    faults: list[ItemFault]


def encode(plan: Plan, force: bool, listen: Listener) -> Report:
    """Encode all items of a plan into its file, going on from where an earlier call was killed.

    The file's bytes do not depend on where that was. Raises UsageError if the file, or work that
    waits beside it, is of another plan: ``force`` replaces both.
    """
    identity = plan.identity()
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    with locked(plan.out):
        if plan.out.exists() and not force and not _resumes(plan, identity):
            return _finished(plan, identity)
        _begin(plan, identity, force)
        for column in plan.columns:
            _encode_column(plan, column, listen)
        return _finish(plan, identity)


def _finished(plan: Plan, identity: dict[str, Any]) -> Report:
    """Return the report of a file that the same plan has written; UsageError if it is another's."""
    require_encoded(plan.out)
    content = read_json(report_path(plan.out))
    if other := differences(content["identity"], identity):
        raise UsageError(f"'{plan.out}' exists and was made otherwise ({other}); {ADVICE}")
    return Report.from_json(content, plan.out)


def _resumes(plan: Plan, identity: dict[str, Any]) -> bool:
    return plan.begun.is_file() and not differences(read_json(plan.begun), identity)


def _begin(plan: Plan, identity: dict[str, Any], force: bool) -> None:
    if _resumes(plan, identity):
        return
    if plan.begun.is_file() and any(plan.part.glob("*-*.parquet")) and not force:
        other = differences(read_json(plan.begun), identity)
        raise UsageError(
            f"'{plan.part}' holds work of another command ({other}); give that command again, or "
            "--force to drop its work"
        )
    shutil.rmtree(plan.part, ignore_errors=True)
    plan.part.mkdir()
    write_json(plan.begun, identity)


def _finish(plan: Plan, identity: dict[str, Any]) -> Report:
    shards = {c.modality: _shards(plan, c) for c in plan.columns}
    write_encoded(plan.out, shards, plan.metadata())
    columns = []
    for column in plan.columns:
        faults = tuple(faults_of(shards[column.modality]))
        items = plan.content.n_items - len(faults)
        columns.append(_report(column, read_json(_costs(plan, column)), items, faults))
    report = Report(plan.out, plan.content.n_items, tuple(columns), identity)
    write_json(report_path(plan.out), report.to_json())
    plan.begun.unlink()  # first, so that no half of the shards is ever gone on from
    shutil.rmtree(plan.part, ignore_errors=True)
    return report


def estimate(plan: Plan, listen: Listener) -> Report:
    """Measure a plan's encoders on a few items, and extrapolate; nothing is written."""
    columns, sampled = [], 0
    for column in plan.columns:
        ids = _encodable(plan, column, range(1, plan.content.n_items + 1))
        listen(column, 0, len(ids))
        encoder = load_encoder_of(plan, column)
        cost = _cost_alone(plan, column, encoder)
        # Few items if the model is slow; spread over all, so that lengths are as they will be.
        size = round(1000 * _SAMPLE_SECONDS / cost["ms_per_item"])
        size = max(1, min(size, len(ids), 2 * plan.batch_size))
        sample = [ids[i] for i in np.linspace(0, len(ids) - 1, size).astype(int)]
        began = time.perf_counter()
        for batch in _ahead(plan, column, encoder, _batches(plan, column, sample)):
            _vectors(encoder, batch)
        cost["seconds"] = (time.perf_counter() - began) / size * len(ids)
        cost["peak_mb"] = _peak_mb(plan.device)
        cost["batches"] = -(-len(ids) // plan.batch_size)
        sampled += size
        without = _without(column, set(ids), range(1, plan.content.n_items + 1))
        columns.append(_report(column, cost, len(ids), tuple(without)))
    return Report(plan.out, plan.content.n_items, tuple(columns), {}, sampled)


def _report(
    column: Column, cost: dict[str, Any], items: int, faults: tuple[ItemFault, ...]
) -> ColumnReport:
    model = column.model
    about = (column.modality, model.name, model.kind, model.revision)
    return ColumnReport(*about, items=items, faults=faults, **cost)


def _encode_column(plan: Plan, column: Column, listen: Listener) -> None:
    total = plan.content.n_items
    parts = zip(plan.shards(), _shards(plan, column), strict=True)
    todo = [(ids, path) for ids, path in parts if not path.exists()]
    done = total - sum(len(ids) for ids, _ in todo)
    listen(column, done, total)
    if not todo:
        return
    encoder, costs = load_encoder_of(plan, column), _costs(plan, column)
    if not costs.is_file():
        write_json(costs, _cost_alone(plan, column, encoder))
    cost = read_json(costs)
    listen(column, done, total)  # the model is loaded
    for ids, path in todo:
        began, encoded = time.perf_counter(), list[int]()
        vectors = [np.zeros((0, cost["width"]), np.float32)]
        batches = _batches(plan, column, _encodable(plan, column, ids))
        faults = _without(column, {i for batch in batches for i in batch}, ids)
        for batch in _ahead(plan, column, encoder, batches):
            encoded += batch.ids
            vectors.append(_vectors(encoder, batch).reshape(-1, cost["width"]))
            faults += batch.faults
            listen(column, done + len(encoded), total)
        write_shard(path, ids, encoded, np.concatenate(vectors), faults)
        done += len(ids)
        cost["seconds"] += time.perf_counter() - began
        cost["batches"] += len(batches)
        cost["peak_mb"] = max(cost["peak_mb"], _peak_mb(plan.device))
        write_json(costs, cost)
        listen(column, done, total)


def load_encoder_of(plan: Plan, column: Column) -> Encoder:
    """Load the model of a column on the plan's device."""
    return load_encoder(column.model, column.modality, column.reading, plan.device, plan.bf16)


def _shards(plan: Plan, column: Column) -> list[Path]:
    return [plan.part / f"{column.modality}-{n:05}.parquet" for n, _ in enumerate(plan.shards())]


def _costs(plan: Plan, column: Column) -> Path:
    return plan.part / f"{column.modality}.json"


def _encodable(plan: Plan, column: Column, ids: range) -> list[int]:
    """Return the items that have a title, or a file of a picture."""
    if column.modality == "image":
        return [i for i in ids if i in plan.content.pictures]
    return [i for i in ids if plan.content.title(i)]


def _without(column: Column, encodable: set[int], ids: range) -> list[ItemFault]:
    kind, text = ("missing", "no picture file")
    if column.modality == "text":
        kind, text = ("empty_title", "no title, or an empty one")
    return [ItemFault(i, kind, text) for i in ids if i not in encodable]


def _batches(plan: Plan, column: Column, ids: Sequence[int]) -> list[list[int]]:
    """Divide items into batches; titles by length, so that little of a batch is padding."""
    if column.modality == "text":
        ids = sorted(ids, key=lambda i: (len(plan.content.title(i)), i))
    step = plan.batch_size
    return [list(ids[start : start + step]) for start in range(0, len(ids), step)]


def _ahead(
    plan: Plan, column: Column, encoder: Encoder, batches: Sequence[list[int]]
) -> Iterator[Batch]:
    """Prepare each batch while the one before it is encoded."""
    prepare = partial(_prepare, plan, column, encoder)
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for ids in batches:
            after = pool.submit(prepare, ids)
            if waiting is not None:
                yield waiting.result()
            waiting = after
        if waiting is not None:
            yield waiting.result()


def _prepare(plan: Plan, column: Column, encoder: Encoder, ids: Sequence[int]) -> Batch:
    content = plan.content
    if column.modality == "text":
        items = [Item(text=content.title(i)) for i in ids]
        return Batch(list(ids), encoder.prepare(items), [])
    read = read_pictures([content.pictures.get(i) for i in ids], encoder.size, _READERS)
    faults = [
        ItemFault(i, p.kind, f"{content.pictures[i].name}: {p.text}")
        for i, p in zip(ids, read, strict=True)
        if isinstance(p, Fault)
    ]
    usable = [(i, p) for i, p in zip(ids, read, strict=True) if not isinstance(p, Fault)]
    titles = [content.title(i) or None if column.titled else None for i, _ in usable]
    items = [Item(title, p.image) for title, (_, p) in zip(titles, usable, strict=True)]
    return Batch([i for i, _ in usable], encoder.prepare(items) if items else None, faults)


def _vectors(encoder: Encoder, batch: Batch) -> Floats32:
    if not batch.ids:
        return np.zeros((0, 0), np.float32)
    try:
        return encoder.encode(batch.prepared)
    except torch.OutOfMemoryError as e:
        raise MmctrKitError(
            f"{plural(len(batch.ids), 'item')} at once do not fit the GPU's memory; choose a "
            "smaller --batch-size"
        ) from e


def _cost_alone(plan: Plan, column: Column, encoder: Encoder) -> dict[str, Any]:
    """Measure what one new item takes, with reading its picture; also the vectors' width."""
    seconds, width, fault = list[float](), 0, None
    for item in _encodable(plan, column, range(1, plan.content.n_items + 1)):
        began = time.perf_counter()
        batch = _prepare(plan, column, encoder, [item])
        if batch.faults:
            fault = fault or batch.faults[0]
            continue
        width = _vectors(encoder, batch).shape[1]
        seconds.append(time.perf_counter() - began)
        if len(seconds) > _SINGLES or sum(seconds) > 6 * _SAMPLE_SECONDS:
            break
    if not seconds:
        why = "" if fault is None else f" ({fault.text})"
        raise DataError(f"no item has a usable {column.modality}{why}")
    alone = median(seconds[1:] or seconds)
    cost: dict[str, Any] = {"parameters": encoder.parameters, "width": width}
    return cost | {"ms_per_item": 1000 * alone, "seconds": 0.0, "batches": 0, "peak_mb": 0.0}


def _peak_mb(device: str) -> float:
    peak = peak_process_bytes() if device == "cpu" else torch.cuda.max_memory_allocated(device)
    return peak / 2**20
