"""The learner of neural models: build a model, fit it, and predict with it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmctr_kit.activity import doing
from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import digest
from mmctr_kit.items import Floats64, Ints
from mmctr_kit.items.augment import next_item_examples
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.items.signals import fold_signals, row_columns
from mmctr_kit.models.onnx import Input, padded_inputs
from mmctr_kit.models.published import load_named, load_published, published_sizes
from mmctr_kit.models.registry import model_class, model_supplies
from mmctr_kit.recipe import Recipe, Training
from mmctr_kit.training.data.batches import DeviceData, make_batch, tensor, with_raw_users
from mmctr_kit.training.data.host_stream import choose_source
from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.data.source import FoldCache, PreparedFold
from mmctr_kit.training.device import gpu_faults, warn_of_slow_bf16
from mmctr_kit.training.fit import Fit, host_state, schedule
from mmctr_kit.training.learner import Cost, Epoch, Location, State, Trained, derive_seed
from mmctr_kit.training.step import compiled, compiled_batches, eager
from mmctr_kit.training.step_modes import Modes, capture_on, resolve_steps
from mmctr_kit.training.teacher import soft_labels

_TIMED_STEPS = 5
KNOWN_USER = "known_user"
"""Name, beside the model's weights, of the users it was trained on, as in make_batch."""
TRAINED_ROWS = "trained_rows"
"""Name, beside these, of the train rows that it was trained on, as packed bits."""


