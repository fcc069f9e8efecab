"""The Typer app and the one error boundary.

Nothing heavy is imported here or in a command's module: a command imports what it needs when it
runs, so that ``--help`` and a mistyped option answer at once.
"""

import inspect
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.models import CommandInfo, TyperInfo

from mmctr_kit import __version__
from mmctr_kit.cli import (
    ablate,
    bench,
    blend,
    bundle,
    cache,
    cv,
    data,
    demo,
    export,
    fit,
    importers,
    items,
    ledger,
    recipes,
    report,
    runs,
    slices,
    submit,
    tune,
)
from mmctr_kit.cli.encoding import adapt
from mmctr_kit.cli.output import fail, stopped
from mmctr_kit.cli.settings import option_defaults, use_cache
from mmctr_kit.errors import MmctrKitError, Terminated, refusal, warn_in_one_line
from mmctr_kit.runs.call import called, command_line

_Misuse: Any = typer.BadParameter.__mro__[2]
"""Typer's error for a command line that it cannot parse: click's ClickException, which newer
versions of Typer carry inside."""

app = typer.Typer(
    name="mmctr-kit",
    epilog="Begin with: mmctr-kit demo. Each command's --help has examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(data.app, name="data")
app.add_typer(items.app, name="items")
app.command("cv")(cv.cv)
app.command("fit")(fit.fit)
app.command("ablate")(ablate.ablate)
app.command("tune")(tune.tune)
app.command("bench")(bench.bench)
app.add_typer(runs.app, name="runs")
app.command("slices")(slices.slices)
app.command("report")(report.report)
app.command("blend")(blend.blend)
app.command("export")(export.export)
app.command("submit")(submit.submit)
app.command("bundle")(bundle.bundle)
app.command("reproduce")(bundle.reproduce)
app.add_typer(ledger.app, name="ledger")
app.command("score")(submit.score)
app.command("import-checkpoint")(importers.import_checkpoint)
app.command("import-predictions")(importers.import_predictions)
app.command("recipes")(recipes.recipes)
app.add_typer(cache.app, name="cache")
app.command("demo")(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mmctr-kit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback if a command fails.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From the MMCTR challenge's parquet files to a checked submission."""
    del debug, version  # main() reads --debug itself, since it handles errors outside of the app


def flow_help(app: typer.Typer) -> None:
    """Let each command's help fill the terminal's width, whatever width its docstring has."""
    infos: list[CommandInfo | TyperInfo] = [*app.registered_commands]
    if app.registered_callback is not None:
        infos.append(app.registered_callback)
    for info in infos:
        info.help = flowed(inspect.getdoc(info.callback) or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            flow_help(group.typer_instance)


def flowed(text: str) -> str:
    """Put each paragraph on one line; an indented one, an example, stays as it is."""
    return "\n\n".join(
        part if part.startswith(" ") else " ".join(part.split()) for part in text.split("\n\n")
    )


flow_help(app)


@contextmanager
def _terminated_as_interrupted() -> Iterator[list[int]]:
    """Let SIGTERM end a command as Ctrl-C does; by default it would leave workers' locks.

    Yields a list that is empty until the signal comes.
    """
    ended: list[int] = []
    ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not ours or threading.current_thread() is not threading.main_thread():
        yield ended
        return

    def end(number: int, _: object) -> None:
        # A second one does not wait; the first does, while one long call outside of Python runs.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ended.append(number)
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _defaults(app: typer.Typer | None) -> dict[str, Any]:
    """The settings file's values of options, for each command by its name."""
    values = option_defaults()
    if app is None or not values:
        return {}
    names = [c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands]
    groups = {str(g.name): {**values, **_defaults(g.typer_instance)} for g in app.registered_groups}
    own = {key: value for key, value in values.items() if key != "data"}
    alone = dict.fromkeys(("demo", "bench"), own)  # on generated data, unless --data is given
    return {**dict.fromkeys(names, values), **groups, **alone}


def main() -> None:
    """Run the command line; a user's mistake is one line and an exit code."""
    debug = "--debug" in sys.argv[1:2]
    adapt(sys.stdout)
    adapt(sys.stderr)
    if not debug:
        warn_in_one_line()
    try:
        with _terminated_as_interrupted() as ended, called(command_line(sys.argv[1:])):
            use_cache()
            code = app(standalone_mode=False, default_map=_defaults(app))
            if code == 130:  # Typer's word for a KeyboardInterrupt, which it keeps
                raise Terminated if ended else KeyboardInterrupt
    except _Misuse as e:
        if not e.format_message():
            sys.exit(e.exit_code)  # no command at all: the help was shown
        message = e.format_message().replace("Value error, ", "")
        fail(f"{message} (--help has examples)", e.exit_code)
    except typer.Abort as e:
        stopped(e.__cause__)
    except MmctrKitError as e:
        if debug:
            raise
        fail(str(e), e.exit_code)
    except KeyboardInterrupt as e:
        stopped(e)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as e:
        if debug or (refused := refusal(e)) is None:
            raise
        fail(str(refused), refused.exit_code)
    sys.exit(code)
