"""Tell in English what happened, in sentences that one could find in a children's book.

The sentence patterns stand in patterns/english.txt, under the name of the event they tell.  In a pattern `{who}` is
a slot (a field of the event), `[a|b]` a choice, `//` a new line.  A person is named, or called he or she where only
one can be meant.
"""
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from pathlib import Path

from . import events as e
from .chance import Chooser
from .lexicon import FOODS, NOUNS, a, listed, slots_of, upper
from .world import CLOTHES, DISHES, FAIR, HANDMADE, INDOORS, KIN, ROOMS, Animal, Kin, Person, Role, Thing, Who

# for events that are told in several ways: the field that says which patterns to use
KIND = {
    "Sight": "act", "Feel": "feeling", "Occasion": "reason", "Idea": "means", "Eat": "verdict", "Hear": "sound",
    "Trouble": "trouble", "AnimalEnd": "end", "PetGone": "way", "Clue": "trace", "PetFound": "doing",
    "Giveaway": "sign", "Advice": "way", "Peace": "way", "Broken": "damage", "Mend": "means", "Repay": "favour",
    "Plan": "plan", "WeatherTurns": "change", "NewPlan": "plan", "Afraid": "fear", "Comfort": "way", "Brave": "fear",
    "Tend": "care", "Chore": "chore", "Hungry": "why", "Boast": "claim", "Trick": "trick", "Moral": "moral",
    "NightNoise": "noise", "Reveal": "source", "Setback": "cause", "Closing": "end", "Lesson": "aid", "Quiz": "fact",
    "Stuck": "fact", "Talk": "fact", "Alike": "game",
}
# these begin a new paragraph, if the old one is more than a sentence
NEW_PARAGRAPH = (e.Go, e.GoTogether, e.Meet, e.Trouble, e.Occasion, e.Cook, e.WeatherTurns, e.Afraid, e.Done, e.Own,
                 e.PetGone, e.Note, e.Hungry, e.Newcomer, e.Sprout, e.Find, e.Broken, e.Win, e.Setback, e.NightNoise,
                 e.Lesson, e.Postcard, e.Build, e.Plan, e.Sow, e.Send)
# after these words somebody is him or her, after those always named
OBJECT = set("with of to gave sent asked met give for from by saw told thanked let than beside after helped about "
             "brought visit showed kept taught followed seen took".split())
NAMED = {"and", "was"}
PRONOUNS = {"f": {"he": "she", "him": "her", "his": "her"}, "m": {"he": "he", "him": "him", "his": "his"},
            "n": {"he": "it", "him": "it", "his": "its"}}


# ---- patterns --------------------------------------------------------------------------------------------
def spread(pattern: str) -> list[str]:
    """Write out the choices of a pattern: "a [b|c]" -> "a b", "a c"."""
    parts = re.split(r"\[([^\]]*)\]", pattern)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(words) for words in product(*choices)]


