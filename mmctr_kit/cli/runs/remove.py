"""``mmctr-kit runs rm``: delete runs."""

from typing import Annotated

from typer import Exit

from mmctr_kit.cli import options
from mmctr_kit.cli.output import confirmed, print_json, say, size_text, warn
from mmctr_kit.errors import plural


def rm(
    run: Annotated[
        list[str], options.run_argument("NAME...", "Runs, blends, studies or ablations.")
    ],
    yes: options.Yes = False,
    as_json: options.Json = False,
    ledger: options.Ledger = options.LEDGER,
    runs: options.Runs = options.RUNS,
) -> None:
    """Delete runs with all that their folders hold and their reports' pages, after asking.

    A run on which a process is at work is refused. What needs a run is named first: a blend, a
    study or an ablation that it is part of, or a submission that was written from it.

    [bold]Examples[/bold]

      mmctr-kit runs rm din_e4-fit
      mmctr-kit runs rm mix din_official.ablate --yes
    """
    from mmctr_kit.api.removal import found, needed, remove_runs, require_removable
    from mmctr_kit.files import folder_size
    from mmctr_kit.report.context import pages_of
    from mmctr_kit.runs.run import Run

    paths = found(run, runs, in_full=True)
    require_removable(paths)
    for reason in needed(paths, runs, ledger):
        warn(reason)
    pages = pages_of(paths)
    names = ", ".join(map(str, [*paths, *pages]))
    what = f"{plural(len(paths), 'folder')} ({names}), {size_text(sum(map(folder_size, paths)))}"
    if not confirmed(f"Delete {what}?", yes):
        say("nothing was deleted")
        raise Exit(1)
    remove_runs(list(map(Run, paths)), force=True, ledger=ledger, runs=runs)
    if as_json:
        print_json({"deleted": [str(path) for path in (*paths, *pages)]})
        return
    say(f"deleted {what}", wrap=False)
    if any(page.name == "index.html" for page in pages):
        say("'mmctr-kit report --all' writes the index anew, of what is left")
