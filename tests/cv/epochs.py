"""A listener of fold models that hears their epochs and ends, and not what else is being done."""

from collections.abc import Callable

from mmctr_kit.cv.fold import FoldActivity, Listener, Progress


def epochs(listen: Callable[[Progress], object]) -> Listener:
    def hear(event: Progress | FoldActivity) -> None:
        if isinstance(event, Progress):
            listen(event)

    return hear
