"""What a command can say before it loads data or torch, so that a mistake costs no waiting."""

from pathlib import Path


def training_place(runs: Path, name: str, data: Path, devices: str, suffix: str = "") -> Path:
    """Where what is trained under ``name`` goes: ``runs/NAME`` with ``suffix``, like '.study'.

    Raises UsageError for a name that is none, a GPU that is certainly absent or a folder that is
    no data folder, DataError for one that lacks needed files.
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.runs.run import run_path
    from mmctr_kit.training.gpu_probe import require_gpu

    path = run_path(runs, name, suffix)
    require_gpu(devices)
    require_folder(data)
    return path
