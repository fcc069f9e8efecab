"""``python -m mmctr_kit``, and the ``mmctr-kit`` command."""

import sys


def run() -> None:
    """The command line; interrupted while it is still being imported, it ends as it does later."""
    try:
        from mmctr_kit.cli.app import main
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
