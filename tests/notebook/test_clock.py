"""Work in steps: start, pause, step, reset, and what a changed setting does."""
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from minillm.meter import Meter
from minillm.notebook import markup, widgets
from minillm.notebook.clock import Clock, playing
from minillm.notebook.threads import one_thread
from minillm.notebook.widgets import slider


def counter(start=lambda by: iter(range(0, 10**6, by)), **options):
    def draw(history, by, zoom):
        return markup.card("", f"{len(history)} steps, last {history[-1] if history else None}, zoom {zoom}")
    return Clock("counter", {"by": slider("by", [1, 2, 3]), "zoom": slider("zoom", [1, 2])}, start, draw,
                 views=["zoom"], **options)


@pytest.fixture
def clock():
    made = counter(first=20, run=100)
    made.redraw()
    yield made
    made.close()


def said(clock):
    return clock.parts[0].alt


def test_the_first_picture_is_of_real_steps(clock):
    assert said(clock) == "20 steps, last 19, zoom 1"


def test_buttons_step_run_and_reset(clock):
    clock["step"].click()
    assert said(clock).startswith("21 steps")
    clock["run"].click()
    assert said(clock).startswith("121 steps")
    clock["reset"].click()
    assert said(clock).startswith("0 steps")
    clock["step"].click()
    assert said(clock).startswith("1 steps, last 0")


def test_a_tick_works_for_a_slice_and_draws_once():
    drawn = []

    def slow(by):
        while True:
            time.sleep(0.01)
            yield 0
    clock = Clock("slow", {"by": slider("by", [1])}, slow,
                  lambda history, by: drawn.append(len(history)) or markup.card("", ""), first=1)
    clock.redraw()
    clock["play"].value = 1
    assert len(drawn) == 2 and 2 <= drawn[-1] <= 20
    clock.close()


def test_a_tick_that_finds_the_last_one_at_work_is_dropped(clock):
    with clock._tick:
        clock["play"].value = 1
    assert len(clock.history) == 20


def test_a_tick_on_its_way_when_the_goal_is_reached_makes_no_step(clock):
    clock._handles = [None]                            # as if a page had it
    before, ticks = len(clock.history), iter(range(1, 1000))
    clock["run"].click()
    goal = clock._goal
    while clock.playing:
        clock["play"].value = next(ticks)
    assert len(clock.history) == goal > before
    clock["play"].value = next(ticks)
    assert len(clock.history) == goal
    clock._handles = []


def test_a_setting_starts_a_fresh_run_and_a_view_does_not(clock):
    clock["zoom"].value = 2
    assert said(clock) == "20 steps, last 19, zoom 2"
    clock["by"].value = 3
    clock["step"].click()
    clock["step"].click()
    assert said(clock) == "2 steps, last 3, zoom 2"


def test_work_that_ends_stops_the_clock():
    clock = counter(lambda by: iter(range(5)), first=3)
    clock.redraw()
    clock["run"].click()
    assert clock.finished and len(clock.history) == 5
    clock["reset"].click()
    assert not clock.finished
    clock.close()


def test_a_closed_clock_does_no_work(clock):
    clock.close()
    clock["play"].value = 5
    assert clock.advance(3) == 0 and len(clock.history) == 20


def test_an_error_while_working_is_told_in_the_widget():
    def broken(by):
        yield 1
        raise RuntimeError("out of ideas")
    clock = counter(broken, first=1)
    clock.redraw()
    clock["step"].click()
    assert isinstance(clock.error, RuntimeError) and "out of ideas" in clock._note.value
    clock.close()


def test_work_runs_on_one_thread_and_gives_the_others_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.fixture
def shown_clock(monkeypatch):
    """A clock on a page whose Play ticks only when the test says so."""
    class Page:
        def display(self, data, *, raw, metadata=None, display_id=None):
            return self if display_id else None
    monkeypatch.setattr(widgets, "display", Page().display)

    def slow(by):
        for i in range(0, 10**6, by):
            time.sleep(0.002)
            yield i
    made = counter(slow, first=2, run=100)
    made._ipython_display_()
    yield made
    made.close()


def tick(clock):
    clock["play"].value += 1


def test_on_a_page_run_sets_a_goal_that_the_clock_works_off(shown_clock):
    shown_clock["run"].click()
    assert len(shown_clock.history) == 2, "the press itself makes no step"
    assert shown_clock.playing and shown_clock["run"].description == "stop"
    while shown_clock.playing:
        before = len(shown_clock.history)
        tick(shown_clock)
        assert len(shown_clock.history) - before <= 52, "no callback may hold the page: 50 steps fill its slice"
    assert len(shown_clock.history) == 102, "neither fewer nor more"
    assert not shown_clock.playing and shown_clock["run"].description == "run 100 steps"


@pytest.mark.parametrize(("options", "words"), [
    ({}, "run 100 steps"), ({"unit": "turn"}, "run 100 turns"),
    ({"buttons": {"run": "judge", "reset": "judge it again"}}, "judge")])
def test_a_button_gets_its_own_words_back_after_each_run(options, words):
    clock = counter(first=2, run=100, **options)
    for act in (lambda: None, clock["run"].click, clock.pause, clock["reset"].click):
        act()
        assert clock["run"].description == words
    clock.close()


def test_stop_ends_the_goal_where_it_is(shown_clock):
    shown_clock["run"].click()
    tick(shown_clock)
    shown_clock["run"].click()
    made = len(shown_clock.history)
    assert 2 < made < 102 and not shown_clock.playing and shown_clock["run"].description == "run 100 steps"


