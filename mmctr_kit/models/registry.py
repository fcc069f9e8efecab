"""The models by name, and their options read off their signatures without importing them.

A new model is one file, one recipe and one line in :data:`MODELS`. Its ``__init__`` takes keyword
arguments only: those without a default are sizes that the kit supplies, those with a default are
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
from typing import Any, Literal

from mmctr_kit.models import option_types as options


@dataclass(frozen=True)
class Entry:
    """Where a model lives (``module:Class``) and which learner trains it."""

    target: str
    learner: Literal["neural", "gbdt"] = "neural"


MODELS: Mapping[str, Entry] = MappingProxyType(
    {
        "din": Entry("mmctr_kit.models.din:DIN"),
        "din_target_encoder": Entry("mmctr_kit.models.din_target_encoder:DINTargetEncoder"),
        "gbdt": Entry("mmctr_kit.models.gbdt:GBDT", learner="gbdt"),
        "history_length_only": Entry("mmctr_kit.models.history_length_only:HistoryLengthOnly"),
        "qin": Entry("mmctr_kit.models.qin:QIN"),
        "target_only": Entry("mmctr_kit.models.target_only:TargetOnly"),
        "transformer_dcn": Entry("mmctr_kit.models.transformer_dcn:TransformerDCN"),
        "transformer_dcn_momo": Entry("mmctr_kit.models.transformer_dcn_momo:TransformerDCNMomo"),
    }
)


@dataclass(frozen=True)
class Option:
    """One recipe key of a model: its annotation (as pydantic takes it) and its default."""

    annotation: Any
    default: Any


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


def model_class(name: str) -> Any:
    """The class itself; imports its module, and torch with it."""
    module, _, class_name = MODELS[name].target.partition(":")
    return getattr(importlib.import_module(module), class_name)


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
