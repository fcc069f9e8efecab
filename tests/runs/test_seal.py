"""mmctr_kit.runs.seal: a file of a finished folder that was changed is named, and not used."""

import errno
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.errors import RunError
from mmctr_kit.runs import seal
from mmctr_kit.runs.call import called
from mmctr_kit.runs.run import Run, all_runs, open_run
from mmctr_kit.runs.seal import (
    DamagedError,
    break_seal,
    digests_of,
    holds,
    noting_damage,
    read_seal,
    read_timings,
    require_as_sealed,
    seal_faults,
    sealed_file,
    write_seal,
    write_timings,
)
from tests.runs.test_run import finished
from tests.runs.unsealed import unsealed

CONTENT = {"a.txt": b"one\n", "folds/0-0/b.bin": bytes(range(256)), "c": b""}
SEALED = [*CONTENT, "folds/0-0/DONE"]


def sealed(folder: Path) -> Path:
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for place in (folder, folder / "folds" / "0-0"):
        write_timings(place, {"lineage": None, "seconds": 0.1 + 0.2, "é": [1, None]})
    fold = folder / "folds" / "0-0"
    write_seal(fold, digests_of(fold, ["b.bin"]))
    write_seal(folder, digests_of(folder, SEALED))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed folder. Read only."""
    return sealed(tmp_path_factory.mktemp("sealed") / "x")


def test_an_untouched_folder_has_no_fault(made: Path) -> None:
    assert seal_faults(made) == (len(SEALED) + 2, [])
    for name in SEALED:
        assert sealed_file(made, name) == made / name
    assert read_timings(made)["seconds"] == 0.1 + 0.2
    assert not holds(made, "d")


def test_sha256sum_checks_it_too(made: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    command = ["sha256sum", "--strict", "-c", "DONE"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name}: OK" for name in sorted(SEALED)]


@given(st.data())
def test_any_change_of_any_file_is_named(
    tmp_path_factory: pytest.TempPathFactory, made: Path, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "x"
    shutil.copytree(made, folder)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    name = data.draw(st.sampled_from(files))
    path = folder / name
    before = path.read_bytes()
    place = data.draw(st.integers(0, max(len(before) - 1, 0)))
    flipped = bytes([before[place] ^ 1 << data.draw(st.integers(0, 7))]) if before else b"x"
    changed = {
        "flip": before[:place] + flipped + before[place + 1 :],
        "truncate": before[:place],
        "zero": before[:place] + bytes(len(before) - place),
        "extend": before + b"\n",
    }
    after = changed[data.draw(st.sampled_from(sorted(changed)))]
    path.write_bytes(after)
    _, faults = seal_faults(folder)
    assert faults == ([] if after == before else [f"{name} was changed"])
    if after != before and name in SEALED:
        with pytest.raises(DamagedError, match="was changed since it was written"):
            sealed_file(folder, name)
    path.unlink()
    if name != "DONE":
        assert seal_faults(folder)[1] == [f"{name} is missing"]


def test_a_file_is_read_again_only_if_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = sealed(tmp_path / "x"), list[Path]()
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    time.sleep(0.15)  # a file that was changed just now is read again

    def counted(path: Path) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("mmctr_kit.runs.seal.file_sha256", counted)
    for _ in range(3):
        sealed_file(folder, "a.txt")
    assert len(read) == 1
    (folder / "a.txt").write_bytes(b"two\n")
    with pytest.raises(DamagedError):
        sealed_file(folder, "a.txt")
    (folder / "a.txt").write_bytes(b"one\n")
    assert sealed_file(folder, "a.txt").read_bytes() == b"one\n"


def test_of_an_early_or_unfinished_folder_nothing_is_compared(tmp_path: Path) -> None:
    folder = unsealed(sealed(tmp_path / "x"))
    (folder / "a.txt").write_bytes(b"two\n")
    (folder / "timings.json").write_text('{"seconds": 1}')
    assert read_seal(folder) is None
    assert sealed_file(folder, "a.txt") == folder / "a.txt"
    assert read_timings(folder) == {"seconds": 1}
    (folder / "DONE").unlink()
    (folder / "timings.json").unlink()
    assert read_timings(folder) == {}
    assert seal_faults(folder) == (0, [])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_what_may_not_be_read_is_not_to_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder = sealed(tmp_path / "x")

    def refuse(path: Path) -> str:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(seal, "file_sha256", refuse)
    with pytest.raises(
        RunError, match=rf"cannot be read \({os.strerror(number)}\); mend"
    ) as raised:
        sealed_file(folder, "a.txt")
    assert "delete" not in str(raised.value)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    for name in ("a.txt", "timings.json"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert seal_faults(folder)[1] == [
        "a.txt cannot be read (a fifo, device or socket, no file)",
        "timings.json cannot be read (a fifo, device or socket, no file)",
    ]
    (folder / "DONE").unlink()
    os.mkfifo(folder / "DONE")
    with pytest.raises(RunError, match=r"DONE cannot be read \(a fifo.*\); mend its permissions"):
        read_seal(folder)


def test_the_way_out_has_the_recorded_command(tmp_path: Path) -> None:
    with called("mmctr-kit cv x --force"):
        run = finished(tmp_path / "x")
    recipe = run.path / "recipe.yaml"
    recipe.write_text("name: y\n")
    with pytest.raises(RunError) as raised:
        run.recipe_content()
    assert str(raised.value) == (
        f"{recipe} was changed since it was written; put it back from a copy (to train another "
        f"recipe, edit a copy of it), or delete {run.path} and repeat: mmctr-kit cv x"
    )
    # A seal that is damaged itself can be made again without training.
    (run.path / "DONE").write_text("")
    with pytest.raises(RunError, match=rf"DONE was changed .*, or delete {run.path}/DONE and rep"):
        _ = run.metrics
    (run.path / "timings.json").write_text("{")
    with pytest.raises(RunError, match=r"repeat the command that made it$"):
        _ = run.metrics


def test_a_run_without_its_manifest_is_listed_and_named(tmp_path: Path) -> None:
    finished(tmp_path / "x")
    (tmp_path / "x" / "manifest.json").unlink()
    assert [run.name for run in all_runs(tmp_path)] == ["x"]
    with pytest.raises(RunError, match=r"manifest\.json is missing; put it back"):
        _ = open_run("x", tmp_path).manifest


def test_what_was_added_is_no_file_of_the_run(tmp_path: Path) -> None:
    run = Run(sealed(tmp_path / "x"))
    (run.path / "oof.parquet").write_text("")
    assert not run.has("oof.parquet")
    assert run.files("*.parquet") == []
    with pytest.raises(DamagedError, match="is not among the files that were sealed"):
        run.file("oof.parquet")


def test_a_file_that_a_user_names_is_compared_if_a_run_wrote_it(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    (folder / "manifest.json").write_text("{}")
    (folder / "mine.yaml").write_text("")
    for name in ("mine.yaml", "folds/0-0/b.bin", "a.txt"):
        require_as_sealed(folder / name)
    (folder / "folds" / "0-0" / "b.bin").write_bytes(b"")
    with pytest.raises(DamagedError):
        require_as_sealed(folder / "folds" / "0-0" / "b.bin")
    (tmp_path / "DONE").write_text("a list of what somebody has done")
    require_as_sealed(tmp_path / "mine.yaml")


def test_a_seal_is_broken_only_if_what_stays_is_as_it_was(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    (folder / "a.txt").write_bytes(b"two\n")
    with pytest.raises(DamagedError):
        break_seal(folder, ("c",))
    break_seal(folder, ("a.txt",))
    assert not (folder / "DONE").exists()


def test_what_is_done_without_is_told(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    (folder / "c").unlink()
    warned = pytest.warns(UserWarning, match="nobody compares: .*c is missing")
    with warned, noting_damage("nobody compares"):
        sealed_file(folder, "c")
    with pytest.raises(RunError, match="another"), noting_damage("nobody compares"):
        raise RunError("another")
