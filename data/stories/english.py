"""Tell in English what happened, in sentences that one could find in a children's book.

The sentence patterns stand in patterns/english.txt, under the name of the event they tell.  In a pattern `{who}` is a slot
(a field of the event, spoken by `Teller.speak`), `[a|b]` a choice, `//` a new line.  A person is named, or called
he or she where only one can be meant.
"""
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import product
from pathlib import Path

from . import events as e
from .chance import Chooser
from .countries import COUNTRIES
from .world import CLOTHES, DISHES, KIN, Animal, Kin, Person, Role, Thing

# ---- words -----------------------------------------------------------------------------------------------
NOUNS = {"boat": "toy boat", "train": "toy train", "top": "spinning top", "box": "wooden box", "jar": "glass jar"}
FOODS = {  # with its article, bare, plural?
    "pancakes": ("pancakes", "pancakes", True), "apple_pie": ("an apple pie", "apple pie", False),
    "tomato_soup": ("tomato soup", "tomato soup", False), "carrot_cake": ("a carrot cake", "carrot cake", False),
    "fish_stew": ("fish stew", "fish stew", False), "rice_pudding": ("rice pudding", "rice pudding", False),
    "honey_bread": ("honey bread", "honey bread", False), "bean_soup": ("bean soup", "bean soup", False),
    "cheese_tart": ("a cheese tart", "cheese tart", False), "plum_jam": ("plum jam", "plum jam", False),
    "nut_biscuits": ("nut biscuits", "nut biscuits", True), "lemon_cake": ("a lemon cake", "lemon cake", False),
}
SHARED = {"bread": "a loaf of bread", "apple": "a big apple", "cheese": "a piece of cheese", "cake": "a piece of cake",
          "plums": "a bag of plums", "soup": "a bowl of soup"}
PRIZES = {"cheese": "a piece of cheese", "apple": "an apple", "honey": "a pot of honey", "nut": "a nut",
          "bread": "a crust of bread", "pear": "a pear"}
WORKS = {"treehouse": "tree house", "birdhouse": "bird house"}
PARTS = {"carrot": "a carrot", "buttons": "the buttons", "logs": "the logs", "rope": "a rope", "boards": "the boards",
         "nails": "the nails", "bucket": "a bucket", "shells": "some shells", "branches": "the branches",
         "leaves": "dry leaves", "paint": "the paint", "stones": "the stones", "mud": "the mud",
         "straw": "the straw", "old_hat": "an old hat"}
HOBBIES = {"chess": "playing chess", "climbing": "climbing trees", "football": "playing football",
           "riding": "riding horses", "reading": "reading books", "drawing": "drawing pictures"}
HOWS = {"walk": "walked", "run": "ran", "skip": "skipped", "hurry": "hurried", "tiptoe": "tiptoed", "creep": "crept"}
DOING = {"read": "was reading a book", "eat_apple": "was eating an apple", "whistle": "was whistling a tune",
         "feed_birds": "was feeding the birds", "draw_map": "was drawing a map", "rest": "was having a rest",
         "sweep": "was sweeping the ground"}
CLAUSES = {"sunny": "the sun was shining", "rainy": "rain fell on the roofs", "windy": "the wind shook the trees",
           "snowy": "snow lay on the roofs", "foggy": "fog hung over the town", "cloudy": "grey clouds hung in the sky",
           "warm": "the air was warm", "cold": "it was bitterly cold"}
AT = {"school": "at", "market": "at", "station": "at", "pond": "at", "river": "by", "mill": "at", "bridge": "on",
      "hill": "on", "playground": "on"}
