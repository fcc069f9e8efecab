"""``mmctr-kit cache``: what was computed from data folders and is kept for the next command."""

from typing import Annotated

from typer import Argument, Context, Exit, Typer

from mmctr_kit.cli import options
from mmctr_kit.cli.output import confirmed, print_json, say, size_text, table
from mmctr_kit.errors import UsageError, plural

app = Typer(invoke_without_command=True)


@app.callback()
def cache(context: Context, as_json: options.Json = False) -> None:
    """Show where the cache is and how large, by kind.

    It holds data folders as they were read, item vectors, and checksums of files; an entry is known
    by the contents of the files that it was made from. Nothing in it is lost for good: what is
    missing is computed again. MMCTR_KIT_CACHE puts it elsewhere.

    [bold]Examples[/bold]

      mmctr-kit cache
      mmctr-kit cache clear
    """
    context.default_map = {"clear": {"as_json": as_json}}
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from mmctr_kit.data.cache import cache_contents, cache_folder

    folder, kinds = cache_folder(), cache_contents()
    if as_json:
        print_json({"folder": str(folder), "kinds": [asdict(each) for each in kinds]})
        return
    say(f"cache: {folder}", wrap=False)
    if not kinds:
        say("it is empty")
        return
    rows = []
    for each in kinds:
        clear, entries = "yes" if each.cleared else "by name", f"{each.entries:,}"
        rows.append((each.kind, each.what, clear, entries, size_text(each.size)))
    total = sum(each.entries for each in kinds), sum(each.size for each in kinds)
    last = ("all", "", "", f"{total[0]:,}", size_text(total[1]))
    table(("kind", "what it is", "clear", "entries", "size"), [*rows, last], left=3)
    say("yes: 'mmctr-kit cache clear' deletes it at any time, and it is made again when needed")
    if not all(each.cleared for each in kinds):
        say("by name: only if named, as in 'cache clear placed'; not while a command uses it")


@app.command()
def clear(
    kind: Annotated[
        list[str] | None, Argument(metavar="KIND...", help="Only these kinds, such as data.")
    ] = None,
    yes: options.Yes = False,
    as_json: options.Json = False,
) -> None:
    """Delete what the cache holds, after asking; the next command computes it again.

    Commands that are running go on. Copies of whole data folders (placed: for workers of a cluster;
    synth: for bench) are left unless they are named, since such a command reads them all the while.

    [bold]Examples[/bold]

      mmctr-kit cache clear
      mmctr-kit cache clear placed --yes
    """
    from mmctr_kit.data.cache import cache_contents, cache_folder, clear_cache

    kinds = {each.kind: each for each in cache_contents()}
    for name in kind or ():
        if name not in kinds:
            raise UsageError(f"no '{name}' in the cache; it holds {', '.join(kinds) or 'nothing'}")
    going = [kinds[n] for n in kind] if kind else [k for k in kinds.values() if k.cleared]
    before = sum(each.size for each in going)
    if not before:
        print_json({"freed": 0}) if as_json else say(f"nothing to delete in {cache_folder()}")
        return
    entries = plural(sum(each.entries for each in going), "entry", "entries")
    question = f"Delete {entries} ({size_text(before)}) of the cache {cache_folder()}?"
    if not confirmed(question, yes):
        say("nothing was deleted")
        raise Exit(1)
    clear_cache(kind or ())
    after = sum(each.size for each in cache_contents() if each.kind in {g.kind for g in going})
    if as_json:
        print_json({"freed": before - after})
    else:
        say(f"freed {size_text(before - after)}")
