"""Runs in folders that Weights & Biases writes offline, for ``wandb sync`` to send later."""

import os
import shutil
from pathlib import Path

from mmctr_kit.export.folders import digest_in, mark, remove, require_folder
from mmctr_kit.export.record import Record


class WandbTracker:
    """A folder ``wandb/`` of offline runs. Nothing is sent: ``wandb sync`` does that."""

    def __init__(self, where: str | None, project: str) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self.project = project
        self.folder = require_folder(Path(where or os.environ.get("WANDB_DIR") or "."))
        self.place = str(self.folder / "wandb")

    def digest(self, record: Record) -> str | None:
        return digest_in(self._folders(record))

    def remove(self, record: Record) -> None:
        remove(self._folders(record))

    def write(self, record: Record) -> None:
        import wandb

        run = wandb.init(
            mode="offline",
            dir=self.folder,
            project=self.project,
            id=record.short,
            name=record.name,
            group=record.tags.get("study"),
            job_type=record.tags["kind"],
            config={**record.params, **record.full_tags()},
            reinit="create_new",
            # Nothing of the machine that exports: the run may be another's.
            settings=wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_git=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
        run.define_metric("epoch", hidden=True)
        for step, values in record.steps().items():
            for name in values:
                run.define_metric(name, step_metric="epoch")
            run.log({"epoch": step, **values})
        run.summary.update(dict(record.metrics))
        folder = Path(run.dir)
        for name, path in record.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
            run.save(folder / name, base_path=folder, policy="end")
        run.finish()
        mark(folder.parent, record)

    def _folders(self, record: Record) -> list[Path]:
        return sorted(Path(self.place).glob(f"offline-run-*-{record.short}"))