OVERS = {"root": "over a root", "stone": "over a stone", "mud": "in the mud", "laces": "over {who.his} laces"}
SPOTS = {
    "under_bed": "under the bed", "behind_curtain": "behind the curtain", "under_pillow": "under the pillow",
    "under_table": "under the table", "behind_stove": "behind the stove", "on_shelf": "on the shelf",
    "in_trunk": "in the old trunk", "behind_chimney": "behind the chimney", "under_blanket": "under a dusty blanket",
    "under_rose_bush": "under the rose bush", "behind_shed": "behind the shed", "by_wall": "by the wall",
    "under_apple_tree": "under the oldest apple tree", "in_wheelbarrow": "in the wheelbarrow",
    "in_long_grass": "in the long grass", "under_bench": "under a bench", "behind_oak": "behind the big oak",
    "by_fountain": "by the fountain", "under_slide": "under the slide", "by_swings": "by the swings",
    "in_sandpit": "in the sandpit", "among_reeds": "among the reeds", "on_flat_stone": "on a flat stone",
    "by_jetty": "by the jetty", "under_desk": "under a desk", "in_cloakroom": "in the cloakroom",
    "behind_piano": "behind the piano", "between_books": "between two rows of books", "under_stairs": "under the stairs",
    "on_window_seat": "on the window seat", "under_stall": "under an empty stall", "between_barrels": "between two barrels",
    "beside_scales": "beside the scales", "under_timetable": "under the timetable", "in_waiting_room": "in the waiting room",
    "on_platform": "on the platform", "under_arch": "under the arch", "beside_lamp": "beside the lamp",
    "on_railing": "on the railing", "under_willow": "under the willow", "in_old_boat": "in an old boat",
    "among_stones": "among the stones", "behind_sacks": "behind the sacks", "beside_wheel": "beside the great wheel",
    "on_steps": "on the steps", "in_ditch": "in the ditch", "behind_haystack": "behind the haystack",
    "by_gate": "by the gate", "in_hay": "in the hay", "behind_ladder": "behind the ladder", "under_cart": "under the cart",
    "in_hollow_tree": "in a hollow tree", "under_ferns": "under the ferns", "behind_log": "behind a log",
    "behind_rock": "behind a rock", "beside_bush": "beside a bush", "in_old_tower": "in the old tower",
}
NUMBERS = ("no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
           "seventeen eighteen nineteen").split()
TENS = "- - twenty thirty forty fifty sixty".split()
WORK = {  # what each trade does: past, present with "one"
    "baker": ("rolled the dough", "rolls the dough"), "doctor": ("listened to a heart", "listens to a heart"),
    "farmer": ("milked a cow", "milks a cow"), "carpenter": ("sawed a board", "saws a board"),
    "librarian": ("put a new cover on a book", "puts a new cover on a book"),
    "clockmaker": ("wound up a clock", "winds up a clock"), "potter": ("shaped the clay", "shapes the clay"),
    "miller": ("ground the corn", "grinds the corn"), "nurse": ("put on a bandage", "puts on a bandage"),
    "tailor": ("sewed on a button", "sews on a button"), "beekeeper": ("took honey from the hive", "takes honey from a hive"),
    "shoemaker": ("hammered a heel", "hammers a heel"), "musician": ("played a tune", "plays a tune"),
    "blacksmith": ("bent the hot iron", "bends hot iron"), "cook": ("chopped an onion", "chops an onion"),
    "shopkeeper": ("weighed some rice", "weighs rice"), "postman": ("sorted the letters", "sorts letters"),
    "painter": ("mixed a new green", "mixes a new green"), "fisherman": ("mended a net", "mends a net"),
}
DREAMS = {"pilot": "clouds", "sailor": "the sea"}
# for events with several kinds of telling: the field that says which patterns to use
KIND = {
    "Sight": "act", "Feel": "feeling", "Occasion": "reason", "Idea": "means", "Eat": "verdict", "Hear": "sound",
    "Trouble": "trouble", "AnimalEnd": "end", "PetGone": "way", "Clue": "trace", "PetFound": "doing",
    "Giveaway": "sign", "Advice": "way", "Peace": "way", "Broken": "damage", "Mend": "means", "Repay": "favour",
    "Plan": "plan", "WeatherTurns": "change", "NewPlan": "plan", "Afraid": "fear", "Comfort": "way", "Brave": "fear",
    "Tend": "care", "Chore": "chore", "Hungry": "why", "Boast": "claim", "Trick": "trick", "Moral": "moral",
    "NightNoise": "noise", "Reveal": "source", "Setback": "cause", "Closing": "end", "Lesson": "aid", "Quiz": "fact",
    "Stuck": "fact", "Talk": "fact", "Alike": "game",
}
OBJECT = set("with of to gave sent asked met give for from by saw told thanked let than beside after helped about "
             "brought visit showed kept taught".split())


