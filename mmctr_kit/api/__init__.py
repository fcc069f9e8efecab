"""The public functions and what they return, as ``import mmctr_kit`` offers them.

The command line calls these functions too. Everything heavy is imported by the function that needs
it, and pandas only when a table is asked for.
"""
