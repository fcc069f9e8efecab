"""The models by name; their options are read off their signatures without importing them.

A new model is one file, one recipe and one line in :data:`MODELS`. Its ``__init__`` takes keyword
arguments only: those without a default are inputs that the kit supplies, those with a default are
the recipe's ``model:`` keys, annotated with the types of :mod:`mmctr_kit.models.option_types`.
Reading the syntax tree instead of importing keeps a typing error in a recipe from costing the
seconds that ``import torch`` takes.
"""

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin

from mmctr_kit.models import option_types as options


@dataclass(frozen=True)
class LearnerEntry:
    """A learner, the class that trains models of one kind.

    ``target`` is its ``module:Class``. ``uses_gpu``: it trains on a GPU if there is one.
    ``training_keys``: the recipe's ``training`` keys that it reads; None if it reads all.
    ``inputs``: what it takes of the data for each model, beside the inputs in their signatures.
    """

    target: str
    uses_gpu: bool = True
    training_keys: tuple[str, ...] | None = None
    inputs: tuple[str, ...] = ()


NEURAL = LearnerEntry("mmctr_kit.training.neural:NeuralLearner")
BOOSTED = LearnerEntry(
    "mmctr_kit.training.gbdt.learner:BoostedLearner",
    uses_gpu=False,
    training_keys=("learning_rate", "epochs", "max_history", "holdout", "snapshot"),
    inputs=("item_emb", "item_likes_level", "item_views_level", "n_signals"),
)


@dataclass(frozen=True)
class Entry:
    """Where a model lives (``module:Class``) and which learner trains it."""

    target: str
    learner: LearnerEntry = NEURAL


MODELS: Mapping[str, Entry] = MappingProxyType(
    {
        "din": Entry("mmctr_kit.models.din:DIN"),
        "din_target_encoder": Entry("mmctr_kit.models.din_target_encoder:DINTargetEncoder"),
        "gbdt": Entry("mmctr_kit.models.gbdt:GBDT", BOOSTED),
        "history_length_only": Entry("mmctr_kit.models.history_length_only:HistoryLengthOnly"),
        "qin": Entry("mmctr_kit.models.qin:QIN"),
        "transformer_dcn": Entry("mmctr_kit.models.transformer_dcn:TransformerDCN"),
        "transformer_dcn_momo": Entry("mmctr_kit.models.transformer_dcn_momo:TransformerDCNMomo"),
    }
)


@dataclass(frozen=True)
class Option:
    """One recipe key of a model: its annotation (as pydantic takes it) and its default."""

    annotation: Any
    default: Any

    @property
    def type(self) -> Any:
        """The annotation without its limits and conditions, such as ``bool``."""
        annotated = get_origin(self.annotation) is Annotated
        return get_args(self.annotation)[0] if annotated else self.annotation


@cache
def model_options(name: str) -> Mapping[str, Option]:
    """The options of model ``name``, in the order of its signature."""
    signature = _signature(name)
    found = {}
    for argument, default in zip(signature.kwonlyargs, signature.kw_defaults, strict=True):
        if default is not None:
            assert argument.annotation is not None
            found[argument.arg] = Option(_evaluate(argument.annotation), ast.literal_eval(default))
    return MappingProxyType(found)


@cache
def model_supplies(name: str) -> tuple[str, ...]:
    """The arguments of model ``name`` that the kit supplies: those without a default."""
    signature = _signature(name)
    pairs = zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
    return tuple(argument.arg for argument, default in pairs if default is None)


def model_inputs(name: str) -> tuple[str, ...]:
    """What is given to model ``name`` of the data, by itself or through its learner."""
    return (*model_supplies(name), *MODELS[name].learner.inputs)


def models_with(data_input: str) -> list[str]:
    """The names of the models that take this input, such as ``n_signals``."""
    return [name for name in MODELS if data_input in model_inputs(name)]


def model_class(name: str) -> Any:
    """The class itself; imports its module, and torch with it."""
    return import_target(MODELS[name].target)


def import_target(target: str) -> Any:
    """The object that ``module:name`` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _signature(name: str) -> ast.arguments:
    module, _, class_name = MODELS[name].target.partition(":")
    signature = _init_of(_source(module), class_name)
    if signature.args[1:] or signature.vararg or signature.kwarg:
        raise TypeError(f"{class_name}.__init__ must take keyword-only arguments, no *args")
    return signature


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"registry names {module}, which does not exist")
    return Path(spec.origin)


def _init_of(path: Path, class_name: str) -> ast.arguments:
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                    return member.args
    raise TypeError(f"{path.name} defines no class {class_name} with an __init__")


def _evaluate(annotation: ast.expr) -> Any:
    code = compile(ast.Expression(annotation), "<annotation>", "eval")
    return eval(code, {"__builtins__": __builtins__, **vars(options)})
