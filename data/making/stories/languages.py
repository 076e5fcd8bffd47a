"""Tell the stories of the English file in four more languages, story by story from the same logs.

Story i of every file here tells the same as story i of the others, and as the English story of the same seed.  The
lessons, postcards and travellers of the English stories are about countries and told in English alone: left out.
"""
from collections.abc import Iterator
from itertools import count, islice

from . import arabic, chinese, hindi, spanish
from . import events as e
from .chance import Dice
from .plots import happen
from .tongue import Tongue, tell

TONGUES: dict[str, Tongue] = {"es": spanish.TONGUE, "ar": arabic.TONGUE, "zh": chinese.TONGUE, "hi": hindi.TONGUE}
STORIES = 1000
ENGLISH_ALONE = (e.Lesson, e.Postcard, e.Traveller)


def logs() -> Iterator[tuple[int, list[e.Event]]]:
    """Yield (seed, log) of the stories that are told in every language."""
    for seed in count():
        log = list(happen(Dice(f"world {seed}"), facts=True))
        if not any(isinstance(event, ENGLISH_ALONE) for event in log):
            yield seed, log


def stories(code: str, number: int = STORIES) -> Iterator[str]:
    """Yield stories in the language of an ISO 639 code."""
    for seed, log in islice(logs(), number):
        yield tell(TONGUES[code], Dice(f"{code} {seed}"), log)
