"""Tell a log in a language that inflects: the machinery that Spanish, Arabic, Chinese and Hindi share.

Each language is a module with word tables and a few rules (a subclass of `Tongue`) and a file of sentence patterns
(patterns/spanish.txt …) under the names of the events.  In a pattern

    {who}          is a slot, a field of the event; {who.form} asks for one of its forms
    <o|a|os|as>    agrees with the first person of the event: masculine, feminine, plural; <thing:lo|la> with a slot
    [a|b]          is a choice, // a new line

A heading may name several events; `Sight` serves every sight that has no heading of its own (`Sight.sing`).
"""
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

from . import events as e
from .chance import Chooser
from .world import CLOTHES, DISHES, KIN, Animal, Kin, Person, Role, Thing

SPEECH = ("name", "my", "your")  # forms for those who know each other: nobody is introduced by them
FIELDS = {"start": "place", "via": "place", "end": "place", "target": "place", "target_spot": "spot", "dish": "food",
          "first": "part", "second": "part", "strong": "animal", "clever": "animal"}
AGREEING = {"job": "first_person", "how": "first_person", "over": "first_person", "doing": "other"}  # with whom
NEW_PARAGRAPH = (e.Go, e.GoTogether, e.Meet, e.Trouble, e.Occasion, e.Cook, e.WeatherTurns, e.Afraid, e.Done, e.PetGone,
                 e.Note, e.Hungry, e.Newcomer, e.Sprout, e.Find, e.Broken, e.Win, e.Own, e.Advice, e.Chest)


def table(text: str) -> dict[str, list[str]]:
    """Read "id = form / form; id = form": the words of a language."""
    entries = (entry.split("=", 1) for entry in re.split(r"[;\n]", text) if entry.strip())
    return {key.strip(): [form.strip() for form in forms.split("/")] for key, forms in entries}


def spread(pattern: str) -> list[str]:
    """Write out the choices of a pattern: "a [b|c]" -> "a b", "a c"."""
    parts = re.split(r"\[([^\]]*)\]", pattern)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(words) for words in product(*choices)]


