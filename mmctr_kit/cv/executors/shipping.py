"""Folders as bytes, for workers that do not see the disk of the command: fold folders and data.

A fold folder holds files alone and travels whole, with a digest over names and contents. The files
of a data folder travel once to each machine, into its cache, in a folder named by their contents.
"""

import hashlib
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmctr_kit.data.cache import cache_folder, content_hash
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import DataError, MmctrKitError, RunError
from mmctr_kit.files import locked, made_folder
from mmctr_kit.items.features import content_hashes
from mmctr_kit.recipe import Recipe


@dataclass(frozen=True)
class Parcel:
    """The files of a folder by name, with the sha256 of them all."""

    files: Mapping[str, bytes]
    sha256: str

    @classmethod
    def of(cls, folder: Path) -> "Parcel":
        """The folder's files as they are now, temporary ones left out."""
        files = {p.name: p.read_bytes() for p in sorted(folder.glob("[!.]*"))}
        return cls(files, _digest(files))

    def unpack(self, folder: Path) -> None:
        """Put the files into the place of ``folder``, whole or not at all.

        Raises RunError if they are not what was sent.
        """
        if _digest(self.files) != self.sha256:
            raise RunError(f"{folder} arrived damaged; run the command again")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with made_folder(folder, replace=True) as part:
            for name, content in self.files.items():
                (part / name).write_bytes(content)


def _digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name}\n{len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()


@dataclass(frozen=True)
class DataFiles:
    """The files that a recipe reads of a data set: where they are, and the sha256 of each.

    A name is a path inside the data folder, or the recipe key that names the file.
    """

    paths: Mapping[str, Path]
    hashes: Mapping[str, str]

    @classmethod
    def of(cls, recipe: Recipe, data: ChallengeData) -> "DataFiles":
        """The files of the recipe on the data, and the given embeddings, which trials may try."""
        hashes = content_hashes(recipe, data)
        given = FILES["item_emb"].path
        if (data.folder / given).is_file():
            hashes[given] = content_hash(data.folder / given)
        keys = {f"items.{key}": Path(path).resolve() for key, path in recipe.items.files.items()}
        folder = data.folder.resolve()
        return cls({name: keys.get(name, folder / name) for name in hashes}, hashes)

    def are_here(self) -> bool:
        """Whether this machine has the same files under the same paths."""
        return self._are(self.paths)

    def are_placed(self) -> bool:
        """Whether :meth:`place` has put the files into this machine's cache, and they are whole."""
        return self._are({name: self.placed / name for name in self.paths})

    def _are(self, paths: Mapping[str, Path]) -> bool:
        with suppress(MmctrKitError):  # one is not there, or not readable
            return all(content_hash(path) == self.hashes[name] for name, path in paths.items())
        return False

    def read(self) -> dict[str, bytes]:
        """The contents of the files; DataError if one is not what it was."""
        contents = {name: path.read_bytes() for name, path in self.paths.items()}
        for name, content in contents.items():
            if hashlib.sha256(content).hexdigest() != self.hashes[name]:
                raise DataError(
                    f"{self.paths[name]} changed while the command ran; run it again when the "
                    "file is whole"
                )
        return contents

    @property
    def placed(self) -> Path:
        """The folder of this machine's cache in which the files are put."""
        return cache_folder() / f"placed-{fingerprint(dict(self.hashes))[:24]}"

    def place(self, contents: Mapping[str, bytes]) -> Path:
        """Put the files into this machine's cache, unless they are there; returns their folder.

        Files that were damaged there are replaced, with a warning.
        """
        folder = self.placed
        with locked(folder, wait=True):
            if not self.are_placed():
                if folder.is_dir():
                    warnings.warn(f"{folder} was damaged: data sent again", stacklevel=2)
                with made_folder(folder, replace=True) as part:
                    for name, content in contents.items():
                        (part / name).parent.mkdir(parents=True, exist_ok=True)
                        (part / name).write_bytes(content)
        return folder

    def recipe_at(self, recipe: Recipe, folder: Path | None) -> Recipe:
        """The recipe, its files where :meth:`place` put them, or (None) by their whole paths."""
        names = [f"items.{key}" for key in recipe.items.files]
        places = {name: self.paths[name] if folder is None else folder / name for name in names}
        return recipe.changed({name: str(place) for name, place in places.items()})