@cache
def patterns() -> dict[str, list[str]]:
    """Return heading -> patterns, from patterns/english.txt."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "patterns" / "english.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            found[line[2:]] = current = []
        elif line.strip():
            current.append(line)
    return found


@cache
def variants(heading: str) -> list[tuple[str, float]]:
    """Return the patterns under a heading, choices written out, each with its weight (1 in all for a line).

    In fair weather one may say all that one may say in any, and more: "Aside.park.fair" holds "Aside.park" too.
    """
    plain = heading.removesuffix(".fair")
    lines = patterns()[plain] + (patterns().get(heading, []) if plain != heading else [])
    return [(variant, 1 / len(spread(pattern))) for pattern in lines for variant in spread(pattern)]


def heading_of(event: e.Event) -> str:
    """Return under which heading of patterns/english.txt the event is told."""
    name = type(event).__name__
    match event:
        case e.Frame():
            return "Frame.weekday" if event.weekday else "Frame"
        case e.Own():
            made = ".handmade" if event.thing.kind in HANDMADE and event.thing.size != "old" else ""
            return f"Own.kin{made}" if event.source in KIN else f"Own.{event.source}"
        case e.Go() if event.start in (*ROOMS, "garden") and event.end in (*ROOMS, "garden"):
            return "Go.home"
        case e.Go() if event.end in ROOMS:
            return "Go.back"
        case e.Go() if event.via:
            return "Go.via"
        case e.Go():
            return "Go" if event.start in (*INDOORS, "garden") else "Go.on"
        case e.Meet():
            return "Meet.doing" if event.doing else "Meet"
        case e.Search():
            return "Search.person" if isinstance(event.what, Person) else "Search"
        case e.Play():
            return "Play.wear" if event.thing.kind in CLOTHES else "Play"
        case e.Make():
            return "Make.helper" if event.helper else "Make"
        case e.Give() | e.Delight():
            return f"{name}.food" if event.thing.kind in DISHES else name
        case e.Cure():
            return f"Cure.{event.cure}" + (".helper" if event.helper else "")
        case e.Stumble():
            return "Stumble.helps" if event.helps else "Stumble.alone"
        case e.Win():
            return "Win.both" if event.both else "Win"
        case e.Grown():
            return "Grown.fruit" if event.plant == "pumpkin" else "Grown.flower"
        case e.Work():
            return "Work.well" if event.well else "Work.badly"
    return f"{name}.{getattr(event, KIND[name])}" if name in KIND else name


# ---- what the reader has in mind ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Memory:
    """Whom the reader knows, who was spoken of in the last sentences, where the story is."""

    hero: Person | None = None
    known: frozenset[Who | Thing] = frozenset()
    before: tuple[frozenset[Who], ...] = ()  # the people of the earlier sentences of this paragraph
    now: tuple[Who, ...] = ()  # the people of this sentence, in order
    place: str | None = None
    started: bool = False
    length: int = 0  # sentences in this paragraph
    spoke: bool = False  # the last event was told in direct speech
    asked: str | None = None  # the fact that was asked about last

    def end_sentence(self) -> "Memory":
        return replace(self, before=(*self.before, frozenset(self.now))[-3:], now=())

    def end_paragraph(self) -> "Memory":
        return replace(self, before=(), now=())

    def mention(self, who: Who) -> "Memory":
        hero = self.hero or (who if isinstance(who, Person) else None)
        return replace(self, hero=hero, known=self.known | {who}, now=(*self.now, who))

    def clear(self, who: Who) -> bool:
        """Is `who` fresh in mind, and the only one whom he, she or it can mean?"""
        recent = set(self.now).union(*self.before[-1:])
        rivals = {one for one in recent.union(*self.before[-2:]) if one != who and one.gender == who.gender}
        return who in recent and not rivals


def person(who: Who, case: str, memory: Memory, before: str, quoted: bool) -> str:
    """Name somebody, or say he or she; case: "" by the word before, "name" never a pronoun, he him his 's."""
    word = re.search(r"(\w+) $", before)
    word = word.group(1).lower() if word else ""
    forms = PRONOUNS[who.gender]
    rivals = [one for one in memory.now if one != who and one.gender == who.gender]
    if case in ("he", "his") and who in memory.now or case == "him" and who in memory.now and not rivals:
        return forms[case]
    if case in ("he", "him", "his") and memory.clear(who):
        return forms[case]
    if case == "he" and memory.before and who in memory.before[-1]:
        return forms["he"]
    if case in ("", "'s") and memory.clear(who) and not quoted and word not in NAMED:
        return forms["his" if case == "'s" else "him" if word in OBJECT else "he"]
    return called(who, memory, quoted) + ("'s" if case in ("his", "'s") else "")


def called(who: Who, memory: Memory, quoted: bool) -> str:
    """Say a name; the first time also who that is."""
    match who:
        case Person() if quoted or who in memory.known:
            return who.name
        case Person() if not who.is_child:
            return f"{who.name} the {who.job}"
        case Person() if memory.hero and who != memory.hero and who.town == memory.hero.town:
            return f"{person(memory.hero, 'his', memory, '', False)} friend {who.name}"
        case Person():
            return who.name
        case Kin() if quoted:
            return upper(who.kind)
        case Kin():
            fresh = who.of == memory.hero or who.of in memory.now or who.of in {*memory.before[-1:]}
            return (PRONOUNS[who.of.gender]["his"] if fresh else f"{who.of.name}'s") + f" {who.kind}"
        case Role():
            return f"the {who.kind}" if who in memory.known or who.kind == "teacher" else a(who.kind)
        case Animal():
            return who.name or f"the {who.kind}"
    raise TypeError(f"{who!r} has no name; give a Person, Kin, Role or Animal")


def thing(one: Thing, form: str, memory: Memory) -> str:
    """Name a thing: a red kite when it is new, the kite when it is known."""
    food, bare, plural = FOODS.get(one.kind, ("", NOUNS.get(one.kind, one.kind), False))
    full = " ".join(filter(None, (one.colour or one.size, bare)))
    new = food or a(full)
    known = one in memory.known or one.kind == "chest"
    return {"": f"the {bare}" if known else new, "a": new, "kind": bare, "full": full,
            "it": "them" if plural else "it", "was": "were" if plural else "was"}[form]


def speak(slots: dict, slot: str, form: str, memory: Memory, before: str, quoted: bool) -> str:
    """Say one slot."""
    match slots[slot]:
        case Animal() as animal if form in ("a", "kind"):
            return a(animal.kind) if form == "a" else animal.kind
        case Animal() if form == "it":
            return "it"
        case Person() | Kin() | Role() | Animal() as who:
            return who.name if form == "plain" else person(who, form, memory, before, quoted)
        case Thing() as one:
            return thing(one, form, memory)
        case tuple() as several:
            return listed([one.replace("_", " ") for one in several], form or "and")
    return slots[f"{slot}.{form}" if form else slot]


