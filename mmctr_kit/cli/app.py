"""The Typer app and the one error boundary.

Nothing heavy is imported here or in a command's module: a command imports what it needs when it
runs, so that ``--help`` and a mistyped option answer at once.
"""

import inspect
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

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
    doctor,
    export,
    export_model,
    fit,
    importers,
    items,
    ledger,
    mistakes,
    predict,
    recipes,
    report,
    runs,
    slices,
    submit,
    tune,
    verbosity,
)
from mmctr_kit.cli.encoding import adapt
from mmctr_kit.cli.faults import explain, unraised_to_the_log
from mmctr_kit.cli.help import Command, Group
from mmctr_kit.cli.output import fail, stopped
from mmctr_kit.cli.settings import key_of, option_defaults, use_cache
from mmctr_kit.errors import MmctrKitError, Terminated, refusal, visible, warn_in_one_line
from mmctr_kit.runs.call import called, command_line

app = typer.Typer(
    name="mmctr-kit",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order of work; mmctr_kit.cli.help has the order of the panels.
app.command("demo", rich_help_panel="Begin")(demo.demo)
app.command("doctor", rich_help_panel="Begin")(doctor.doctor)
app.add_typer(data.app, name="data", rich_help_panel="Data")
app.add_typer(items.app, name="items", rich_help_panel="Data")
app.add_typer(cache.app, name="cache", rich_help_panel="Data")
app.command("recipes", rich_help_panel="Train")(recipes.recipes)
app.command("cv", rich_help_panel="Train")(cv.cv)
app.command("fit", rich_help_panel="Train")(fit.fit)
app.command("tune", rich_help_panel="Train")(tune.tune)
app.command("ablate", rich_help_panel="Train")(ablate.ablate)
app.command("bench", rich_help_panel="Train")(bench.bench)
app.command("blend", rich_help_panel="Blend")(blend.blend)
app.command("import-predictions", rich_help_panel="Blend")(importers.import_predictions)
app.command("import-checkpoint", rich_help_panel="Blend")(importers.import_checkpoint)
app.command("predict", rich_help_panel="Blend")(predict.predict)
app.command("submit", rich_help_panel="Submit")(submit.submit)
app.command("score", rich_help_panel="Submit")(submit.score)
app.add_typer(ledger.app, name="ledger", rich_help_panel="Submit")
app.command("bundle", rich_help_panel="Submit")(bundle.bundle)
app.command("reproduce", rich_help_panel="Submit")(bundle.reproduce)
app.add_typer(runs.app, name="runs", rich_help_panel="Look")
app.command("report", rich_help_panel="Look")(report.report)
app.command("slices", rich_help_panel="Look")(slices.slices)
app.command("export", rich_help_panel="Look")(export.export)
app.command("export-model", rich_help_panel="Look")(export_model.export_model)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mmctr-kit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and results only.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more of what is being done, with times.")
    ] = False,
    log_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Add all of it to FILE, each line with its time."),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback if a command fails.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From the MMCTR challenge's parquet files to a checked submission.

    What all your commands share need not be typed each time. Set it in the environment
    (MMCTR_KIT_DATA, MMCTR_KIT_RUNS, MMCTR_KIT_DEVICE, MMCTR_KIT_JOBS), or in a file mmctr-kit.toml
    in the folder where you work, such as: data = "download". An option comes first, then the
    environment, then the file.

    [bold]Examples[/bold]

      mmctr-kit demo
      mmctr-kit data check DATA
      mmctr-kit cv din_official --data DATA
      mmctr-kit runs
    """
    del debug, quiet, verbose, log_file, version  # main() takes them out, wherever they stand


def flow_help(app: typer.Typer) -> None:
    """Lay out the help of every command here, to fill the terminal, whatever its docstring has."""
    infos: list[CommandInfo | TyperInfo] = [*app.registered_commands]
    if app.registered_callback is not None:
        infos.append(app.registered_callback)
    for info in infos:
        info.help = flowed(inspect.getdoc(info.callback) or "") or info.help
        if isinstance(info, CommandInfo):
            info.cls = Command
    for group in app.registered_groups:
        group.cls = Group
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
    """Let SIGTERM, and SIGHUP of a closed terminal, end a command as Ctrl-C does.

    By default they would leave workers' locks; what ``nohup`` ignores stays ignored. Yields a list
    that is empty until a signal comes, and then holds its number.
    """
    ended: list[int] = []
    asked = [signal.SIGTERM]
    if hasattr(signal, "SIGHUP"):  # not on Windows
        asked.append(signal.SIGHUP)
    ours = [each for each in asked if signal.getsignal(each) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []

    def restore() -> None:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)

    def end(number: int, _: object) -> None:
        # A second one does not wait; the first does, while one long call outside of Python runs.
        restore()
        ended.append(number)
        raise Terminated(number)

    for each in ours:
        signal.signal(each, end)
    try:
        yield ended
    finally:
        restore()


def _defaults(app: typer.Typer | None) -> dict[str, Any]:
    """The settings file's values of options, for each command by its name."""
    values = option_defaults()
    if app is None or not values:
        return {}
    names = [c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands]
    groups = {str(g.name): {**values, **_defaults(g.typer_instance)} for g in app.registered_groups}
    own = {key: value for key, value in values.items() if key_of(key) != "data"}
    alone = dict.fromkeys(("demo", "bench"), own)  # on generated data, unless --data is given
    return {**dict.fromkeys(names, values), **groups, **alone}


def main() -> None:
    """Run the command line; a user's mistake, and a fault of the kit, is one line and a code."""
    adapt(sys.stdout)
    adapt(sys.stderr)
    asked = verbosity.Verbosity("--debug" in sys.argv)
    line = command_line(sys.argv[1:])
    try:
        asked, arguments = verbosity.take(sys.argv[1:])
        verbosity.begin(asked, arguments)
        if not asked.debug:
            warn_in_one_line()
        with unraised_to_the_log(), _terminated_as_interrupted() as ended, called(line):
            use_cache()
            code = app(
                arguments,
                prog_name="mmctr-kit",
                standalone_mode=False,
                default_map=_defaults(app),
            )
            if code == 130:  # Typer's word for a KeyboardInterrupt, which it keeps
                raise Terminated(ended[0]) if ended else KeyboardInterrupt
            sys.stdout.flush()  # so that a full disk, or a closed pipe, is an error here
    except mistakes.Misuse as e:
        _refuse(e, mistakes.explain(e), e.exit_code, asked.debug)
    except typer.Abort as e:
        stopped(e.__cause__)
    except MmctrKitError as e:
        _refuse(e, str(e), e.exit_code, asked.debug)
    except KeyboardInterrupt as e:
        stopped(e)
    except BrokenPipeError:
        # What reads the output has enough of it; nothing more is written when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (OSError, UnicodeEncodeError) as e:
        refused = refusal(e)
        message = explain(e, line) if refused is None else str(refused)
        _refuse(e, message, 1 if refused is None else refused.exit_code, asked.debug)
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as e:  # Rust's panics are no Exception
        _refuse(e, explain(e, line), 1, asked.debug)
    finally:
        verbosity.end()
    sys.exit(code)


def _refuse(error: BaseException, message: str, code: int, debug: bool) -> NoReturn:
    """End with the code of a user's mistake, its message and with ``debug`` the traceback."""
    if debug:
        sys.stderr.write(visible("".join(traceback.format_exception(error))))
    if not message:
        sys.exit(code)  # no command at all: the help was shown
    fail(message, code)
