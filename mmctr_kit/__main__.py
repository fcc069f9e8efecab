"""``python -m mmctr_kit``: the same as the ``mmctr-kit`` command."""

from mmctr_kit.cli.app import main

if __name__ == "__main__":
    main()
