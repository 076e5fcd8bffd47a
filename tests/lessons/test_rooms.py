"""A lesson's room gives each of its names when asked, whatever of it has been imported before."""
from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

from minillm.lessons import lazily
from minillm.notebook.checks import ROOMS


@pytest.mark.parametrize("room", ROOMS.values())
def test_a_name_of_a_room_stays_what_it_is_when_all_its_modules_are_loaded(room):
    here = import_module(f"minillm.lessons.{room}")
    names = here.__dir__()
    first = {name: getattr(here, name) for name in names}
    for module in pkgutil.iter_modules(here.__path__):
        import_module(f"{here.__name__}.{module.name}")
    assert names and all(getattr(here, name) is thing for name, thing in first.items())


def test_a_name_that_its_module_would_hide_is_refused():
    with pytest.raises(ValueError, match="race is a module's name and something in it"):
        lazily("room", race="race winner")
