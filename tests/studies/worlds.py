"""Generated data sets for the studies: the demo preset with fewer users, all else in proportion."""

from dataclasses import replace
from pathlib import Path

from mmctr_kit.challenge.synth import PRESETS, generate
from mmctr_kit.challenge.synth.presets import ROWS_PER_USER

DEMO = PRESETS["demo"]


def small_demo(work: Path, users: int, seed: int) -> Path:
    """The folder of the demo data of so many train users (10,000: the demo itself), made once."""
    home = work / f"demo-{users}-{seed}"
    if not home.exists():
        share = users / DEMO.train_users
        preset = replace(
            DEMO,
            train_users=users,
            valid_users=int(DEMO.valid_users * share),
            test_rows=ROWS_PER_USER * int(DEMO.test_users * share),
            n_items=int(DEMO.n_items * share),
        )
        generate(home, preset, seed=seed)
    return home
