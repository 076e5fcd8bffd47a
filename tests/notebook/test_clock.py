"""Work in steps: start, pause, step, reset, and what a changed setting does."""
import time

import pytest
import torch

from minillm.notebook import markup
from minillm.notebook.clock import Clock, one_thread
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
