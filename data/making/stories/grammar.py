"""Ask whether a sentence is one that the stories could hold.

Every pattern of patterns/english.txt becomes a regular expression: its slots stand for all people, things and words
that may fill them, and people of one gender are he or she throughout.  So a sentence is accepted if it is well made;
whether it is true in its story is another question (entropy.surprise asks that of a whole text).
"""

import re
from functools import cache
from itertools import product

from . import lexicon as words
from .countries import COUNTRIES
from .english import PRONOUNS, patterns, spread
from .lexicon import FOODS, NOUNS, a, listed, number, upper
from .plots import SIGHTS
from .world import (
    CLOTHES,
    COLOURS,
    DISHES,
    FOUND,
    GOODS,
    JOBS,
    KIN,
    PEOPLE,
    PETS,
    PLACES,
    SIZES,
    TIMES,
    TOWNS,
    TOYS,
    TROUBLES,
    WEEKDAYS,
    Kin,
)

PERSON_SLOTS = {"who", "other", "kin", "helper", "giver", "seeker", "first", "second", "adviser", "admirer"}
ROLES = {"f": ("an old woman", "the old woman"), "m": ("the teacher", "an old man", "the old man")}
THING_SLOTS = {"thing", "given", "got", "wanted", "offered", "rather", "what"}


def sentences(text: str, tags: bool = True) -> list[str]:
    """Cut a text or a pattern where a sentence ends; `tags`: in a pattern, "…?" {who.he} asked stays whole."""
    tag = r"(?!\{\w+\.he\})" if tags else ""
    cuts = re.split(rf'\n|//|(?<=[.!?]) (?=[A-Z"{{])|(?<=[.]") (?=[A-Z"{{])|(?<=[!?]") (?=[A-Z"{{]){tag}', text)
    return [cut.strip() for cut in cuts if cut.strip()]


def either(options) -> str:
    """Match one of these words, the longest first."""
    return "(?:" + "|".join(map(re.escape, sorted(set(options), key=lambda one: (-len(one), one)))) + ")"


@cache
def named(gender: str, starts: bool) -> str:
    """All ways to name somebody of a gender, at the start of a sentence or inside."""
    spell = upper if starts else str
    children, adults = (
        [one for one in PEOPLE if one.gender == gender and one.is_child is young] for young in (True, False)
    )
    owner = either(map(spell, ("her", "his"))) + "|" + either(one.name for one in PEOPLE if one.is_child) + "'s"
    kin = [kind for kind in KIN if Kin(PEOPLE[0], kind).gender == gender]
    child = either(one.name for one in children)
    return "|".join(
        (
            f"(?:(?:{owner}) friend )?{child}",
            f"(?:{owner}) {either(kin)}",
            either(map(upper, kin)),
            either(one.name for one in adults),
            either(f"{one.name} the {one.job}" for one in adults),
            either(map(spell, ROLES[gender])),
        )
    )


@cache
def person(form: str, gender: str, starts: bool) -> str:
    """All ways to speak of a person of a gender in one form."""
    spell, pronouns, names = upper if starts else str, PRONOUNS[gender], named(gender, starts)
    match form:
        case "plain":
            return either(one.name for one in PEOPLE if one.gender == gender)
        case "name":
            return f"(?:{names})"
        case "":
            return f"(?:{names}|{either((spell(pronouns['he']), spell(pronouns['him'])))})"
        case "'s" | "his":
            return f"(?:(?:{names})'s|{spell(pronouns['his'])})"
    return f"(?:{names}|{spell(pronouns[form])})"


@cache
def thing(form: str, starts: bool) -> str:
    """All ways to speak of a thing in one form."""
    spell, looks = upper if starts else str, (*COLOURS, *SIZES)
    bare = [NOUNS.get(kind, kind) for kind in (*TOYS, *CLOTHES, *GOODS, *FOUND)]
    dishes = [noun for _, noun, _ in FOODS.values()]
    foods = either(spell(food) for food, _, _ in FOODS.values())
    new = f"{either(spell(a(look)) for look in looks)} {either(bare)}|{foods}"
    match form:
        case "a":
            return f"(?:{new})"
        case "full":
            return f"(?:{either(looks)} {either(bare)})"
        case "kind":
            return either((*bare, *PETS))
        case "it":
            return either(map(spell, ("it", "them")))
        case "was":
            return either(("was", "were"))
    known = f"{spell('the')} {either((*bare, *dishes, 'chest'))}"
    return f"(?:{known}|{new}|{either(one.pet_name for one in PEOPLE)})"