@cache
def patterns(language: str) -> dict[str, list[str]]:
    """Return event name -> its patterns, from the file of a language."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "patterns" / f"{language}.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            current: list[str] = []
            found |= dict.fromkeys(line[2:].split(), current)
        elif line.strip():
            current.append(line)
    return found


def headings(event: e.Event) -> Iterator[str]:
    """Yield the headings under which an event may be told, the most particular first."""
    name = type(event).__name__
    match event:
        case e.Frame() if event.weekday:
            yield "Frame.weekday"
        case e.Own():
            yield "Own.kin" if event.source in KIN else f"Own.{event.source}"
        case e.Go() if event.via:
            yield "Go.via"
        case e.Meet() if event.doing:
            yield "Meet.doing"
        case e.Play() if event.thing.kind in CLOTHES:
            yield "Play.wear"
        case e.Give() | e.Delight() if event.thing.kind in DISHES:
            yield f"{name}.food"
        case e.Stumble():
            yield "Stumble.helps" if event.helps else "Stumble.alone"
        case e.Win() if event.both:
            yield "Win.both"
        case e.Grown():
            yield "Grown.fruit" if event.plant in ("pumpkin", "apple_tree") else "Grown.flower"
        case e.Work():
            yield "Work.well" if event.well else "Work.badly"
    helper = ".helper" if getattr(event, "helper", None) else ""
    for value in vars(event).values():
        if isinstance(value, str):
            yield f"{name}.{value}{helper}"
            yield f"{name}.{value}"
    yield name + helper
    yield name


class Tongue:
    """One language: how people and things are called, and what agrees with what."""

    language: str                    # the name of its files
    words: dict[str, list[str]]      # nouns: id -> word, gender, other forms
    tables: dict[str, dict[str, list[str]]]  # other words, by the kind of slot
    formats: dict[str, int] = {}     # form -> column of its table
    first = {"": "a"}                # form -> the form for a thing of which nothing was said before

    def gender(self, value) -> int:
        """0 masculine, 1 feminine, 2 and 3 the same in the plural."""
        if isinstance(value, Person | Kin | Role):
            return int(value.gender == "f")
        key = value if isinstance(value, str) else value.kind
        return ("m", "f", "mp", "fp").index(self.words[key][1])

    def who(self, who: Person | Kin | Role | Animal, form: str, *, fresh: bool, known: bool,
            hero: Person | None) -> str:
        """Name somebody; `fresh`: the last sentence spoke of him alone, `known`: he was named before."""
        raise NotImplementedError

    def thing(self, thing: Thing, form: str, owner) -> str:
        """Name a thing; `owner` is the first person of the event."""
        raise NotImplementedError

    def animal(self, kind: str, form: str, owner=None) -> str:
        """Name a nameless animal."""
        raise NotImplementedError

    def number(self, n: int, form: str) -> str:
        """Write a whole number."""
        return str(n)

    def listed(self, foods: tuple[str, ...], form: str) -> str:
        """Say several foods."""
        raise NotImplementedError

    def word(self, kind: str, key: str, form: str) -> str:
        """Say a plain id of some kind (place, spot, food, colour …)."""
        return self.tables[kind][key][self.formats.get(form, 0)]

    def inflected(self, kind: str, key: str, form: str, gender: int) -> str:
        """Say a plain id that agrees with somebody: a job, a verb of going."""
        forms = self.tables[kind][key]
        return self.word(kind, key, form) if form else forms[min(gender % 2, len(forms) - 1)]

    def finish(self, text: str) -> str:
        """Mend what can only be seen in the whole text: contractions, capital letters, spaces."""
        return text


class Teller:
    """Tell one log; what was said before decides how people are named."""

    def __init__(self, tongue: Tongue, draw: Chooser) -> None:
        self.tongue, self.draw = tongue, draw
        self.hero: Person | None = None
        self.known: set = set()
        self.topic: set = set()      # the people of the last sentence
        self.now: set = set()        # the people of this one
        self.used: set[str] = set()  # patterns of this story, not to be repeated while there are others
        self.event: e.Event | None = None
        self.company: dict = {}      # the two who last did something together
        self.place = ""              # the place spoken of last
        self.length = 0              # sentences in this paragraph

    def tell(self, log: list[e.Event]) -> str:
        """Return the whole story."""
        text = ""
        for event in log:
            for name in self.names(event):
                pattern = self.choose(name)
                breaks = self.length >= 5 or (self.length >= 3 and isinstance(event, NEW_PARAGRAPH))
                if pattern.startswith("//") or breaks or "\n" in text[-1:]:
                    text, self.topic, self.length = text.rstrip() + "\n" * bool(text), set(), 0
                said = self.render(pattern.removeprefix("//"), self.slots(event))
                text += said + ("\n" if "//" in pattern else " ")
                self.length += len(re.findall(r"[.!?。！？।؟]", said))
        return self.tongue.finish(text.strip())

    def names(self, event: e.Event) -> list[str]:
        """Return the headings for an event: one for each fact of an introduction, else one."""
        known = patterns(self.tongue.language)
        before, self.event = self.event, event
        if isinstance(event, e.Talk) and isinstance(before, e.Talk) and before.fact == event.fact:
            return [f"Talk.{event.fact}.back"]
        if isinstance(event, e.Intro):
            return [f"Fact.{fact}" for fact in event.facts]
        return [next(name for name in headings(event) if name in known)]

    def choose(self, name: str) -> str:
        """Choose a pattern and write out its choices, if possible one that this story has not used."""
        options = patterns(self.tongue.language)[name]
        pattern = self.draw.pick([option for option in options if option not in self.used] or options)
        self.used.add(pattern)
        return self.draw.say(spread(pattern))

    def slots(self, event: e.Event) -> dict:
        """Return everything that a pattern for this event may name."""
        slots = self.company | vars(event)
        if {"who", "other"} <= vars(event).keys():
            self.company = {"who": event.who, "other": event.other}
        if isinstance(event, e.Frame) and (event.time, event.weather) == ("evening", "sunny"):
            slots["weather"] = "clear"  # the sun has gone down
        if isinstance(event, e.Own) and event.source in KIN:
            slots["giver"] = Kin(event.who, event.source)
        person = event.other if isinstance(event, e.Talk | e.Return) else slots.get("who")
        if isinstance(person, Person):
            facts = {fact: getattr(person, fact) for fact in "age town pet_name food colour hobby job".split()}
            slots = facts | {"pet": Animal(person.pet)} | slots
        if isinstance(event, e.Work | e.Visit):
            slots["job"] = event.other.job
        slots["first_person"] = next((v for v in slots.values() if isinstance(v, Person | Kin | Animal)), None)
        slots["first_person"] = slots.get("who") or slots["first_person"]
        return slots

    def render(self, pattern: str, slots: dict) -> str:
        """Fill a pattern, sentence by sentence."""
        out = ""
        for piece in re.split(r"(\{[^}]*\}|<[^>]*>|//|(?<=[.!?。！？।؟…])[”»」]? ?)", pattern):
            if not piece:
                continue
            if piece == "//":
                out = out.rstrip() + "\n"
                self.topic, self.now, self.length = set(), set(), 0
            elif piece[0] == "{":
                slot, _, form = piece[1:-1].partition(".")
                out += self.speak(slots, slot, form)
            elif piece[0] == "<":
                out += self.agree(slots, piece[1:-1])
            elif re.fullmatch(r"[”»」]? ?", piece) and out[-1:] in tuple(".!?。！？।؟…"):
                out += piece
                self.end_sentence()
            else:
                out += piece
                if re.search(r"[.!?。！？।؟]$", piece):
                    self.end_sentence()
        self.end_sentence()
        return out.strip()

    def end_sentence(self) -> None:
        """Remember of whom this sentence spoke, if of anybody."""
        if self.now:
            self.topic, self.now = self.now, set()

    def speak(self, slots: dict, slot: str, form: str) -> str:
        """Say one slot."""
        value, tongue = slots[slot], self.tongue
        if isinstance(value, Person | Kin | Role) or (isinstance(value, Animal) and value.name):
            fresh = slot == "who" and self.topic == {value} and not self.now - {value}
            said = tongue.who(value, form, fresh=fresh, known=value in self.known, hero=self.hero)
            if form not in SPEECH:
                self.known.add(value)
                if self.hero is None and isinstance(value, Person):
                    self.hero = value
            self.now.add(value)
            return said
        if isinstance(value, Animal):
            self.now |= {value} if slot != "pet" else set()
            return tongue.animal(value.kind, form, slots["first_person"])
        if isinstance(value, Thing):
            form = form if value in self.known else tongue.first.get(form, form)
            self.known.add(value)
            if value.kind in DISHES or value.kind not in tongue.words:
                return tongue.word("food", value.kind, form)
            return tongue.thing(value, form, slots["first_person"])
        if isinstance(value, int):
            return tongue.number(value, form)
        if isinstance(value, tuple):
            return tongue.listed(value, form)
        kind = FIELDS.get(slot, slot)
        if kind == "place":
            form = "in" if form == "there" and value != self.place else form
            self.place = value
        if kind == "animal":
            self.now.add(value)
            return tongue.animal(value, form)
        if kind in AGREEING:
            form, _, whose = form.partition("_")
            return tongue.inflected(kind, value, form, tongue.gender(slots[whose or AGREEING[kind]]))
        return tongue.word(kind, value, form)

    def agree(self, slots: dict, text: str) -> str:
        """Choose among forms by gender and number: <o|a> of the first person, <thing:lo|la|los|las> of a slot."""
        names, colon, forms = text.rpartition(":")
        values = [slots[name] for name in names.split("+")] if colon else [slots["first_person"]]
        genders = [self.tongue.gender(value) for value in values]
        options = forms.split("|")
        chosen = genders[0] if len(genders) == 1 else int(all(gender % 2 for gender in genders))
        return options[chosen if chosen < len(options) else chosen % 2]


def tell(tongue: Tongue, draw: Chooser, log: list[e.Event]) -> str:
    """Tell a log from beginning to end."""
    return Teller(tongue, draw).tell(log)
