"""Calls of public functions that runs, studies and ablations record as where they come from."""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from mmctr_kit.runs.call import called, calling, without_secrets

P = ParamSpec("P")
T = TypeVar("T")


def recorded(function: Callable[P, T]) -> Callable[P, T]:
    """Let what a public function begins record its call, unless a command line is known."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if calling() is not None:
            return function(*args, **kwargs)
        with called(call_text(function, args, kwargs)):
            return function(*args, **kwargs)

    return call


def call_text(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> str:
    """The call as Python, without passwords; what is no plain value is shown by its type."""
    given = [plain(value) for value in args]
    given += [f"{key}={plain(value)}" for key, value in kwargs.items() if key != "progress"]
    return f"mmctr_kit.{function.__name__}({', '.join(given)})"


def plain(value: Any) -> str:
    """A value as Python writes it; data and runs are named by their folder."""
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.runs.run import Run

    if isinstance(value, Run):
        value = value.path
    elif isinstance(value, ChallengeData):
        value = value.folder
    if isinstance(value, str | Path):
        return repr(without_secrets(str(value)))
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{plain(k)}: {plain(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(plain, value))}]"
    return f"<{type(value).__name__}>"
