"""``python -m mmctr_kit``, and the ``mmctr-kit`` command."""

import os
import sys


def run() -> None:
    """The command line; interrupted while it is still being imported, it ends as it does later."""
    _open_closed_streams()
    try:
        from mmctr_kit.cli.app import main
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except ImportError as e:
        if "--debug" in sys.argv:
            raise
        why = " ".join(ascii(str(e)).split())
        print(f"error: mmctr-kit cannot be loaded ({why}); install it again", file=sys.stderr)
        sys.exit(1)
    main()


def _open_closed_streams() -> None:
    """Discard what goes to a standard stream that the shell has closed, as ``>&-`` does.

    Else the next file that is opened would get its number, and be written to in its place.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    # Python's own are None then. Kept open to the end, for what is printed while it ends.
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    run()
