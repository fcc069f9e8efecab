"""mmctr_kit.importers.checkpoint: the published models' checkpoints as runs."""

import argparse
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import plan_fit
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.contract import FILES, MAX_HISTORY
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.errors import DataError, MmctrKitError, RunError
from mmctr_kit.importers import checkpoint
from mmctr_kit.importers.checkpoint import (
    import_checkpoint,
    read_checkpoint,
)
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.runs.run import Run, recipe_beside
from tests.models.reference import REFERENCE

Arrays = dict[str, NDArray[Any]]

SETTINGS = {
    "din_official": {
        "embedding_dim": "model.embedding_dim",
        "dnn_hidden_units": "model.mlp_hidden",
        "attention_hidden_units": "model.attention_hidden",
        "attention_dropout": "model.attention_dropout",
        "batch_norm": "model.batch_norm",
    },
    "qin": {
        "embedding_dim": "model.embedding_dim",
        "num_layers": "model.num_layers",
        "num_row": "model.num_row",
        "net_dropout": "model.net_dropout",
        "batch_norm": "model.batch_norm",
    },
    "din_target_encoder": {
        "embedding_dim": "model.embedding_dim",
        "dnn_hidden_units": "model.mlp_hidden",
        "attention_hidden_units": "model.attention_hidden",
        "attention_dropout": "model.attention_dropout",
        "batch_norm": "model.batch_norm",
        "num_layers": "model.encoder_layers",
    },
    "transformer_dcn_momo": {
        "embedding_dim": "model.embedding_dim",
        "dcn_cross_layers": "model.cross_layers",
        "dcn_hidden_units": "model.dcn_hidden",
        "mlp_hidden_units": "model.mlp_hidden",
        "num_heads": "model.num_heads",
        "transformer_layers": "model.transformer_layers",
        "transformer_dropout": "model.transformer_dropout",
        "dim_feedforward": "model.dim_feedforward",
        "net_dropout": "model.dcn_dropout",
        "first_k_cols": "model.first_k_cols",
        "batch_norm": "model.batch_norm",
        "concat_max_pool": "model.max_pool",
    },
}
"""For each reference: its configuration's keys as our recipe's."""


def read(name: str) -> tuple[dict[str, Any], Arrays]:
    with np.load(REFERENCE / f"{name}.npz") as archive:
        config = json.loads(bytes(archive["config_json"]))
        return config, {k: archive[k] for k in archive.files if k != "config_json"}


def recipe_for(name: str, config: dict[str, Any], arrays: Arrays) -> Recipe:
    settings = [f"{key}={json.dumps(config[k])}" for k, key in SETTINGS[name].items()]
    length = arrays["input/item_seq"].shape[1]
    settings.append(f"training.max_history={length}")
    if name == "transformer_dcn_momo":
        settings.append(f"model.max_length={length}")
    return load_recipe(name, settings)


def padded(sequence: NDArray[Any]) -> pa.Array:
    wide = np.zeros((len(sequence), MAX_HISTORY), np.int64)
    wide[:, -sequence.shape[1] :] = sequence
    return pa.FixedSizeListArray.from_arrays(pa.array(wide.ravel()), MAX_HISTORY)


def write_data(folder: Path, arrays: Arrays) -> ChallengeData:
    """A data folder whose test rows are the reference's rows, in their order."""
    inputs = {k.removeprefix("input/"): v for k, v in arrays.items() if k.startswith("input/")}
    item, rows = inputs["item_id"], len(inputs["item_id"])
    columns = {
        "user_id": pa.array(inputs["user_id"]),
        "item_seq": padded(inputs["item_seq"]),
        "item_id": pa.array(item),
        "likes_level": pa.array(inputs["likes_level_of_item"][item]),
        "views_level": pa.array(inputs["views_level_of_item"][item]),
    }
    label = pa.array(np.arange(rows) % 2)
    n_items = len(inputs["item_tags"]) - 1
    tables = {
        "train": columns | {"label": label},
        "valid": columns | {"label": label},
        "test": {"ID": pa.array(np.arange(rows))} | columns,
        "item_info": {
            "item_id": pa.array(np.arange(n_items + 1)),
            "item_tags": pa.array(list(inputs["item_tags"])),
            "item_emb_d128": pa.array(list(inputs["item_emb"].astype(np.float64))),
        },
        "item_feature": {
            "item_id": pa.array(np.arange(1, n_items + 1)),
            "likes_level": pa.array(inputs["likes_level_of_item"][1:]),
            "views_level": pa.array(inputs["views_level_of_item"][1:]),
        },
    }
    for name, table in tables.items():
        path = folder / FILES[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), path)
    return load(folder)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_published_checkpoint_gives_the_published_logits(name: str, tmp_path: Path) -> None:
    config, arrays = read(name)
    data = write_data(tmp_path / "data", arrays)
    file = REFERENCE / f"{name}.npz"
    run = import_checkpoint(
        file, recipe_for(name, config, arrays), data, "cpu", tmp_path / "run", False
    )
    assert run is not None
    found, expected = run.test_scores(), arrays["output/logit"].astype(np.float64)
    assert (np.abs(found - expected) <= 1e-4 * np.maximum(1, np.abs(expected))).all()


