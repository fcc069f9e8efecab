"""The README.md of a bundle, written from what its bundle.json says."""

from collections.abc import Mapping
from typing import Any

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.submission.bundle.read import CONTENT, ITEMS, LOGITS, SUBMISSION

_PREDICTORS = {
    "fit": {"valid": "the network: valid AUC"},
    "cv": {
        "valid": "the mean of all models, which is submitted: valid AUC",
        "fold_models_valid": "a single fold model: mean valid AUC",
        "oof": "a single fold model: mean AUC on the train rows of its fold (OOF)",
    },
}


def readme(content: Mapping[str, Any], recipe: Recipe, submission: str, rights: str) -> str:
    """The text of README.md; ``submission`` is the sha256 of submission.zip."""
    sections = [
        f"# {content['run']}: a run that can be run again",
        _about(content, recipe),
        "## Scores",
        _scores(content),
        "## Rules",
        _rules(content),
        "## Run it again",
        _commands(content),
        "## Files",
        _files(recipe, submission),
        rights,
    ]
    return "\n\n".join(sections) + "\n"


def _about(content: Mapping[str, Any], recipe: Recipe) -> str:
    environment, models = content["environment"], content["models"]
    many = sum(map(len, models.values()))
    what = f"One model of the recipe `{recipe.name}` (`{recipe.model_name}`)"
    if many > 1:
        seeds = len(content["seeds"])
        what = f"The mean of {many} models of the recipe `{recipe.name}` (`{recipe.model_name}`; "
        what += f"{plural(len(models), 'fold')}, {plural(seeds, 'seed')})"
    threads = environment["threads"]
    on = environment["device"] + ("" if threads is None else f", {plural(threads, 'thread')}")
    return (
        f"{what}, trained with mmctr-kit {environment['mmctr_kit']}, Python "
        f"{environment['python']} and torch {environment['torch']} on {on}.\n"
        f"`{SUBMISSION}` holds its {content['submission']['rows']:,} test rows in the column "
        f"`{content['submission']['task']}`."
    )


def _scores(content: Mapping[str, Any]) -> str:
    predictors = _PREDICTORS[content["kind"]]
    lines = [
        f"| {what} | {Estimate.from_json(content['scores'][name])} |"
        for name, what in predictors.items()
    ]
    head = ["| predictor and score | AUC ± standard error |", "| --- | --- |"]
    note = "Standard errors are clustered by user. The valid rows trained and chose nothing."
    return "\n".join([*head, *lines, "", note])


def _rules(content: Mapping[str, Any]) -> str:
    task, breaches = content["submission"]["task"], content["rules"]
    if not breaches:
        return f"As far as mmctr-kit can tell, it keeps the rules of {task}."
    return "\n".join([f"Of the rules of {task}:", "", *(f"- {breach}" for breach in breaches)])


def _commands(content: Mapping[str, Any]) -> str:
    environment = content["environment"]
    python = "python" + ".".join(environment["python"].split(".")[:2])
    kit = f"mmctr-kit=={environment['mmctr_kit']}"
    return f"""\
`DATA` is the folder that contains `MicroLens_1M_x1/`. In this folder:

```sh
{python} -m venv .venv && . .venv/bin/activate
pip install -r requirements.txt   # the exact versions
pip install {kit}       # or a path: its wheel, its source
mmctr-kit reproduce . --data DATA           # predict again from the weights
mmctr-kit reproduce . --data DATA --train   # train again too
mmctr-kit submit --check {SUBMISSION} --data DATA
```

`reproduce` checks first that no file here was changed and that DATA is the data of the run. It
exits 0 if the predictions are the same: identical bytes, or differences that rounding makes on
another device."""


def _files(recipe: Recipe, submission: str) -> str:
    files = {
        "recipe.yaml": "the whole run: model, items, training, folds, seeds",
        "weights/": "the weights of each model, named fold-seed",
        LOGITS: "the logits of each fold, for the valid and the test rows",
        SUBMISSION: f"the submission, sha256 `{submission}`",
        "requirements.txt": "the exact versions of the packages in use",
        CONTENT: "fingerprints of the data, scores, versions, sha256 of every file",
        "LICENSE": "the licence",
    }
    if recipe.items.file is not None:
        files[ITEMS] = "the item embedding of our own that the recipe reads"
    return "\n".join(f"- `{name}`: {what}" for name, what in files.items())
