"""Each reader takes some hundred damaged inputs with a line or a success; an hour is a study."""

import random
from pathlib import Path

import pytest

from tests.studies import fuzz_readers
from tests.studies.fuzz_readers import Target, fuzz, mutated


def test_the_same_seed_gives_the_same_mutations() -> None:
    seeds = [b'{"a": [1, 2.5, {"b": null}]}', b"a: 1\nb: [x, y]\n"]
    first, again = ([mutated(seeds, random.Random(n)) for n in range(50)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 40


def test_a_traceback_a_hang_and_a_message_of_lines_are_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_readers, "SECONDS", 0.05)

    def read(path: Path) -> None:
        content = path.read_bytes()
        while content[:1] == b"h" and content != b"hello":
            pass
        if content != b"hello":
            raise KeyError("x")

    (tmp_path / "out").mkdir()
    result = fuzz("x", Target([("f.txt", b"hello")], read), tmp_path, tmp_path / "out", 0.3, 0)
    assert len(result.failures) == result.inputs - result.accepted > 0
    assert result.refused == 0
    assert any(line.endswith("KeyError: 'x'") for line in result.failures)
    assert list((tmp_path / "out").glob("x-0-*-f.txt"))


@pytest.mark.slow
def test_no_reader_ends_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "cache"))
    data, runs = fuzz_readers.world(tmp_path)
    names = list(fuzz_readers.targets(data, runs, tmp_path))
    results = fuzz_readers.run_targets(names, data, runs, tmp_path / "out", 1.5, 5)
    assert [failure for result in results for failure in result.failures] == []
    assert all(result.inputs for result in results)
    assert max(result.peak for result in results) < 2 * 2**30
    assert max(result.slowest for result in results) < fuzz_readers.SECONDS