class NeuralLearner:
    """A recipe's model on one device; see :class:`mmctr_kit.training.learner.Learner`."""

    def __init__(
        self,
        recipe: Recipe,
        data: ChallengeData,
        items: ItemFeatures,
        device: str,
        cache: FoldCache | None = None,
    ) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self._challenge = data
        self._items = items
        self._cache = cache or FoldCache()
        self._base: DeviceData = self._cache.rows(data, recipe.training.max_history)
        # The tensors of the item features that the last model saw, and these features.
        self._seen: tuple[ItemFeatures, dict[str, Any]] | None = None
        self._fit: Fit | None = None
        self._timed: Fit | None = None  # while its cost is measured
        self._rows: Ints = np.zeros(0, np.int64)  # that it was trained on
        self._module: nn.Module | None = None
        steps = resolve_steps(recipe.training.steps, self.device)
        model = recipe.model.model_dump(mode="json")
        # Shared by all fits: compiled code belongs to these functions.
        self._modes = Modes(
            compiled() if steps == "compiled" else eager,
            compiled_batches() if steps == "compiled" else make_batch,
            None if steps == "plain" else capture_on(self.device),
            recipe.training.check,
            {"model": model, "training": recipe.training.model_dump(mode="json")},
        )
        self._modes.lack_compiler(warn_of_slow_bf16(recipe.training.precision, device))

    @staticmethod
    def check(recipe: Recipe, data: ChallengeData, items: ItemFeatures) -> None:
        """Build the recipe's model from tensors without content; UsageError if that fails."""
        with torch.device("meta"), _Undrawn():
            _model(recipe, _supplies(recipe, data, items, 1, _without_content))

    def build(self, seed: int, train: Ints | None = None) -> nn.Module:
        """A fresh model that sees the items as a fold model trained on these rows (None: all)."""
        torch.manual_seed(derive_seed(seed, 0))
        model: nn.Module = self._model(self._supplies(train))
        return model

    def _supplies(self, train: Ints | None = None) -> dict[str, Any]:
        """All that a model trained on these rows (None: all) may ask for beside its options."""
        every = np.arange(len(self._challenge.train)) if train is None else train
        items = self._items.of_users(every)
        if self._seen is None or self._seen[0] is not items:
            self._seen = None  # first, so that a GPU never holds both
            to_tensor = partial(tensor, device=self.device)
            n_users = self._base.n_users
            made = _supplies(self.recipe, self._challenge, items, n_users, to_tensor)
            self._seen = items, made
        return self._seen[1]

    def _model(self, supplies: Mapping[str, Any]) -> Any:
        return _model(self.recipe, supplies).to(self.device)

    def fit(
        self, train: Ints, holdout: Ints, seed: int, resume: State | None = None
    ) -> Iterator[Epoch]:
        with gpu_faults(self._smaller_batch):
            fit, rows = self.begin(train, seed)
            yield from fit.run(rows, holdout, resume)

    def begin(self, train: Ints, seed: int) -> tuple[Fit, Ints]:
        """A fit of a fresh model, in the module that compiled code belongs to, and its rows."""
        self._fit = None  # first, since on a GPU its graph holds the memory of a whole step
        source, rows = self._prepare_fold(train, seed)
        model = self.build(seed, train)
        if self._module is None:
            self._module = model
        else:
            # In place, since compiled code and captured graphs read from these addresses.
            self._module.load_state_dict(model.state_dict())
            for mine, new in zip(self._module.buffers(), model.buffers(), strict=True):
                if mine is not new:
                    mine.copy_(new)
        self._fit = Fit(self._module, source, self.recipe.training, seed, self._modes)
        self._rows = train
        return self._fit, rows

    def _prepare_fold(self, train: Ints, seed: int, to_train: bool = True) -> PreparedFold:
        """The data with the signals and extra rows of these users, and the rows to train on.

        Unless ``to_train``, they are for prediction, and a teacher is not asked.
        """
        recipe = self.recipe
        most, data_on = recipe.training.max_history, recipe.training.data_on
        teacher = recipe.training.teacher if to_train else None
        if not (recipe.signals.kinds or recipe.augmentation.per_user or teacher):
            source, _ = self._cache.fold(
                repr([most, data_on]),
                lambda: (choose_source(self._base, self.device, data_on), train),
            )
            return source, train
        # All seeds of a fold have the same signals, but extra rows of their own.
        drawn = seed if recipe.augmentation.per_user else None
        taught = [teacher, recipe.training.teacher_weight]
        settings = [recipe.signals, recipe.augmentation, most, data_on, drawn, taught]
        key = f"{settings} {digest(train=train)}"
        return self._cache.fold(key, lambda: self._with_rows(train, seed, teacher is not None))

    def _with_rows(self, train: Ints, seed: int, taught: bool) -> PreparedFold:
        data, recipe = self._challenge, self.recipe
        most = recipe.training.max_history
        examples = {s: data.examples(s, most) for s in SPLITS}
        rows = train
        if recipe.augmentation.per_user:
            extra = next_item_examples(
                data, train, recipe.augmentation, most, self._items.levels, derive_seed(seed, 3)
            )
            first = len(examples["train"])
            rows = np.concatenate([train, np.arange(first, first + len(extra))])
            examples["train"] = examples["train"].join(extra)
        doing("working out the signals")
        signals = fold_signals(data, recipe, train, examples)
        whole = self._base
        for split in SPLITS:
            whole = whole.with_rows(split, examples[split], signals[split])
        if taught:
            doing("asking the teacher")
            whole = whole.with_labels(train, soft_labels(recipe.training, data)[train])
        return choose_source(whole, self.device, recipe.training.data_on), rows

    @gpu_faults()
    def predict(self, split: Split, index: Ints | None = None) -> Floats64:
        if split == "train" and index is None:
            index = np.arange(len(self._challenge.train))
        return self._fitted().predict(split, index)

    def network(self) -> tuple[nn.Module, Tensor]:
        """The fitted network, and the users that it was trained on, (n_users + 1,) bool."""
        fit = self._fitted()
        return fit.model, fit.known_user

    def padded(self, split: Split, index: Ints, inputs: Sequence[Input]) -> State:
        """The rows as an ONNX model of the network takes them, by the names of its ``inputs``."""
        whole, all_known = self._fitted().source.whole, torch.ones(self._base.n_users + 1)
        batch = make_batch(whole, split, torch.from_numpy(index), all_known.bool())
        return padded_inputs(batch, self.recipe.training.max_history, inputs)

    @property
    def data_on(self) -> Location:
        return self._fitted().source.location

    def trained(self) -> Trained:
        return self._fitted().trained()

    def weights(self) -> State:
        fit = self._fitted()
        trained = np.zeros(len(self._challenge.train), np.bool_)
        trained[self._rows] = True
        state = host_state({**fit.model.state_dict(), KNOWN_USER: fit.known_user})
        return {**state, TRAINED_ROWS: np.packbits(trained)}

    def importance(self) -> None:
        """None, since a network's inputs are vectors."""

    @gpu_faults()
    def load(self, weights: State) -> None:
        beside = (KNOWN_USER, TRAINED_ROWS)
        tensors = {k: tensor(v, self.device) for k, v in weights.items() if k not in beside}
        known_user = tensor(np.asarray(weights[KNOWN_USER]), self.device)
        self._fit = None
        train = self._rows = self._trained_rows(weights)
        source, _ = self._prepare_fold(train, 0, to_train=False)
        model = self.build(0, train)
        load_named(model, tensors, {name: name for name in model.state_dict()})
        self._fit = Fit(model, source, self.recipe.training, 0)
        self._fit.known_user = known_user

    def _trained_rows(self, weights: State) -> Ints:
        """The train rows of these weights; of early versions' weights all rows of their users."""
        user = self._challenge.train.user_id
        if TRAINED_ROWS in weights:
            return np.flatnonzero(np.unpackbits(weights[TRAINED_ROWS], count=len(user)))
        numbers = np.searchsorted(self._base.users, user) + 1
        return np.flatnonzero(np.asarray(weights[KNOWN_USER])[numbers])

    @gpu_faults()
    def load_published(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become a published model, from its state dict under the published names.

        Vocabularies are those of the checkpoint: surplus tags are kept, and a user id is the row of
        the user table, or row 0 (unseen) if the table is shorter. Raises DataError that names a
        parameter which is missing, unknown or has another shape.
        """
        tensors = {k: tensor(np.asarray(v), self.device) for k, v in state.items()}
        mine = self._supplies()
        supplies = {**mine, **published_sizes(tensors)}
        supplies["n_tags"] = max(supplies["n_tags"], mine["n_tags"])
        model = self._model(supplies)
        load_published(model, tensors)
        data = with_raw_users(self._base, self._challenge, int(supplies["n_users"]))
        source = choose_source(data, self.device, self.recipe.training.data_on)
        self._fit = Fit(model, source, self.recipe.training, 0)
        self._fit.known_user[:] = True
        self._rows = np.arange(len(self._challenge.train))

    def cost(self, train_rows: int) -> Cost:
        with gpu_faults(self._smaller_batch):
            return self._cost(train_rows, self.recipe.training)

    def _cost(self, train_rows: int, options: Training) -> Cost:
        every = np.arange(len(self._challenge.train))
        began = time.perf_counter()
        source, drawn = self._prepare_fold(every, 0, to_train=False)
        fit = self._timed = Fit(self.build(0), source, options, 0, self._modes)
        prepared = time.perf_counter() - began
        train_rows = train_rows * len(drawn) // len(every)  # with extra rows
        # A random sample: neighbours share a user, and on a CPU an item is encoded once a batch.
        whole = source.whole.rows["train"]
        some = np.sort(np.random.default_rng(0).permutation(len(whole))[:train_rows])
        size = fit.find_batch_size(some)
        rows = torch.from_numpy(some).to(source.device)
        sampler = RowSampler(rows, whole.lengths, size, 0)
        paces = [(options.learning_rate, 1.0)] * _TIMED_STEPS
        per_step = _seconds(lambda: fit.train_steps(sampler, 0, paces)) / _TIMED_STEPS
        batch = sampler.batches(0, 1)[0].cpu().numpy()
        per_prediction = _seconds(lambda: fit.predict("train", batch))
        plan = schedule(train_rows, size, options)
        self._timed = None
        return Cost(
            parameters=sum(p.numel() for p in fit.model.parameters()),
            batch_size=size,
            epochs=plan.epochs,
            steps=plan.steps * plan.epochs,
            seconds_per_step=per_step,
            seconds_per_row=per_prediction / len(batch),
            data_on=source.location,
            seconds_to_prepare=prepared,
            trained=fit.trained(),
        )

    def _smaller_batch(self) -> str:
        """What to do if a step does not fit the GPU: the batch size that would."""
        fit = self._timed or self._fit
        if fit is None:
            return "the model and its data fill it alone: free what other processes hold of it"
        few = "lower training.batch_size"
        return fit.memory.smaller_batch(fit.batch_size) if fit.memory else few

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise ValueError("no model was fitted or loaded yet")
        return self._fit


def _supplies(
    recipe: Recipe,
    data: ChallengeData,
    items: ItemFeatures,
    n_users: int,
    to_tensor: Callable[[NDArray[Any]], Tensor],
) -> dict[str, Any]:
    """All that a model may ask for beside its options, by the name of its argument."""
    arrays = {
        "item_present": items.present,
        "item_tags": data.item_tags.astype(np.int64),
        "item_emb": items.table,
        "item_codes": items.codes,
        "item_likes_level": items.levels[0],
        "item_views_level": items.levels[1],
    }
    return {
        "n_codes": items.n_codes,
        "n_tags": data.n_tags,
        "n_users": n_users,
        "n_signals": len(recipe.signals.kinds),
        "n_row_signals": len(row_columns(recipe.signals.kinds)),
        "item_emb_widths": items.widths,
        **{name: to_tensor(array) for name, array in arrays.items()},
    }


def _without_content(array: NDArray[Any]) -> Tensor:
    dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
    return torch.empty(array.shape, dtype=dtype, device="meta")


class _Undrawn(TorchFunctionMode):
    """Leaves weights undrawn: a draw on the device "meta" imports torch's compiler (2.3 s)."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", None) in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _model(recipe: Recipe, supplies: Mapping[str, Any]) -> Any:
    supplied = {k: supplies[k] for k in model_supplies(recipe.model_name)}
    return model_class(recipe.model_name)(**supplied, **recipe.model_arguments)


def _seconds(work: Callable[[], object]) -> float:
    """The seconds of the second call of ``work``, which must end with a result on the host."""
    work()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