def test_a_press_cancels_what_runs_before_it_waits(shown_clock):
    work = threading.Thread(target=shown_clock.advance, kwargs={"n": 5000})   # a slice that nothing else would end
    with shown_clock._tick:
        work.start()
        time.sleep(0.05)
        threading.Timer(0.01, shown_clock._cancelled.set).start()
        work.join(5.0)                                 # uncancelled it takes ten
    assert not work.is_alive()
    shown_clock["reset"].click()
    assert len(shown_clock.history) == 0


def test_an_interrupt_waits_for_the_end_of_the_step():
    ran = []

    def pair(by):
        for i in range(10):
            ran.append(("one", i))
            if i == 3:
                signal.raise_signal(signal.SIGINT)
            ran.append(("other", i))
            yield i
    clock = counter(pair, first=1)
    with pytest.raises(KeyboardInterrupt):
        clock.advance(10)
    assert clock.history == [0, 1, 2, 3] and ran[-1] == ("other", 3)
    assert clock.advance(1) == 1 and clock.history[-1] == 4, "and it goes on from there"
    clock.close()


def test_how_far_how_fast_and_how_long_stand_beside_the_buttons():
    clock = counter(first=20, limit=400)
    clock.redraw()
    assert "step 20 of 400" in clock._told.value and "to its end on this machine" in clock._told.value
    clock.advance()
    assert "the run is over; a new one begins with “reset”" in clock._told.value
    clock.reset()
    assert "step 0 of 400" in clock._told.value and "over" not in clock._told.value
    clock.close()


def test_a_picture_that_takes_long_leaves_three_quarters_of_the_time_to_the_work(shown_clock, monkeypatch):
    """Pictures of 0.2 s, steps of 0.05 s, by a clock of the test's own."""
    now, drawn = [100.0], []
    monkeypatch.setattr("minillm.notebook.clock.time", SimpleNamespace(
        perf_counter=lambda: now[0], monotonic=time.monotonic))
    before = shown_clock._draw

    def dear(history, **values):
        now[0] += 0.2
        drawn.append(len(history))
        return before(history, **values)
    shown_clock._draw, shown_clock._work = dear, iter(lambda: now.__setitem__(0, now[0] + 0.05), 1)
    setattr(shown_clock._play, playing(shown_clock._play), True)
    began, ticks = now[0], 0
    while now[0] < began + 8.0:
        tick(shown_clock)
        ticks += 1
    worked = 0.05 * (len(shown_clock.history) - 2)
    assert worked > 0.7 * (now[0] - began) and len(drawn) > 5
    assert ticks > 3 * len(drawn), "each tick is a slice, and most draw nothing"
    while drawn[-1] == len(shown_clock.history):
        tick(shown_clock)
    setattr(shown_clock._play, playing(shown_clock._play), False)
    assert drawn[-1] == len(shown_clock.history), "paused, it shows where it stands"
    count = len(drawn)
    setattr(shown_clock._play, playing(shown_clock._play), True)
    setattr(shown_clock._play, playing(shown_clock._play), False)
    assert len(drawn) == count, "and draws nothing twice"


@pytest.mark.parametrize(("whole", "slice_"), [(1000, 0.1), (9000, 0.3)])      # steps: 20 s, three minutes
def test_a_long_run_works_in_longer_slices_to_its_end_and_tells_twice_a_second(whole, slice_, shown_clock, monkeypatch):
    """Steps of 0.02 s, pictures of no time, by a clock of the test's own."""
    now, told = [100.0], []
    monkeypatch.setattr("minillm.notebook.clock.time", SimpleNamespace(
        perf_counter=lambda: now[0], monotonic=time.monotonic))
    monkeypatch.setattr("minillm.meter.time", SimpleNamespace(perf_counter=lambda: now[0]))
    shown_clock._limit, shown_clock.history, shown_clock.meter = whole, [0] * (whole - 500), Meter()
    shown_clock._work = iter(lambda: now.__setitem__(0, now[0] + 0.02), 1)
    shown_clock._told.observe(lambda _: told.append(now[0]), "value")
    setattr(shown_clock._play, playing(shown_clock._play), True)
    began, ticks = now[0], 0
    while now[0] < began + 6.0:
        tick(shown_clock)
        ticks += 1
    assert 6.0 / ticks == pytest.approx(slice_, abs=0.03)
    assert 8 <= len(told) <= 13
    shown_clock.pause()


def test_a_screen_reader_hears_a_sentence_to_its_end(shown_clock):
    shown_clock["run"].click()
    tick(shown_clock)
    said = shown_clock._words.value
    tick(shown_clock)
    assert shown_clock._words.value == said, "not one more within a few seconds"
    shown_clock["run"].click()
    assert shown_clock._words.value != said, "but where it stopped is told"


def test_auto_starts_by_itself_after_a_pause(monkeypatch):
    class Page:
        def display(self, data, *, raw, metadata=None, display_id=None):
            return self if display_id else None
    monkeypatch.setattr(widgets, "display", Page().display)
    now = [100.0]
    monkeypatch.setattr("minillm.notebook.clock.time",
                        SimpleNamespace(perf_counter=time.perf_counter, monotonic=lambda: now[0]))
    clock = counter(first=1, limit=50, auto=0.2)
    clock._ipython_display_()
    clock["by"].value = 2
    tick(clock)
    assert clock.history == [] and clock.playing, "still typing"
    now[0] += 0.25
    tick(clock)
    assert len(clock.history) == 50 and clock.history[1] == 2 and not clock.playing
    clock.close()


def test_a_clock_that_is_shown_again_goes_on_where_it_was(shown_clock):
    shown_clock.advance(5)
    history = shown_clock.history
    again = counter(shown_clock._start, first=2, run=100)
    again._ipython_display_()
    assert again.history is history and len(again.history) == 7 and shown_clock.closed
    again.advance(1)
    assert again.history[-1] == 7
    again.close()