@pytest.fixture(scope="module")
def qin(tmp_path_factory: pytest.TempPathFactory) -> tuple[ChallengeData, Recipe, Arrays, Path]:
    folder = tmp_path_factory.mktemp("qin")
    config, arrays = read("qin")
    data = write_data(folder / "data", arrays)
    parameters = {k[6:]: v for k, v in arrays.items() if k.startswith("param/")}
    return data, recipe_for("qin", config, arrays), parameters, folder


def scores(run: Run | None) -> NDArray[np.float64]:
    assert run is not None
    return run.test_scores()


def test_every_kind_of_file_gives_the_same_run(
    qin: tuple[ChallengeData, Recipe, Arrays, Path], tmp_path: Path
) -> None:
    data, recipe, parameters, _ = qin
    tensors = {k: torch.from_numpy(v) for k, v in parameters.items()}
    np.savez(tmp_path / "plain.npz", **parameters)
    save_file({k: np.asarray(v) for k, v in parameters.items()}, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "state.model")
    torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / "wrapped.pt")
    torch.save({f"module.{k}": v for k, v in tensors.items()}, tmp_path / "parallel.pt")
    found = [
        scores(import_checkpoint(f, recipe, data, "cpu", tmp_path / f"run-{f.stem}", False))
        for f in sorted(tmp_path.iterdir())
        if f.is_file()
    ]
    assert len(found) == 5
    assert all(np.array_equal(found[0], other) for other in found)


