"""Speed and time left are what the clock on the wall says, rests left out."""
import pytest

from minillm import meter as module
from minillm.meter import Meter, duration


@pytest.fixture
def wall(monkeypatch):
    class Wall:
        now = 100.0

        def perf_counter(self):
            return self.now
    wall = Wall()
    monkeypatch.setattr(module, "time", wall)
    return wall


def test_all_that_happens_between_two_notes_counts(wall):
    meter = Meter()
    meter.begin(0)
    wall.now += 4.0          # a step, an evaluation, a picture
    meter.note(8)
    assert meter.speed == 2.0 and meter.left(20) == 6.0


def test_a_rest_does_not_count(wall):
    meter = Meter()
    meter.begin(0)
    wall.now += 1.0
    meter.note(5)
    meter.pause()
    wall.now += 1000.0
    meter.begin(5)
    wall.now += 1.0
    meter.note(10)
    assert meter.speed == 5.0


def test_it_looks_back_on_the_last_while_alone(wall):
    meter = Meter(window=10.0)
    meter.begin(0)
    for done in range(1, 101):
        wall.now += 1.0 if done <= 50 else 0.1
        meter.note(done)
    assert meter.speed > 3, "five seconds at ten a second, and five at one"
    for done in range(101, 301):
        wall.now += 0.1
        meter.note(done)
    assert meter.speed == pytest.approx(10, rel=0.02)


def test_it_rests_before_it_begins_and_after_a_pause(wall):
    meter = Meter()
    assert meter.rests
    meter.begin(0)
    assert not meter.rests
    meter.pause()
    assert meter.rests


def test_before_anything_was_done_it_knows_nothing(wall):
    meter = Meter()
    assert meter.speed is None and meter.left(10) is None
    meter.begin(3)
    meter.note(3)
    assert meter.speed is None


@pytest.mark.parametrize("seconds, said", [
    (0.2, "1 s"), (8.4, "8 s"), (42, "40 s"), (131, "2 min 10 s"), (599, "10 min"), (1500, "25 min"),
    (11_100, "3 h 05 min")])
def test_times_are_told_as_one_says_them(seconds, said):
    assert duration(seconds) == said
