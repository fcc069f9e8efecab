"""A disk that loses what it was not asked to keep: what power cuts at any moment would leave."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Files = dict[str, bytes]
"""The files under a folder, by path, and their content."""


class Disk:
    """Records the system calls under ``root``, and what a power cut before or after each leaves.

    A file's content is on the disk as it was when the file was last synchronised; empty before. A
    name is on the disk when its folder was synchronised, and may be before. ``cuts`` has both.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self._patch = root, patch
        self.cuts: list[Files] = []
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, tuple[int, bool]]] = {}
        self._held: list[int] = []

    def __enter__(self) -> "Disk":
        self._keep_all()
        self._context = self._patch.context()
        patch = self._context.__enter__()
        for name in ("replace", "rename", "mkdir", "rmdir", "unlink"):
            patch.setattr(os, name, self._recorded(getattr(os, name), lambda _: None))
        patch.setattr(os, "fsync", self._recorded(os.fsync, self._keep))
        patch.setattr(os, "sync", self._recorded(os.sync, lambda *_: self._keep_all()))
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)
        self.cuts += self.now()
        for descriptor in self._held:
            os.close(descriptor)

    def now(self) -> list[Files]:
        """What a cut now leaves if no name is on the disk that need not be, and if all are."""
        named = {}
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names):
                named[str(path.relative_to(self.root))] = self._files.get(path.stat().st_ino, b"")
        return [self._stored(self.root.stat().st_ino, ""), named]

    def _stored(self, folder: int, prefix: str) -> Files:
        stored: Files = {}
        for name, (inode, is_folder) in self._folders.get(folder, {}).items():
            if is_folder:
                stored |= self._stored(inode, f"{prefix}{name}/")
            else:
                stored[f"{prefix}{name}"] = self._files.get(inode, b"")
        return stored

    def _recorded(self, call: Callable[..., Any], keep: Callable[[Any], None]) -> Any:
        def recorded(*arguments: Any, **named: Any) -> Any:
            self.cuts += self.now()
            result = call(*arguments, **named)
            keep(*arguments[:1] or (None,))
            self.cuts += self.now()
            return result

        return recorded

    def _keep(self, descriptor: int) -> None:
        inode, held = os.fstat(descriptor).st_ino, os.dup(descriptor)
        self._held.append(held)  # so that no other file is given its number
        path = Path(f"/proc/self/fd/{held}")
        if path.is_dir():
            with os.scandir(path) as entries:
                self._folders[inode] = {
                    e.name: (e.stat(follow_symlinks=False).st_ino, e.is_dir()) for e in entries
                }
        else:
            self._files[inode] = path.read_bytes()

    def _keep_all(self) -> None:
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                descriptor = os.open(path, os.O_RDONLY)
                self._keep(descriptor)
                os.close(descriptor)
