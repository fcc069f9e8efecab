"""The models by name; their options are read off their signatures without importing them.

A new model is one file, one recipe and one line in :data:`SHIPPED`; a model of another package is
an entry point of that package, in the group ``mmctr_kit.models``, or a :func:`register_model`. Its
``__init__`` takes keyword arguments only: those without a default are :data:`INPUTS`, those with a
default are the recipe's ``model:`` keys, annotated with the types of
:mod:`mmctr_kit.models.option_types`. Signatures are read off the syntax tree, so that a mistyped
recipe does not cost the seconds that ``import torch`` takes.
"""

import ast
import importlib
import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin

from mmctr_kit.errors import UsageError
from mmctr_kit.models import option_types


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
    training_keys=("learning_rate", "epochs", "max_history", "holdout", "snapshot", "stop_at"),
    inputs=("item_emb", "item_codes", "item_likes_level", "item_views_level", "n_signals"),
)


@dataclass(frozen=True)
class Entry:
    """Where a model lives (``module:Class``) and which learner trains it."""

    target: str
    learner: LearnerEntry = NEURAL


SHIPPED = {
    "din": Entry("mmctr_kit.models.din:DIN"),
    "dien": Entry("mmctr_kit.models.dien:DIEN"),
    "din_target_encoder": Entry("mmctr_kit.models.din_target_encoder:DINTargetEncoder"),
    "gbdt": Entry("mmctr_kit.models.gbdt:GBDT", BOOSTED),
    "history_length_only": Entry("mmctr_kit.models.history_length_only:HistoryLengthOnly"),
    "qin": Entry("mmctr_kit.models.qin:QIN"),
    "target_transformer": Entry("mmctr_kit.models.target_transformer:TargetTransformer"),
    "transformer_dcn": Entry("mmctr_kit.models.transformer_dcn:TransformerDCN"),
    "transformer_dcn_momo": Entry("mmctr_kit.models.transformer_dcn:TransformerDCNMomo"),
}

INPUTS = (
    "item_tags",
    "item_emb",
    "item_emb_widths",
    "item_present",
    "item_codes",
    "item_likes_level",
    "item_views_level",
    "n_codes",
    "n_tags",
    "n_users",
    "n_signals",
    "n_row_signals",
)
"""What the kit supplies to a model's ``__init__``, by argument name.

The item table has N + 1 rows, row 0 for padding: ``item_tags`` (N + 1, tags) int; ``item_emb``
(N + 1, d) float32, modalities of ``item_emb_widths`` side by side; ``item_present`` (N + 1, M)
bool, whether an item has each modality; ``item_codes`` (N + 1, L) int, an item's code at each of L
levels, 0 = none; ``item_likes_level`` and ``item_views_level`` (N + 1,) int. ``n_codes`` is how
many values a code has, 0 among them; ``n_tags`` is the tag vocabulary; users are numbered
1..``n_users``, and 0 is a user not trained on; ``n_signals`` and ``n_row_signals`` are the widths
of a batch's signals.
"""

ENTRY_POINTS = "mmctr_kit.models"
"""The group of entry points in which other packages name their models."""


class Models(Mapping[str, Entry]):
    """Models by name: the shipped ones, those of entry points and the registered ones.

    Entry points are read only if a name is not shipped, or all names are asked for.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(entries)
        self._complete = False

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name] if name in self._entries else self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def register(self, name: str, entry: Entry) -> None:
        """Add a model, or do nothing if it is there; UsageError if the name is another model's."""
        if self.get(name, entry) != entry:
            raise UsageError(
                f"model name {name!r} is taken by {self[name].target}; register "
                f"{entry.target} by another name"
            )
        self._entries[name] = entry

    def _all(self) -> Mapping[str, Entry]:
        if not self._complete:
            self._complete = True
            for point in entry_points(group=ENTRY_POINTS):
                entry = Entry(point.value)
                if self._entries.setdefault(point.name, entry) != entry:
                    taken = self._entries[point.name].target
                    warnings.warn(
                        f"the model {point.name!r} of an installed package ({point.value}) is "
                        f"ignored: the name is taken by {taken}",
                        stacklevel=2,
                    )
        return self._entries


MODELS = Models(SHIPPED)


