"""Help texts: what a docstring's line ends mean on a terminal."""

import inspect

import typer
from typer.models import CommandInfo, TyperInfo


def flow_help(app: typer.Typer) -> None:
    """Let each command's help fill the terminal's width, whatever width its docstring has."""
    infos: list[CommandInfo | TyperInfo] = [*app.registered_commands]
    if app.registered_callback is not None:
        infos.append(app.registered_callback)
    for info in infos:
        text = inspect.getdoc(info.callback)
        if text is not None:
            info.help = flowed(text)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            flow_help(group.typer_instance)


def flowed(text: str) -> str:
    """The text with each paragraph on one line; an indented one, an example, stays as it is."""
    return "\n\n".join(
        part if part.startswith(" ") else " ".join(part.split()) for part in text.split("\n\n")
    )