def render(pattern: str, slots: dict, memory: Memory) -> tuple[str, Memory]:
    """Fill a pattern; return the text and what the reader then has in mind."""
    out, quoted = "", False
    for piece in re.split(r"(\{[^}]*\}|//|(?<=[.!?])\"? (?=[A-Z{\"])|\")", pattern):
        if piece == "//":
            memory = memory.end_sentence().end_paragraph()
            out = out.rstrip() + "\n"
        elif piece == '"':
            quoted = not quoted
            out += piece
        elif re.fullmatch(r'"? ', piece) and out[-1:] in (".", "!", "?"):
            quoted = quoted and not piece.startswith('"')
            out += piece
            said = piece.startswith('"') and not memory.now  # "Hello!" he said: the sentence is not over
            memory = memory if quoted or said else memory.end_sentence()
        elif piece.startswith("{"):
            slot, _, form = piece[1:-1].replace("'s", ".'s").partition(".")
            words = speak(slots, slot.lower(), form.lower(), memory, out, quoted)
            value = slots[slot.lower()]
            if isinstance(value, Thing):
                memory = replace(memory, known=memory.known | {value})
            elif isinstance(value, Person | Kin | Role | Animal) and not quoted and getattr(value, "name", "-"):
                owner = memory.hero  # in "Tom's friend Ben" Tom is spoken of too
                if owner and owner != value and words.startswith(f"{owner.name}'s "):
                    memory = memory.mention(owner)
                memory = memory.mention(value)
            begins = re.search(r'(^|\n|[.!?] |\." )"?$' if form == "he" else r'(^|\n|[.!?]"? )"?$', out)
            out += upper(words) if begins or slot[0].isupper() or form[:1].isupper() else words
        else:
            out += piece
    return out, memory.end_sentence()


# ---- telling ---------------------------------------------------------------------------------------------
def choices(heading: str, event: e.Event, memory: Memory) -> list[tuple[str, float]]:
    """Return the patterns that fit: a place of which nothing was said yet must be named."""
    place = getattr(event, "place", None)
    options = variants(heading)
    if place and place != memory.place:
        return [option for option in options if "{place" in option[0].lower()] or options
    return options


@lru_cache(4096)
def tellings(heading: str, event: e.Event, memory: Memory) -> dict[str, tuple[float, Memory]]:
    """Return every text that can tell the event now -> its weight, and what the reader has in mind afterwards."""
    breaks = memory.spoke or memory.length >= 5 or (memory.length >= 2 and isinstance(event, NEW_PARAGRAPH))
    slots, told = slots_of(event), {}
    place = event.end if isinstance(event, e.Go | e.GoTogether) else getattr(event, "place", None)
    for pattern, weight in choices(heading, event, memory):
        new = pattern.startswith("//") or breaks
        text, mind = render(pattern.removeprefix("//"), slots, memory.end_paragraph() if new else memory)
        text = ("" if not memory.started else "\n" if new else " ") + text
        length = len(re.findall(r"[.!?]", text.rpartition("\n")[2])) + (0 if "\n" in text else memory.length)
        mind = replace(mind, place=place or memory.place, started=True, length=length, spoke="//" in pattern,
                       asked=event.fact if isinstance(event, e.Talk) else None)
        before, _ = told.get(text, (0.0, mind))
        told[text] = (before + weight, mind)
    return told


class Teller:
    """Tell events one after the other; what was said before decides how people are named."""

    def __init__(self, draw: Chooser) -> None:
        self.draw = draw
        self.memory = Memory()
        self.fair = True

    def tell(self, event: e.Event) -> Iterator[str]:
        """Yield the text of an event, in pieces, each with the space before it."""
        if not isinstance(event, e.Intro):
            back = isinstance(event, e.Talk) and self.memory.asked == event.fact
            yield self.say(heading_of(event).replace("Talk", "Answer") if back else heading_of(event), event)
            if isinstance(event, e.Frame):
                self.fair = event.weather in FAIR
            by_night = isinstance(event, e.Go) and event.how in ("tiptoe", "creep")
            if isinstance(event, e.Go | e.GoTogether) and not by_night and self.draw.pick((True, False), (2, 3)):
                yield self.say(f"Aside.{event.end}" + ".fair" * self.fair, event)
            return
        facts = event.facts
        together = "Facts." + " ".join(facts[:2])
        if together in patterns() and event.who not in self.memory.known:
            yield self.say(together, event)
            facts = facts[2:]
        for fact in facts:
            yield self.say("Fact.job.adult" if fact == "job" and not event.who.is_child else f"Fact.{fact}", event)

    def say(self, heading: str, event: e.Event) -> str:
        """Choose one of the patterns and say it."""
        told = tellings(heading, event, self.memory)
        text = self.draw.say([*told], [weight for weight, _ in told.values()])
        self.memory = told[text][1]
        return text


def tell(draw: Chooser, log: Iterable[e.Event]) -> str:
    """Tell a log, event by event, as it happens."""
    teller = Teller(draw)
    return "".join(text for event in log for text in teller.tell(event))