def number(n: int) -> str:
    """Spell 0 to 69, and 100."""
    if n == 100:
        return "a hundred"
    return NUMBERS[n] if n < 20 else TENS[n // 10] + ("-" + NUMBERS[n % 10] if n % 10 else "")


def a(noun: str) -> str:
    """Put the article: a kite, an old kite."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def listed(words: list[str], last: str) -> str:
    """Say several things: eggs, milk and flour."""
    return ", ".join(words[:-1]) + f" {last} " + words[-1] if len(words) > 1 else words[0]


def upper(text: str) -> str:
    """Begin with a capital letter."""
    return text[:1].upper() + text[1:]


# ---- patterns --------------------------------------------------------------------------------------------
def spread(pattern: str) -> list[str]:
    """Write out the choices of a pattern: "a [b|c]" -> "a b", "a c"."""
    parts = re.split(r"\[([^\]]*)\]", pattern)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(words) for words in product(*choices)]


@cache
def patterns() -> dict[str, list[str]]:
    """Return event name -> its patterns, from patterns/english.txt."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "patterns" / "english.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            found[line[2:]] = current = []
        elif line.strip():
            current.append(line)
    return found


@cache
def variants(name: str) -> tuple[list[str], list[float]]:
    """Return the patterns for an event, choices written out, and their weights (each pattern as likely)."""
    options = [(variant, 1 / len(spread(pattern))) for pattern in patterns()[name] for variant in spread(pattern)]
    return [variant for variant, _ in options], [weight for _, weight in options]


def name_of(event: e.Event) -> str:
    """Return under which heading of patterns/english.txt the event is told."""
    name = type(event).__name__
    match event:
        case e.Frame():
            return "Frame.weekday" if event.weekday else "Frame"
        case e.Own():
            return "Own.kin" if event.source in KIN else f"Own.{event.source}"
        case e.Go():
            return "Go.via" if event.via else "Go"
        case e.Meet():
            return "Meet.doing" if event.doing else "Meet"
        case e.Play():
            return "Play.wear" if event.thing.kind in CLOTHES else "Play"
        case e.Make():
            return "Make.helper" if event.helper else "Make"
        case e.Give() | e.Delight():
            return f"{name}.food" if event.thing.kind in DISHES else name
        case e.Cure():
            return f"Cure.{event.cure}" + (".helper" if event.helper else "")
        case e.Find():
            return "Find.thing"
        case e.Stumble():
            return "Stumble.helps" if event.helps else "Stumble.alone"
        case e.Win():
            return "Win.both" if event.both else "Win"
        case e.Grown():
            return "Grown.fruit" if event.plant in ("pumpkin", "apple_tree") else "Grown.flower"
        case e.Work():
            return "Work.well" if event.well else "Work.badly"
    return f"{name}.{getattr(event, KIND[name])}" if name in KIND else name


# ---- telling ---------------------------------------------------------------------------------------------
@dataclass
class Memory:
    """What the reader has in mind: whom he knows, and who was spoken of in the last sentences."""

    hero: Person | None = None
    known: frozenset = frozenset()
    before: tuple[frozenset, ...] = ()  # the people of earlier sentences of this paragraph
    now: tuple = ()  # the people of this sentence, in order

    def end_sentence(self) -> "Memory":
        return Memory(self.hero, self.known, (*self.before, frozenset(self.now)), ())

    def end_paragraph(self) -> "Memory":
        return Memory(self.hero, self.known)

    def mention(self, who) -> "Memory":
        return Memory(self.hero or (who if isinstance(who, Person) else None), self.known | {who}, self.before,
                      (*self.now, who))

    def learn(self, thing: Thing) -> "Memory":
        return Memory(self.hero, self.known | {thing}, self.before, self.now)

    def clear(self, who) -> bool:
        """Is `who` the only one whom a he, she or it can mean, and fresh in mind?"""
        recent = set(self.now).union(*self.before[-1:])
        rivals = {other for other in recent.union(*self.before[-2:]) if other != who and other.gender == who.gender}
        return who in recent and not rivals


def pronoun(who, case: str) -> str:
    """he him his, she her her, it it its."""
    return {"f": {"he": "she", "him": "her", "his": "her"}, "m": {"he": "he", "him": "him", "his": "his"},
            "n": {"he": "it", "him": "it", "his": "its"}}[who.gender][case]


class Teller:
    """Tell events one after the other; what was said before decides how people are named."""

    def __init__(self, draw: Chooser) -> None:
        self.draw = draw
        self.memory = Memory()
        self.length = 0  # sentences in this paragraph
        self.started = False
        self.place: str | None = None  # where the story is
        self.spoke = False  # the last event was told in direct speech

    # ---- how one slot sounds
    def person(self, who, attribute: str, memory: Memory, before: str, quoted: bool) -> str:
        """Name somebody, or say he or she."""
        word = re.search(r"(\w+) $", before)
        word = word.group(1) if word else ""
        lowered = attribute.lower()
        if lowered in ("he", "his", "him") and (who in memory.now or memory.clear(who)):
            if lowered == "he" or who not in memory.now or lowered == "his":
                return pronoun(who, lowered)
            rivals = [other for other in memory.now if other != who and other.gender == who.gender]
            if not rivals:
                return pronoun(who, lowered)
        if lowered == "he" and memory.before and who in memory.before[-1]:
            return pronoun(who, "he")
        if lowered in ("", "'s") and memory.clear(who) and not quoted and word != "and":
            return pronoun(who, "his" if attribute == "'s" else "him" if word.lower() in OBJECT else "he")
        name = self.name(who, memory, quoted)
        return name + "'s" if lowered in ("his", "'s") else name

    def name(self, who, memory: Memory, quoted: bool) -> str:
        """Say a name; the first time also who that is."""
        match who:
            case Person() if quoted or who in memory.known:
                return who.name
            case Person() if not who.is_child:
                return f"{who.name} the {who.job}"
            case Person() if memory.hero and who != memory.hero and who.town == memory.hero.town:
                return f"{self.person(memory.hero, 'his', memory, '', False)} friend {who.name}"
            case Person():
                return who.name
            case Kin():
                if quoted:
                    return upper(who.kind)
                owner = who.of
                fresh = owner in memory.now or (memory.before and owner in memory.before[-1]) or owner == memory.hero
                return (pronoun(owner, "his") if fresh else owner.name + "'s") + f" {who.kind}"
            case Role():
                return f"the {who.kind}" if who in memory.known or who.kind == "teacher" else a(who.kind)
            case Animal():
                return who.name or f"the {who.kind}"
        raise TypeError(f"{who!r} has no name; give a person, kin, role or animal")

    def speak(self, slots: dict, slot: str, attribute: str, memory: Memory, before: str, quoted: bool) -> str:
        """Say one slot."""
        value, lowered = slots[slot.lower()], attribute.lower()
        match value:
            case Animal() if lowered in ("a", "kind"):
                return a(value.kind) if lowered == "a" else value.kind
            case Animal() if lowered == "it":
                return "it"
            case Thing() if lowered == "it" and value.kind in FOODS and FOODS[value.kind][2]:
                return "them"
            case Thing():
                bare = FOODS[value.kind][1] if value.kind in FOODS else NOUNS.get(value.kind, value.kind)
                full = " ".join(filter(None, (value.colour or value.size, bare)))
                plural = value.kind in FOODS and FOODS[value.kind][2]
                known = value in memory.known or value.kind == "chest"
                return {"": f"the {bare}" if known else a(full) if value.kind not in FOODS else FOODS[value.kind][0], "a": FOODS[value.kind][0] if value.kind in FOODS else a(full), "kind": bare,
                        "full": full, "it": "it", "was": "were" if plural else "was", "the": f"the {full}"}[lowered]
            case Person() | Kin() | Role() | Animal():
                return self.person(value, attribute.lower().replace("name", "name"), memory, before, quoted)
            case tuple():
                return listed([word.replace("_", " ") for word in value], lowered or "and")
        return slots[f"{slot.lower()}.{lowered}" if lowered else slot.lower()]

    def render(self, pattern: str, slots: dict) -> tuple[str, Memory]:
        """Fill a pattern; return the text and what the reader then has in mind."""
        memory, out, quoted = self.memory, "", False
        for piece in re.split(r"(\{[^}]*\}|//|(?<=[.!?])\"? (?=[A-Z{\"])|\")", pattern):
            if not piece:
                continue
            if piece == "//":
                memory = memory.end_sentence().end_paragraph()
                out = out.rstrip() + "\n" if out else ""
            elif piece == '"':
                quoted = not quoted
                out += piece
            elif re.fullmatch(r'"? ', piece) and out[-1:] in ".!?":
                quoted = quoted and not piece.startswith('"')
                out += piece
                if not quoted:
                    memory = memory.end_sentence()
            elif piece[0] == "{":
                slot, dot, attribute = piece[1:-1].partition(".")
                if slot.endswith("'s"):
                    slot, attribute = slot[:-2], "'s"
                words = self.speak(slots, slot, attribute, memory, out, quoted)
                value = slots[slot.lower()]
                if isinstance(value, Person | Kin | Role) or (isinstance(value, Animal) and value.name):
                    if not quoted:
                        memory = memory.mention(value)
                elif isinstance(value, Thing):
                    memory = memory.learn(value)
                starts = re.search(r'(^|\n|[.!?] |\." )"?$' if attribute == "he" else r'(^|\n|[.!?]"? )"?$', out)
                out += upper(words) if starts or slot[0].isupper() or attribute[:1].isupper() else words
            else:
                out += piece
        return out, memory.end_sentence()

    # ---- one event
    def tell(self, event: e.Event) -> Iterator[str]:
        """Yield the text of an event, with the space before it."""
        if isinstance(event, e.Intro):
            for fact in event.facts:
                name = "Fact.job.adult" if fact == "job" and not event.who.is_child else f"Fact.{fact}"
                yield self.sentence(name, self.slots(event))
        else:
            yield self.sentence(name_of(event), self.slots(event), event)

    def sentence(self, name: str, slots: dict, event: e.Event | None = None) -> str:
        """Choose one of the patterns and say it."""
        told: dict[str, float] = {}
        after: dict[str, tuple[Memory, str]] = {}
        memory = self.memory
        breaks = self.spoke or self.length >= 5 or (self.length >= 2 and isinstance(event, NEW_PARAGRAPH))
        for pattern, weight in self.fitting(name, event):
            new = pattern.startswith("//") or breaks
            self.memory = memory.end_paragraph() if new else memory
            text, mind = self.render(pattern.removeprefix("//"), slots)
            text = ("" if not self.started else "\n" if new else " ") + text
            told[text] = told.get(text, 0.0) + weight
            after.setdefault(text, (mind, pattern))
        text = self.draw.say([*told], [*told.values()])
        self.memory, pattern = after[text]
        fresh = text.startswith("\n") or "\n" in text[1:]
        self.length = (0 if fresh else self.length) + len(re.findall(r"[.!?]", text.rpartition("\n")[2]))
        self.spoke = "//" in pattern
        self.started = True
        return text

    def fitting(self, name: str, event: e.Event | None) -> list[tuple[str, float]]:
        """Return the patterns that may be used: a place of which nothing was said yet must be named."""
        options = list(zip(*variants(name), strict=True))
        place = getattr(event, "place", None)
        if place and place != self.place:
            options = [option for option in options if "{place" in option[0].lower()] or options
        self.place = getattr(event, "end", place) if isinstance(event, e.Go | e.GoTogether) else place or self.place
        return options

    def slots(self, event: e.Event) -> dict:
        """Return everything that a pattern for this event may name."""
        slots = {one.name: getattr(event, one.name) for one in fields(event)}
        for key, value in list(slots.items()):
            if isinstance(value, str):
                slots |= self.words(event, key, value)
            elif type(value) is int:
                slots[key] = f"{number(value)} hour{'s' if value > 1 else ''}" if key == "hours" else number(value)
        if isinstance(event, e.Wish):
            slots |= self.words(event, "country", event.countries[0])
        people = [value for value in slots.values() if isinstance(value, Person)]
        if isinstance(event, e.Work):
            slots["verb"], slots["verbs"] = WORK[event.other.job]
        subject = slots.get("other") if isinstance(event, e.Talk | e.Return) else (people or [None])[0]
        if isinstance(subject, Person):
            pet = Animal(subject.pet)
            slots |= {"age": number(subject.age), "town": subject.town, "pet_name": subject.pet_name,
                      "colour": slots.get("colour", subject.colour), "hobby": HOBBIES.get(subject.hobby, subject.hobby),
                      "job": subject.job, "job.a": a(subject.job), "girl": "girl" if subject.gender == "f" else "boy",
                      "dream": DREAMS.get(subject.job, "being " + a(subject.job))}
            slots["pet"] = slots.get("pet", pet)
            if "food" not in slots:
                slots["food"] = FOODS[subject.food][1] if subject.food in FOODS else subject.food
                slots["food.was"] = "were" if subject.food.endswith("s") else "was"
        return slots

    def words(self, event: e.Event, key: str, value: str) -> dict[str, object]:
        """Return the spoken forms of one plain id."""
        match key:
            case "place" | "start" | "via" | "end" | "target" if value in PLACES:
                at = AT.get(value, "in")
                return {key: f"the {value}", f"{key}.in": f"{at} the {value}", f"{key}.to": f"to the {value}",
                        f"{key}.on": f"{'in' if value in ('wood', 'field') else AT.get(value, 'in')} the {value}"}
            case "spot" | "target_spot":
                return {key: SPOTS[value]}
            case "how":
                return {key: HOWS[value]}
            case "doing":
                return {key: DOING.get(value, value)}
            case "weather":
                return {key: value, "weather.clause": CLAUSES[value]}
            case "weekday":
                return {key: upper(value)}
            case "dish":
                phrase, bare, plural = FOODS[value]
                return {key: phrase, "dish.bare": bare, "dish.was": "were" if plural else "was",
                        "dish.it": "them" if plural else "it",
                        "dish.they": "they" if plural else "it"}
            case "food":
                if isinstance(event, e.Share):
                    return {key: SHARED[value]}
                if isinstance(event, e.Forget):
                    return {key: value, "food.was": "were" if value.endswith("s") else "was"}
                return {key: PRIZES[value], "food.bare": PRIZES[value].split()[-1]}
            case "animal" | "strong" | "clever":
                return {key: Animal(value)}
            case "work":
                return {key: value, "work.bare": WORKS.get(value, value), "work.a": a(WORKS.get(value, value))}
            case "first" | "second":
                return {key: PARTS[value]}
            case "plant":
                plant = value.replace("_", " ")
                return {key: plant, "plant.a": a(plant), "plant.fruit": a(value.split("_")[0])}
            case "country":
                country = COUNTRIES[value]
                return {key: value, "capital": country.capital, "continent": country.continent}
            case "over":
                who = event.who
                return {key: OVERS[value].replace("{who.his}", pronoun(who, "his"))}
            case "fact":
                return {}
            case "source" if value in KIN:
                return {"giver": Kin(event.who, value)}
        return {}


PLACES = {"bedroom", "kitchen", "attic", "garden", "orchard", "park", "playground", "pond", "school", "library",
          "market", "station", "bridge", "river", "mill", "field", "barn", "wood", "hill"}
NEW_PARAGRAPH = (e.Go, e.GoTogether, e.Meet, e.Trouble, e.Occasion, e.Cook, e.WeatherTurns, e.Afraid, e.Done,
                 e.PetGone, e.Note, e.Hungry, e.Newcomer, e.Sprout, e.Find, e.Broken, e.Win, e.Own)


def tell(draw: Chooser, log: Iterator[e.Event]) -> str:
    """Tell a log, event by event, as it happens."""
    teller = Teller(draw)
    return "".join(text for event in log for text in teller.tell(event))
