"""Activities: who hears them, how often a counter speaks, and what it costs."""

import threading
import time

import pytest

from mmctr_kit.activity import Activity, Counter, doing, heard_by, pass_on


def test_nobody_needs_to_listen() -> None:
    doing("reading")
    pass_on(Activity("reading"))
    count = Counter("training", 3)
    count.add()
    assert count.done == 1
    assert not count.heard


def test_the_innermost_listener_hears_and_only_in_its_block_and_thread() -> None:
    outer, inner = list[str](), list[str]()
    with heard_by(lambda a: outer.append(a.text)):
        doing("one")
        with heard_by(lambda a: inner.append(a.text)):
            doing("two")
            thread = threading.Thread(target=doing, args=("elsewhere",))
            thread.start()
            thread.join()
        pass_on(Activity("three"))
    doing("four")
    assert outer == ["one", "three"]
    assert inner == ["two"]


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("mmctr_kit.activity.time.perf_counter", made)
    return made


def test_a_counter_says_where_it_is_with_its_speed_but_not_at_every_part(clock: Clock) -> None:
    heard = list[Activity]()
    with heard_by(heard.append, every=0.05):
        count = Counter("training", 400, rows=10, epoch=2, epochs=5)
        for _ in range(400):
            count.add()
            clock.now += 0.0005
    assert heard[0] == Activity("training", 0, 400, 0.0, 2, 5)
    assert 3 < len(heard) < 8
    done = [a.done for a in heard]
    assert done == sorted(done)
    assert all(a.rate == pytest.approx(10 / 0.0005) for a in heard[2:])
    assert str(heard[-1]).startswith("epoch 2/5, training ")


def test_the_speed_leaves_out_the_first_part_which_may_have_had_to_compile(clock: Clock) -> None:
    heard = list[Activity]()
    with heard_by(heard.append, every=0.0):
        count = Counter("training", 20, rows=100)
        clock.now += 0.3
        for _ in range(20):
            count.add()
            clock.now += 0.001
    assert heard[-1].rate == pytest.approx(100 / 0.001)


def test_a_counted_part_costs_less_than_three_microseconds() -> None:
    """A training step takes a millisecond or more."""
    with heard_by(lambda _: None):
        count, parts = Counter("training", 100_000, rows=1), 100_000
        best = min(_seconds(count, parts) for _ in range(5))
    assert best / parts < 3e-6


def _seconds(count: Counter, parts: int) -> float:
    began = time.thread_time()  # the processor's: another process may have it in between
    for _ in range(parts):
        count.add()
    return time.thread_time() - began


def test_an_activity_reads_as_a_phrase() -> None:
    assert str(Activity("reading train.parquet")) == "reading train.parquet"
    assert str(Activity("drawing", 3, 12)) == "drawing 25%"
    assert str(Activity("training", 1, 2, epoch=3, epochs=10)) == "epoch 3/10, training 50%"