@cache
def fillings() -> dict[str, tuple[str, ...]]:
    """All words for the slots that are neither people nor things."""
    beasts = {
        *PETS,
        *(one for kinds, _ in TROUBLES.values() for one in kinds.split()),
        *(animal for sights in SIGHTS.values() for animal, _ in sights),
        *"bear mouse wolf hedgehog lion hare crow fox hen dog sparrow ox frog eagle tortoise cat squirrel".split(),
        *"goose beetle".split(),
    }
    pets = [one.pet_name for one in PEOPLE]
    favourites = {FOODS[one.food][1] if one.food in FOODS else one.food for one in PEOPLE}
    groceries = {food for foods in DISHES.values() for food in foods}
    several = {
        last: [listed([*foods[:cut]], last) for foods in DISHES.values() for cut in (len(foods), len(foods) - 1)]
        for last in ("and", "or")
    }
    plants = ("sunflower", "pumpkin", "tulip", "rose", "apple tree")
    works = {
        words.WORKS.get(one, one) for one in "snowman raft treehouse sandcastle den birdhouse dam scarecrow".split()
    }
    numbers = [number(n) for n in (*range(1, 70), 100)]
    found = {
        "weekday": map(upper, WEEKDAYS),
        "time": TIMES,
        "weather": words.CLAUSES,
        "weather.clause": words.CLAUSES.values(),
        "town": TOWNS,
        "age": numbers,
        "coins": numbers,
        "number": numbers,
        "days": numbers,
        "hours": [f"{n} hour{'s' * (n != 'one')}" for n in ("one", "two", "three")],
        "girl": ("girl", "boy"),
        "pet_name": pets,
        "pet.kind": PETS,
        "pet.a": map(a, PETS),
        "pet": pets,
        "pet.it": ("it",),
        "colour": COLOURS,
        "job": JOBS,
        "job.a": map(a, JOBS),
        "food.was": ("was", "were"),
        "food.bare": [one.split()[-1] for one in words.PRIZES.values()],
        "food": (*favourites, *groceries, *words.SHARED.values(), *words.PRIZES.values()),
        "hobby": [words.HOBBIES.get(one.hobby, one.hobby) for one in PEOPLE],
        "dream": (*words.DREAMS.values(), *(f"being {a(job)}" for job in JOBS)),
        "how": words.HOWS.values(),
        "doing": words.DOING.values(),
        "spot": words.SPOTS.values(),
        "over": [one.format(his=his) for one in words.OVERS.values() for his in ("his", "her")],
        "dish": [phrase for phrase, _, _ in FOODS.values()],
        "dish.bare": [noun for _, noun, _ in FOODS.values()],
        "dish.was": ("was", "were"),
        "dish.it": ("it", "them"),
        "dish.they": ("it", "they"),
        "foods": several["and"],
        "foods.or": several["or"],
        "animal": [f"the {one}" for one in beasts],
        "animal.a": map(a, beasts),
        "plant.a": map(a, plants),
        "plant.fruit": ("a pumpkin", "an apple"),
        "work.a": map(a, works),
        "work.bare": works,
        "first": words.PARTS.values(),
        "second": words.PARTS.values(),
        "verb": [past for past, _ in words.WORK.values()],
        "verbs": [now for _, now in words.WORK.values()],
        "country": COUNTRIES,
        "capital": [one.capital for one in COUNTRIES.values()],
        "continent": {one.continent for one in COUNTRIES.values()},
    }
    for form in ("", ".in", ".to", ".on"):
        found["place" + form] = [
            ("the " if not form else "to the " if form == ".to" else f"{at} the ") + place
            for place in PLACES
            for at in {words.AT.get(place, "in"), "in"}
        ]
    found |= {
        f"{slot}{form}": found["place" + form]
        for slot in ("end", "start", "via", "target")
        for form in ("", ".in", ".to", ".on")
    }
    found |= {
        "target_spot": found["spot"],
        "strong": found["animal"],
        "clever": found["animal"],
        "strong.a": [a(one) for one in beasts],
        "clever.a": [a(one) for one in beasts],
    }
    return {slot: tuple(options) for slot, options in found.items()}


def filled(slot: str, form: str, genders: dict[str, str], starts: bool) -> str:
    """A regular expression for one slot."""
    key, low = slot.lower(), form.lower()
    starts = starts or slot[0].isupper() or form[:1].isupper()
    if key in genders:
        return person(low, genders[key], starts)
    if key in THING_SLOTS:
        return thing(low, starts)
    options = fillings()[f"{key}.{low}" if low else key]
    return either(map(upper, options) if starts else options)


@cache
def expressions() -> tuple[re.Pattern, ...]:
    """One regular expression for every sentence of every pattern, for every gender of its people."""
    found = {}
    for heading, lines in patterns().items():
        for pattern in (variant for line in lines for variant in spread(line)):
            for sentence in dict.fromkeys(sentences(pattern) + sentences(pattern, tags=False)):
                parts = re.split(r"\{([^}]*)\}", sentence)
                slots = [part.replace("'s", ".'s").partition(".") for part in parts[1::2]]
                own = {slot.lower() for slot, _, _ in slots} & PERSON_SLOTS
                own -= {"first", "second"} if heading == "Part" else set()  # there they are things to fetch
                for genders in product("fm", repeat=len(own)):
                    chosen = dict(zip(sorted(own), genders, strict=True))
                    text = ""
                    for i, part in enumerate(parts):
                        if i % 2:
                            slot, _, form = slots[i // 2]
                            before = "".join(parts[:i]) if i == 1 else "x"
                            text += filled(slot, form, chosen, before in ("", '"'))
                        else:
                            text += re.escape(part)
                    found[text] = None
    return tuple(map(re.compile, found))


@cache
def is_grammatical(sentence: str) -> bool:
    """Could a story hold this sentence (one of `sentences(text)`)?"""
    return any(expression.fullmatch(sentence) for expression in expressions())


def share_grammatical(text: str) -> float:
    """Share of the sentences of a text that a story could hold.  Needs at least one sentence."""
    found = sentences(text)
    if not found:
        raise ValueError("0 sentences; give a text with at least 1")
    return sum(map(is_grammatical, found)) / len(found)