def test_the_device_is_prepared_first(
    qin: tuple[ChallengeData, Recipe, Arrays, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else kernels of the kit would run on the first GPU, also if the tensors are on another."""
    prepared: list[str] = []
    monkeypatch.setattr(checkpoint, "prepare", lambda device, _: prepared.append(device))
    data, recipe, parameters, _ = qin
    np.savez(tmp_path / "plain.npz", **parameters)
    scores(import_checkpoint(tmp_path / "plain.npz", recipe, data, "cpu", tmp_path / "run", False))
    assert prepared == ["cpu"]


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("unpickled"),))


def test_loading_never_unpickles_arbitrary_objects(
    qin: tuple[ChallengeData, Recipe, Arrays, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data, recipe, _, _ = qin
    torch.save({"a": Malicious()}, tmp_path / "bad.pt")
    np.savez(tmp_path / "bad.npz", a=np.array([Malicious()], dtype=object))
    for name in ("bad.pt", "bad.npz"):
        with pytest.raises(DataError) as caught:
            import_checkpoint(tmp_path / name, recipe, data, "cpu", tmp_path / "run", False)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "unpickled").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("missing", r"lacks attention_layers\.W_q\.weight"),
        ("extra", r"unknown surplus"),
        ("misshapen", r"attention_layers\.W_q\.weight of shape \(2, 2\); expected \(48, 24\)"),
    ],
)
def test_a_missing_extra_or_misshapen_parameter_is_named(
    qin: tuple[ChallengeData, Recipe, Arrays, Path], tmp_path: Path, change: str, says: str
) -> None:
    data, recipe, parameters, _ = qin
    changed = dict(parameters)
    if change == "missing":
        del changed["attention_layers.W_q.weight"]
    elif change == "extra":
        changed["surplus"] = np.zeros(1)
    else:
        changed["attention_layers.W_q.weight"] = np.zeros((2, 2), np.float32)
    np.savez(tmp_path / "c.npz", **changed)
    with pytest.raises(DataError, match=says):
        import_checkpoint(tmp_path / "c.npz", recipe, data, "cpu", tmp_path / "run", False)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt"])
def test_a_broken_file_is_one_line(
    qin: tuple[ChallengeData, Recipe, Arrays, Path], tmp_path: Path, content: bytes, suffix: str
) -> None:
    data, recipe, _, _ = qin
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(MmctrKitError) as caught:
        import_checkpoint(file, recipe, data, "cpu", tmp_path / "run", False)
    assert "\n" not in str(caught.value)


def test_the_run_can_be_averaged_and_ranked_but_not_stacked(
    qin: tuple[ChallengeData, Recipe, Arrays, Path], tmp_path: Path
) -> None:
    data, recipe, parameters, _ = qin
    runs = []
    for name, factor in (("a", 1.0), ("b", 2.0)):
        changed = {k: v * np.asarray(factor, v.dtype) for k, v in parameters.items()}
        np.savez(tmp_path / f"{name}.npz", **changed)
        run = import_checkpoint(
            tmp_path / f"{name}.npz", recipe, data, "cpu", tmp_path / name, False
        )
        assert run is not None
        runs.append(run)
    for method in ("mean", "rank"):
        assert blend_runs(runs, method, tmp_path / method, False) is not None  # type: ignore[arg-type]
    with pytest.raises(RunError, match="OOF"):
        blend_runs(runs, "lightgbm", tmp_path / "stack", False)


def test_weights_are_told_by_their_content_and_their_prefixes_come_off(
    qin: tuple[ChallengeData, Recipe, Arrays, Path], tmp_path: Path
) -> None:
    data, recipe, parameters, _ = qin
    tensors = {k: torch.from_numpy(v) for k, v in parameters.items()}
    np.savez(tmp_path / "a.npz", **parameters)
    (tmp_path / "b.model").write_bytes((tmp_path / "a.npz").read_bytes())
    save_file({k: np.asarray(v) for k, v in parameters.items()}, tmp_path / "c.pt")
    torch.save({f"_orig_mod.{k}": v for k, v in tensors.items()}, tmp_path / "d.pt")
    torch.save({f"module._orig_mod.{k}": v for k, v in tensors.items()}, tmp_path / "e.pt")
    lightning = {f"model.{k}": v for k, v in tensors.items()}
    torch.save({"state_dict": lightning, "hyper_parameters": {"lr": 1e-3}}, tmp_path / "f.ckpt")
    found = [
        scores(import_checkpoint(f, recipe, data, "cpu", tmp_path / f"run-{f.stem}", False))
        for f in sorted(tmp_path.iterdir())
        if f.is_file()
    ]
    assert len(found) == 6
    assert all(np.array_equal(found[0], other) for other in found)


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        (torch.zeros(1, 60, dtype=torch.int8), r"qnn\.fc\.weight of torch\.int8; expected floats"),
        (torch.zeros(1, 60, dtype=torch.complex64), r"qnn\.fc\.weight of torch\.complex64"),
        (torch.full((1, 60), torch.nan), r"qnn\.fc\.weight holds NaN or infinity"),
    ],
)
def test_a_weight_that_is_no_finite_float_is_named(
    qin: tuple[ChallengeData, Recipe, Arrays, Path],
    tmp_path: Path,
    weight: torch.Tensor,
    says: str,
) -> None:
    data, recipe, parameters, _ = qin
    tensors = {k: torch.from_numpy(v) for k, v in parameters.items()}
    torch.save(tensors | {"qnn.fc.weight": weight}, tmp_path / "c.pt")
    with pytest.raises(DataError, match=says):
        import_checkpoint(tmp_path / "c.pt", recipe, data, "cpu", tmp_path / "run", False)


def test_weights_in_any_float_are_read_by_value(tmp_path: Path) -> None:
    value = torch.tensor([[0.0, 1.5], [0.0, -2.0]])
    kinds = (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64)
    state = {str(kind): value.to(kind) for kind in kinds} | {"sparse": value.to_sparse()}
    torch.save(state, tmp_path / "a.pt")
    found = read_checkpoint(tmp_path / "a.pt")
    assert set(found) == set(state)
    assert all(np.array_equal(v, value.numpy()) for v in found.values())


def test_what_would_have_to_be_unpickled_is_named_and_never_advised(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "args": argparse.Namespace(a=1)}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"argparse\.Namespace") as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert "weights_only" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt"])
def test_a_damaged_checkpoint_is_read_or_refused_and_never_a_bug(
    qin: tuple[ChallengeData, Recipe, Arrays, Path], tmp_path: Path, suffix: str
) -> None:
    _, _, parameters, _ = qin
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".npz":
        np.savez(whole, **parameters)
    elif suffix == ".pt":
        tensors = {k: torch.from_numpy(v) for k, v in parameters.items()}
        torch.save(tensors, whole, _use_new_zipfile_serialization=False)
    else:
        save_file({k: np.asarray(v) for k, v in parameters.items()}, whole)
    rng = np.random.default_rng(0)
    damaged = tmp_path / f"damaged{suffix}"
    for _ in range(200):
        content = bytearray(whole.read_bytes())
        for place in rng.integers(0, 3000, 3):
            content[place] = rng.integers(256)
        damaged.write_bytes(content[: rng.integers(1, len(content) * 2)])
        with suppress(MmctrKitError):  # whatever else escapes fails the test
            read_checkpoint(damaged)


def test_an_array_without_a_name_is_no_checkpoint(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as handle:
        np.save(handle, np.zeros(3))
    with pytest.raises(DataError, match="one array without a name"):
        read_checkpoint(tmp_path / "a.npz")


@pytest.fixture(scope="module")
def own(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the fits din_demo and gbdt_demo."""
    folder = tmp_path_factory.mktemp("own")
    for name in ("din_demo", "gbdt_demo"):
        recipe = load_recipe(name, ("training.epochs=1",))
        plan = plan_fit(recipe, tiny, LocalExecutor("cpu", 1, 1))
        assert run_cv(plan, folder / name, False, lambda _: None) is not None
    return folder


def weights_of(folder: Path, name: str) -> Path:
    return folder / name / "folds" / "all-0" / "weights.safetensors"


@pytest.mark.parametrize("name", ["din_demo", "gbdt_demo"])
def test_the_kits_own_weights_predict_as_the_run_they_are_in(
    name: str, own: Path, tiny: ChallengeData, tmp_path: Path
) -> None:
    file = weights_of(own, name)
    recipe = recipe_beside(file)
    assert recipe is not None
    run = import_checkpoint(file, recipe, tiny, "cpu", tmp_path / "run", False)
    assert np.array_equal(scores(run), Run(own / name).test_scores())
    assert import_checkpoint(file, recipe, tiny, "cpu", tmp_path / "run", False) is None


def test_weights_outside_of_a_run_tell_no_recipe(own: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(weights_of(own, "din_demo").read_bytes())
    assert recipe_beside(file) is None


def test_own_weights_of_another_model_recipe_or_data_set_are_refused(
    own: Path, tiny: ChallengeData, tmp_path: Path
) -> None:
    file, other = weights_of(own, "din_demo"), tmp_path / "run"
    with pytest.raises(DataError, match="weights are of a network, and gbdt is trees"):
        import_checkpoint(file, load_recipe("gbdt_demo"), tiny, "cpu", other, False)
    with pytest.raises(DataError, match="weights are of trees, and din is a network"):
        import_checkpoint(
            weights_of(own, "gbdt_demo"), load_recipe("din_demo"), tiny, "cpu", other, False
        )
    wide = load_recipe("din_demo", ("model.embedding_dim=3",))
    with pytest.raises(DataError, match=r"item_id.weight of shape .* expected \(301, 3\)"):
        import_checkpoint(file, wide, tiny, "cpu", other, False)
    fewer = replace(
        tiny.train, **{k: v[:900] for k, v in vars(tiny.train).items() if v is not None}
    )
    data = replace(tiny, rows={**tiny.rows, "train": fewer})
    with pytest.raises(DataError, match="of other data: the number of train rows differs"):
        import_checkpoint(file, load_recipe("din_demo"), data, "cpu", other, False)
    assert not other.exists()