def register_model(name: str, target: str, *, learner: LearnerEntry = NEURAL) -> None:
    """Make a class the model that recipes call ``name``, until this process ends.

    Worker processes get it with their recipe. A package's models are better named in its entry
    points, in the group ``mmctr_kit.models``: every command then finds them.

    Parameters
    ----------
    name
        The value of ``model.name`` in a recipe.
    target
        The class as ``"module:Class"``. The module must be a file that can be imported by this
        name; a notebook's cell is none. It is not imported here.
    learner
        What trains the model.

    Raises
    ------
    UsageError
        If the name is another model's, there is no such class, or its ``__init__`` is no model's.

    Examples
    --------
    >>> import mmctr_kit
    >>> mmctr_kit.register_model("din", "mmctr_kit.models.din:DIN")  # known: does nothing
    """
    _signature_of(target)
    MODELS.register(name, Entry(target, learner))


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


def model_options(name: str) -> Mapping[str, Option]:
    """The options of model ``name``, in the order of its signature."""
    return _signature_of(MODELS[name].target)[1]


def model_supplies(name: str) -> tuple[str, ...]:
    """The arguments of model ``name`` that the kit supplies: those without a default."""
    return _signature_of(MODELS[name].target)[0]


def model_inputs(name: str) -> tuple[str, ...]:
    """What is given to model ``name`` of the data, by itself or through its learner."""
    return (*model_supplies(name), *MODELS[name].learner.inputs)


def model_class(name: str) -> Any:
    """The class itself; imports its module, and torch with it."""
    return import_target(MODELS[name].target)


def import_target(target: str) -> Any:
    """The object that ``module:name`` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


@cache
def _signature_of(target: str) -> tuple[tuple[str, ...], Mapping[str, Option]]:
    """The inputs and the options of a class, by its ``module:Class``."""
    module, _, class_name = target.partition(":")
    arguments = _init_of(module, class_name)
    if arguments.args[1:] or arguments.vararg or arguments.kwarg:
        raise UsageError(f"{target}: __init__ must take keyword-only arguments, no *args or **kw")
    inputs, options = [], {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        name = argument.arg
        if default is not None:
            options[name] = _option(f"{target}: option {name}", argument.annotation, default)
        elif name in INPUTS:
            inputs.append(name)
        else:
            raise UsageError(
                f"{target}: argument {name} has no default and is no input that models get "
                f"({', '.join(INPUTS)})"
            )
    return tuple(inputs), MappingProxyType(options)


def _option(where: str, annotation: ast.expr | None, default: ast.expr) -> Option:
    if annotation is None:
        raise UsageError(f"{where} has no annotation; take one of mmctr_kit.models.option_types")
    code = compile(ast.Expression(annotation), "<annotation>", "eval")
    try:
        evaluated = eval(code, {"__builtins__": __builtins__, **vars(option_types)})
        return Option(evaluated, ast.literal_eval(default))
    except (NameError, ValueError) as e:
        raise UsageError(
            f"{where}: expected an annotation of the types of mmctr_kit.models.option_types and a "
            f"literal default, not {ast.unparse(annotation)} = {ast.unparse(default)} ({e})"
        ) from e


def _init_of(module: str, class_name: str) -> ast.arguments:
    """The arguments of a class's ``__init__``, which may be inherited from a base named there."""
    body = ast.parse(_source(module)).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    if class_name not in classes:
        raise UsageError(f"{module} defines no class {class_name!r}; expected 'module:Class'")
    bases = {name: (module, name) for name in classes}
    for node in body:
        if isinstance(node, ast.ImportFrom):
            bases |= {a.asname or a.name: (str(node.module), a.name) for a in node.names}
    for member in classes[class_name].body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return member.args
    for base in classes[class_name].bases:
        if isinstance(base, ast.Name) and base.id in bases:
            return _init_of(*bases[base.id])
    raise UsageError(f"{module} defines no class {class_name} with an __init__")


def _source(module: str) -> str:
    """The source of a module; neither it nor a package around it is imported."""
    names = module.split(".")
    # A script's own name for itself is not what a worker process could import.
    spec = importlib.util.find_spec(names[0]) if names[0] not in ("", "__main__") else None
    for end in range(2, len(names) + 1):
        folders = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(".".join(names[:end]), folders or [])
    loader = spec.loader if spec else None
    source = loader.get_source(module) if isinstance(loader, InspectLoader) else None
    if source is None:
        raise UsageError(f"no module {module!r} with a source file; is its package installed?")
    return source
