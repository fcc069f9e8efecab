"""The README.md of a bundle, written from what its bundle.json says."""

from collections.abc import Mapping
from typing import Any

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.submission.bundle.read import CONTENT, ITEM_FILES, LOGITS, SUBMISSION


def readme(content: Mapping[str, Any], recipe: Recipe, submission: str, rights: str) -> str:
    """The text of README.md.

    ``submission`` is the sha256 of submission.zip, and ``rights`` the line on the licence.
    """
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
    of = "" if recipe.model_name == recipe.name else f" (model `{recipe.model_name}`)"
    what = f"One model of the recipe `{recipe.name}`{of}"
    if many > 1:
        counts = f"{plural(len(models), 'fold')}, {plural(len(content['seeds']), 'seed')}"
        what = f"The mean of {many} models ({counts}) of the recipe `{recipe.name}`{of}"
    threads = environment["threads"]
    on = environment["device"] + ("" if threads is None else f", {plural(threads, 'thread')}")
    return (
        f"{what}, trained with mmctr-kit {environment['mmctr_kit']}, Python "
        f"{environment['python']} and torch {environment['torch']} on {on}.\n"
        f"`{SUBMISSION}` holds its {content['submission']['rows']:,} test rows in the column "
        f"`{content['submission']['task']}`."
    )


def _scores(content: Mapping[str, Any]) -> str:
    seeds = len(content["seeds"])
    one = "a single fold model" if seeds == 1 else f"the mean of a fold's {seeds} seeds"
    predictors = {
        "valid": "the mean of all models, which is submitted: valid AUC",
        "fold_models_valid": f"{one}: mean valid AUC over the folds",
        "oof": f"{one}: mean AUC on the train rows of its fold (OOF)",
    }
    if content["kind"] == "fit":
        predictors = {"valid": "the network: valid AUC"}
    lines = [
        f"| {what} | {Estimate.from_json(content['scores'][name])} |"
        for name, what in predictors.items()
    ]
    head = ["| predictor and score | AUC ± standard error |", "| --- | --- |"]
    note = "Standard errors are clustered by user. The valid rows trained and chose nothing."
    return "\n".join([*head, *lines, "", note])


def _rules(content: Mapping[str, Any]) -> str:
    task = content["submission"]["task"]
    heads = {"broken": f"It breaks these rules of {task}:", "unclear": "These are unclear:"}
    if not content["rules"]["broken"]:
        heads["unclear"] = f"Whether it keeps these rules of {task} is unclear:"
    parts = [
        "\n".join([heads[verdict], "", *(f"- {text}" for text in texts)])
        for verdict, texts in content["rules"].items()
        if texts
    ]
    return "\n\n".join(parts) or f"As far as mmctr-kit can tell, it keeps the rules of {task}."


def _commands(content: Mapping[str, Any]) -> str:
    environment = content["environment"]
    python = "python" + ".".join(environment["python"].split(".")[:2])
    kit = "PYTHONPATH=code python -m mmctr_kit"
    return f"""\
`code/` is mmctr-kit {environment["mmctr_kit"]} itself, which need not be installed.
`DATA` is the folder that contains `MicroLens_1M_x1/`. In this folder:

```sh
{python} -m venv .venv && . .venv/bin/activate
pip install -r requirements.txt
{kit} reproduce . --data DATA           # predict again from the weights
{kit} reproduce . --data DATA --train   # train again too
{kit} submit --check {SUBMISSION} --data DATA
```

requirements.txt pins torch and numpy as they were in training, and the other packages that
mmctr-kit imports as they were installed when this bundle was written; what these packages need in
turn is not pinned.

`reproduce` checks first that no file here was changed (README.md and LICENSE may be) and that DATA
is the data of the run. It exits 0 if the predictions are the same: identical bytes, or differences
that rounding makes on another device."""


def _files(recipe: Recipe, submission: str) -> str:
    files = {
        "recipe.yaml": "the whole run: model, items, training, folds, seeds",
        "weights/": "the weights of each model, named fold-seed",
        LOGITS: "the logits of each fold, for the valid and the test rows",
        SUBMISSION: f"the submission, sha256 `{submission}`",
        "requirements.txt": "the packages that mmctr-kit imports, with versions",
        "code/": "mmctr-kit itself, with its recipes; its licence, Apache-2.0, is in its dist-info",
        CONTENT: "fingerprints of the data, scores, versions, sha256 of every file",
        "LICENSE": "the licence",
    }
    for key in recipe.items.files:
        files[ITEM_FILES[key]] = f"the file items.{key} of the recipe"
    return "\n".join(f"- `{name}`: {what}" for name, what in files.items())
