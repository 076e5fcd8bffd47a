"""Let things happen: each plot is a generator of events that are true of a world while it changes.

`simulate(seed)` gives the log of one story; seeds are strings or whole numbers, and the log depends on nothing
else.  A plot draws a thing only when an event is about to tell it (entropy.py relies on that).
"""

from collections.abc import Callable, Iterator, Sequence

from . import events as e
from .chance import Chooser, Dice
from .countries import COUNTRIES
from .world import (
    ADULTS,
    BREAKS,
    CHILDREN,
    CLOTHES,
    COLOURS,
    CURES,
    DISHES,
    FAIR,
    FEARS,
    FOUND,
    GOODS,
    HANDMADE,
    INDOORS,
    KIN,
    MENDS,
    OUTDOORS,
    PRESENTS,
    ROOMS,
    SIZES,
    SIZES_OF,
    SMALL,
    SPOTS,
    TOYS,
    TROUBLES,
    WEATHER,
    WEEKDAYS,
    WET,
    WIDE,
    Animal,
    Kin,
    Person,
    Role,
    Thing,
    Who,
    World,
    route,
)

Events = Iterator[e.Event]
# what one may see on the way: place -> (animal, act)
SIGHTS = {
    "garden": (("blackbird", "sing"), ("snail", "crawl"), ("bee", "buzz")),
    "orchard": (("squirrel", "climb"), ("bee", "buzz"), ("blackbird", "sing")),
    "park": (("squirrel", "climb"), ("pigeon", "peck")),
    "playground": (("pigeon", "peck"), ("sparrow", "hop"), ("butterfly", "dance")),
    "pond": (("frog", "jump"), ("duck", "swim"), ("dragonfly", "dance")),
    "school": (("sparrow", "hop"), ("pigeon", "peck")),
    "library": (("cat", "stretch"),),
    "market": (("dog", "sniff"), ("pigeon", "peck"), ("cat", "stretch")),
    "station": (("pigeon", "peck"), ("dog", "sniff")),
    "bridge": (("gull", "circle"), ("duck", "swim"), ("swan", "glide")),
    "river": (("heron", "stand"), ("fish", "jump"), ("dragonfly", "dance")),
    "mill": (("cat", "stretch"), ("mouse", "run"), ("donkey", "bray")),
    "field": (("hare", "run"), ("lark", "sing"), ("butterfly", "dance")),
    "barn": (("mouse", "run"), ("hen", "peck"), ("cat", "stretch")),
    "wood": (("woodpecker", "knock"), ("deer", "stand"), ("fox", "run")),
    "hill": (("hawk", "circle"), ("sheep", "graze"), ("butterfly", "dance")),
    "kitchen": (("fly", "buzz"),),
    "bedroom": (("fly", "buzz"),),
    "attic": (("spider", "spin"),),
}
SUMMER = "bee butterfly dragonfly frog snail lark fly".split()
# where there are birds to feed
BIRDS = "park pond garden market station playground orchard".split()
# work to be done at a place, in any weather and in dry weather
CHORES = {
    "market": ("apples",), "barn": ("wood", "eggs"), "field": ("wood",), "mill": ("wood", "eggs"),
    "orchard": ("wood",),
}
DRY_CHORES = {
    "market": ("leaves",), "barn": ("hay", "fence"), "field": ("hay", "fence"), "mill": ("leaves", "fence"),
    "orchard": ("apples", "leaves", "fence"),
}
SOUVENIRS = [*CLOTHES, *"lantern cup bowl book clock bell mirror box doll flute shell".split()]
# how a pet gets away and what it leaves behind
WAYS = {"pony": ("gate", "door"), "goat": ("gate", "door"), "tortoise": ("gate", "door"), "hen": ("gate", "door"),
        "parrot": ("window", "door"), "hamster": ("window", "door"), "mouse": ("window", "door")}
TRACES = {"pony": ("crumbs", "sound"), "parrot": ("crumbs", "sound"), "tortoise": ("prints", "crumbs"),
          "rabbit": ("prints", "crumbs"), "hamster": ("prints", "crumbs")}
HOUSE_PETS, GARDEN_PETS = "cat dog rabbit parrot hamster mouse".split(), "cat dog rabbit hen tortoise".split()
STAYING = "hedgehog kitten puppy rabbit sparrow owl crow mouse cat".split()
MORALS = {"flatter": ("proud", "think", "strong", "share"), "bet": ("think", "strong", "share"),
          "shout": ("think", "strong", "share"), "divide": ("think", "strong", "share")}
FACTS = [
    ("town", "pet"),
    ("age", "town"),
    ("hobby",),
    ("food",),
    ("colour",),
    ("job",),
    ("age", "job"),
    ("town", "hobby"),
    ("town", "food"),
    ("pet",),
    ("town", "job"),
    ("age", "pet"),
    ("town", "colour"),
    ("town",),
    ("town", "pet", "hobby"),
    ("age", "food"),
]
FACTS_OF_ADULTS = [
    ("town",),
    ("pet",),
    ("food",),
    ("hobby",),
    ("colour",),
    ("town", "pet"),
    ("town", "hobby"),
]
# where an adult is found at work
WORKPLACES = {
    "baker": "market",
    "doctor": "market",
    "farmer": "field",
    "carpenter": "mill",
    "librarian": "library",
    "clockmaker": "market",
    "potter": "river",
    "miller": "mill",
    "nurse": "school",
    "tailor": "market",
    "beekeeper": "orchard",
    "shoemaker": "market",
    "musician": "park",
    "blacksmith": "bridge",
    "cook": "station",
    "shopkeeper": "market",
    "postman": "station",
    "painter": "hill",
    "fisherman": "river",
}


class Tale:
    """One story in the making: a world, a chooser, and the actions that plots are made of."""

    def __init__(self, draw: Chooser) -> None:
        self.draw = draw
        self.world = World(draw)
        self.weather = "warm"
        self.weekend = False

    # ---- who and what
    def pick(self, options: Sequence, weights: Sequence[float] | None = None):
        """Draw one of the options."""
        return self.draw.pick(options, weights)

    def child(self) -> Person:
        return self.pick(CHILDREN)

    def friend(self, *others: Person) -> Person:
        """Draw a child of the same town."""
        return self.pick([one for one in CHILDREN if one.town == others[0].town and one not in others])

    def adult(self, child: Person) -> Person:
        """Draw an adult of the town; at the weekend nobody works at the school."""
        away = ("school",) if self.weekend else ()
        return self.pick(
            [one for one in ADULTS if one.town == child.town and WORKPLACES[one.job] not in away]
        )

    def kin(self, child: Person, kinds: Sequence[str] = tuple(KIN)) -> Kin:
        return Kin(child, self.pick(kinds))

    def thing(self, kinds: Sequence[str], but: Sequence[str] = ()) -> Thing:
        """Draw a thing with a colour or a size."""
        kind = self.pick(kinds)
        sizes = [size for size in SIZES_OF.get(kind, SIZES) if size not in but]
        if kind in FOUND:
            return Thing(kind, size=self.pick(sizes))
        look = self.pick(COLOURS + sizes)
        return Thing(kind, look if look in COLOURS else None, look if look in SIZES else None)

    # ---- beginnings and ends
    def open(self, hero: Person, place: str, times: Sequence[str] = ("morning", "afternoon")) -> Events:
        """Say when it is and who this is about; there is no school at the weekend."""
        weekdays = WEEKDAYS[:5] if place == "school" else WEEKDAYS
        frame_first = self.pick((True, False))
        if not frame_first:
            yield self.intro(hero)
        weekday = self.pick(weekdays) if self.pick((True, False)) else None
        self.weekend = weekday in WEEKDAYS[5:]
        self.weather = self.pick(WEATHER)
        yield e.Frame(self.pick(times), self.weather, weekday)
        if frame_first:
            yield self.intro(hero)
        self.world.place(hero, place)

    def intro(self, who: Person) -> e.Intro:
        return e.Intro(who, self.pick(FACTS if who.is_child else FACTS_OF_ADULTS))

    def close(self, hero: Person, but: Sequence[str] = (), away: Kin | None = None) -> Events:
        """End the day; who is at home does not go home, and who is away does not sit at the table."""
        if self.world.at.get(hero) in ROOMS:
            but = (*but, "home", "smile")
        end = self.pick([end for end in "sleep home supper stars tell wave smile".split() if end not in but])
        kinds = [kind for kind in KIN if away is None or kind != away.kind]
        yield e.Closing(hero, end, self.kin(hero, kinds) if end in ("supper", "tell") else None)

    # ---- actions
    def go(self, who: Who, end: str, how: Sequence[str] = ("walk", "run", "skip", "hurry")) -> Events:
        """Move somebody; sometimes he sees an animal there."""
        way = route(self.world.at[who], end)
        self.world.go(who, end)
        passed = [place for place in (way[len(way) // 2], "garden") if place in way[1:-1] and place not in ROOMS]
        yield e.Go(who, way[0], passed[0] if passed else None, end, self.pick(how))

    def sight(self, who: Person) -> Events:
        """Perhaps see an animal; in bad weather the small ones stay at home."""
        seen = [
            sight
            for sight in SIGHTS[self.world.at[who]]
            if self.weather in ("sunny", "warm", "cloudy", "windy") or sight[0] not in SUMMER
        ]
        if seen and self.pick((True, False), (1, 2)):
            yield e.Sight(who, *self.pick(seen))

    def busy(self, who: Who, place: str) -> list[str]:
        """Return what somebody may be doing there in this weather."""
        acts = [] if place == "library" else ["eat_apple", "whistle"]
        acts += ["read", "draw_map", "rest"] if place in INDOORS or self.weather not in WET else []
        acts += ["feed_birds"] if place in BIRDS else []
        grown = isinstance(who, Person) and not who.is_child
        return acts + (["sweep"] if grown and place in ("market", "station", "mill", "barn") else [])

    def meet(self, who: Person, other: Who, place: str, busy: bool = True) -> Events:
        """Let somebody come upon another, who (if `busy`) may be doing something."""
        self.world.place(other, place)
        self.world.together(who, other)
        acts = self.busy(other, place) if busy else []
        doing = self.pick((None, *acts), (max(1, len(acts) / 2), *[1] * len(acts))) if acts else None
        yield e.Meet(who, other, place, doing)

    def spot(self, place: str, *but: str) -> str:
        return self.pick([spot for spot in SPOTS[place] if spot not in but])

    def elsewhere(self, *but: str, among: Sequence[str] = OUTDOORS) -> str:
        """Draw a place that is none of those; the school is closed at the weekend."""
        closed = ("school",) if self.weekend else ()
        return self.pick([place for place in among if place not in (*but, *closed)])

    def game(self, place: str) -> str:
        """Draw a game that one can play there in this weather."""
        games = {"library": ["hide", "chess"], "pond": ["ball", "hide", "sing"], "station": ["hide", "chess", "draw"]}
        wet = ["ball", "hide"] if self.weather in WET and place not in (*INDOORS, "station") else []
        return self.pick(wet or games.get(place, ["ball", "hide", "chess", "draw", "sing"]))

    def feel(self, who: Who, *feelings: str) -> Events:
        yield e.Feel(who, self.pick(feelings))

    def give(self, who: Who, other: Who, thing: Thing) -> Events:
        self.world.give(who, other, thing)
        yield e.Give(who, other, thing)

    def own(self, who: Person, thing: Thing) -> Events:
        """Let somebody have a thing, and tell from where."""
        self.world.take(who, thing)
        made = ["made"] if thing.kind in HANDMADE and thing.size != "old" else []
        yield e.Own(who, thing, "found" if thing.kind in FOUND else self.pick([*KIN, *made, "found", "bought"]))


# ---- plots -----------------------------------------------------------------------------------------------
def lost_thing(t: Tale, hero: Person) -> Events:
    """Something dear is lost, looked for and found where it was left."""
    yield from t.open(hero, "kitchen")
    thing = t.thing(TOYS + CLOTHES)
    yield from t.own(hero, thing)
    there = t.elsewhere()
    yield from t.go(hero, there)
    yield e.Play(hero, thing, there)
    t.world.drop(hero, thing)
    t.world.place(hero, "kitchen")
    yield e.Miss(hero, thing, "kitchen")
    yield from t.feel(hero, "sad", "worried")
    wrong = t.pick(("bedroom", "attic", "garden"))
    if wrong != there:
        yield from t.go(hero, wrong)
        yield e.Search(hero, thing, wrong, t.spot(wrong))
    other = t.friend(hero) if t.pick((True, False)) else t.adult(hero)
    place = t.elsewhere(there, among=("school", "market", "library", "park"))
    yield from t.go(hero, place)
    yield from t.meet(hero, other, place)
    yield e.AskSeen(hero, other, thing)
    answer = t.pick(("saw", "kept", "no"))
    if answer == "kept":
        del t.world.lies[thing]
        t.world.holds[thing] = other
        yield e.Kept(other, hero, thing)
        t.world.give(other, hero, thing)
        yield e.Thank(hero, other)
    else:
        yield (e.Saw(other, hero, thing, there) if answer == "saw" else e.NotSeen(other, hero, thing))
        if answer == "no":
            t.world.place(other, there)
            t.world.place(hero, there)
            yield e.GoTogether(hero, other, there)
        else:
            yield from t.go(hero, there, ("run", "hurry"))
        first = t.spot(there)
        if t.pick((True, False)):
            yield e.Search(hero, thing, there, first)
            first = t.spot(there, first)
        t.world.take(hero, thing)
        yield e.Find(hero, thing, there, first)
    yield from t.feel(hero, "happy", "surprised" if answer == "kept" else "proud")
    yield from t.close(hero)


def gift(t: Tale, hero: Person) -> Events:
    """A friend is given a present, made, bought or baked."""
    yield from t.open(hero, "bedroom")
    friend = t.friend(hero)
    yield e.Occasion(hero, friend, t.pick("birthday ill moving thanks prize".split()))
    means = t.pick(("make", "buy", "bake"))
    if means == "bake":
        thing = Thing(friend.food) if friend.food in DISHES else Thing(t.pick(sorted(DISHES)))
    else:
        thing = t.thing(HANDMADE if means == "make" else PRESENTS + TOYS, but=("old", "tiny"))
    yield e.Idea(hero, friend, thing, means)
    if means == "buy":
        yield from t.go(hero, "market")
        yield from t.sight(hero)
        yield e.Buy(hero, thing, t.pick(range(2, 10)))
    else:
        place = "kitchen" if means == "bake" else t.pick(("kitchen", "attic", "garden"))
        yield from t.go(hero, place)
        helper = t.kin(hero) if t.pick((True, False)) else None
        yield e.Make(hero, thing, place, helper)
    t.world.take(hero, thing)
    place = t.elsewhere(
        t.world.at[hero], among=("park", "school", "library", "station", "pond", "playground")
    )
    yield from t.go(hero, place)
    yield from t.meet(hero, friend, place)
    yield from t.give(hero, friend, thing)
    yield e.Delight(friend, hero, thing)
    yield from t.feel(hero, "happy", "proud")
    yield from t.close(hero)


def errand(t: Tale, hero: Person) -> Events:
    """A child fetches from the market what a dish wants."""
    yield from t.open(hero, "garden")
    kin = t.kin(hero)
    dish = t.pick(sorted(DISHES))
    yield e.Send(kin, hero, dish, DISHES[dish])
    if t.pick((True, False)):
        on_the_way = t.elsewhere(among=("park", "school"))
        yield from t.go(hero, on_the_way)
        other = t.adult(hero)
        yield from t.meet(hero, other, on_the_way)
        yield e.Errand(other, hero, on_the_way)
    yield from t.go(hero, "market")
    yield from t.sight(hero)
    forgets = len(DISHES[dish]) > 2 and t.pick((True, False), (1, 2))
    yield e.Shop(hero, DISHES[dish][:-1] if forgets else DISHES[dish])
    if forgets:
        yield e.Forget(hero, DISHES[dish][-1])
    yield from t.go(hero, "kitchen")
    t.world.place(kin, "kitchen")
    yield e.Bring(hero, kin, DISHES[dish])
    yield e.Cook(kin, hero, dish)
    soft = dish.endswith(("soup", "stew", "pudding"))
    verdicts = ("best", "hot", "sweet") if soft else ("best", "hot", "bit_burnt", "sweet")
    verdicts = verdicts[:1] if dish == "plum_jam" else verdicts
    yield e.Eat(hero, dish, t.pick(verdicts))
    yield from t.close(hero, but=("supper",))


def rescue(t: Tale, hero: Person) -> Events:
    """An animal in trouble is helped."""
    yield from t.open(hero, "kitchen")
    trouble = t.pick([one for one in sorted(TROUBLES) if one != "cold" or t.weather not in FAIR])
    animals, places = TROUBLES[trouble]
    place = t.pick(places.split())
    if place != "kitchen":
        yield from t.go(hero, place)
    if t.pick((True, False)):
        yield e.Hear(hero, place, t.pick("squeak cry rustle".split()))
    animal = Animal(t.pick(animals.split()))
    t.world.place(animal, place)
    yield e.Trouble(hero, animal, trouble, place)
    if t.pick((True, False)):
        yield e.Soothe(hero, animal)
    helper = None
    if t.pick((True, False)):
        helper = t.friend(hero)
        yield from t.meet(hero, helper, place, busy=False)
    meat = animal.kind in ("kitten", "puppy")
    cures = [cure for cure in CURES[trouble] if cure != "feed_apple" or not meat]
    yield e.Cure(hero, animal, t.pick(cures), helper)
    ends = ["visits"] if trouble.startswith("hurt") else ["goes_home", "visits"] + ["follows"] * (trouble != "lost")
    ends += ["stays"] if trouble != "lost" and animal.kind in STAYING else []
    yield e.AnimalEnd(hero, animal, t.pick(ends))
    yield from t.feel(hero, "happy", "proud")
    yield from t.close(hero)


def trade(t: Tale, hero: Person) -> Events:
    """Two children exchange things, not always at once."""
    yield from t.open(hero, "garden")
    mine = t.thing(TOYS + FOUND)
    yield from t.own(hero, mine)
    place = t.elsewhere("garden", among=("school", "park", "playground", "market"))
    yield from t.go(hero, place)
    yield from t.sight(hero)
    friend = t.friend(hero)
    yield from t.meet(hero, friend, place)
    theirs = t.thing([kind for kind in TOYS + CLOTHES if kind != mine.kind])
    t.world.take(friend, theirs)
    yield e.WantTrade(hero, friend, theirs, mine)
    if t.pick((True, False)):
        other_thing = t.thing([kind for kind in GOODS if kind not in (mine.kind, theirs.kind)])
        yield e.Refuse(friend, hero, other_thing)
        yield from t.go(hero, "attic", ("run", "hurry"))
        spot = t.spot("attic", f"under_{other_thing.kind}")
        t.world.take(hero, other_thing)
        yield e.Find(hero, other_thing, "attic", spot)
        yield from t.go(hero, place, ("run", "hurry"))
        mine = other_thing
    t.world.give(hero, friend, mine)
    t.world.give(friend, hero, theirs)
    yield e.Trade(hero, friend, mine, theirs)
    if theirs.kind in CLOTHES:
        yield from t.feel(hero, "happy")
    else:
        yield e.Play(hero, theirs, place)
    yield from t.close(hero)


def lost_pet(t: Tale, hero: Person) -> Events:
    """A pet is away; traces and people lead to it."""
    pet = Animal(hero.pet, hero.pet_name)
    yield from t.open(hero, "kitchen")
    big = pet.kind in ("pony", "goat")
    yield e.PetGone(hero, pet, t.pick(WAYS.get(pet.kind, ("gate", "window", "door"))))
    yield from t.feel(hero, "sad", "worried")
    there = t.elsewhere("garden", "school" if big else "", among=[*OUTDOORS, "barn", "mill", "school", "station"])
    t.world.place(pet, there)
    if t.pick((True, False)):
        yield from t.go(hero, "garden")
        yield e.Search(hero, pet, "garden", t.spot("garden"))
    if t.pick((True, False)):
        yield e.Clue(hero, pet, t.pick(TRACES.get(pet.kind, ("prints", "crumbs", "sound"))), there)
    else:
        other = t.friend(hero) if t.pick((True, False)) else t.adult(hero)
        place = t.elsewhere(there, t.world.at[hero], among=("park", "market", "school"))
        yield from t.go(hero, place)
        yield from t.meet(hero, other, place)
        yield e.AskSeen(hero, other, pet)
        yield e.Saw(other, hero, pet, there)
    yield from t.go(hero, there, ("run", "hurry"))
    t.world.together(hero, pet)
    spot = t.spot(there, *(spot for spot in SPOTS[there] if big and spot not in WIDE))
    yield e.PetFound(hero, pet, there, spot, t.pick("asleep eating playing waiting".split()))
    yield from t.feel(hero, "happy", "surprised")
    yield from t.close(hero, but=("home",))


def hide_and_seek(t: Tale, hero: Person) -> Events:
    """Three children hide and are found where they hid."""
    place = t.pick("garden orchard park playground barn wood school library".split())
    yield from t.open(hero, place)
    first = t.friend(hero)
    second = t.friend(hero, first)
    yield e.HideStart(hero, first, second, place, t.pick((10, 20, 30, 50, 100)))
    spots = {}
    for child in (first, second):
        spots[child] = t.pick([spot for spot in SPOTS[place] if spot not in spots.values()])
        yield e.Hide(child, place, spots[child])
    empty = [spot for spot in SPOTS[place] if spot not in spots.values()]
    if t.pick((True, False)):
        yield e.Search(hero, first, place, empty[0])
    order = (first, second) if t.pick((True, False)) else (second, first)
    for child in order:
        if t.pick((True, False)):
            yield e.Giveaway(child, t.pick("sneeze laugh shoe hat".split()))
        yield e.Caught(hero, child, place, spots[child])
    yield from t.feel(hero, "happy", "proud", "tired")
    yield from t.close(hero)


def quarrel(t: Tale, hero: Person) -> Events:
    """Two children want one thing and learn to share it."""
    place = t.pick(("playground", "park", "school", "garden"))
    yield from t.open(hero, place)
    friend = t.friend(hero)
    yield from t.meet(hero, friend, place)
    thing = t.thing(TOYS)
    yield e.Quarrel(hero, friend, thing)
    yield e.Feel(hero, "angry")
    adviser = t.pick((Role("teacher"), Role("old man"), Role("old woman")))
    way = t.pick(("turns", "together", "coin"))
    yield e.Advice(adviser, hero, friend, way)
    yield e.Peace(hero, friend, thing, way)
    yield from t.close(hero)


def mending(t: Tale, hero: Person) -> Events:
    """A thing breaks, an adult mends it, the child repays him."""
    yield from t.open(hero, "garden")
    thing = t.thing(sorted(BREAKS))
    yield from t.own(hero, thing)
    yield e.Broken(hero, thing, BREAKS[thing.kind])
    yield from t.feel(hero, "sad", "angry")
    adult = t.adult(hero)
    place = WORKPLACES[adult.job]
    yield from t.go(hero, place)
    t.world.place(adult, place)
    yield e.Visit(hero, adult)
    yield e.AskMend(hero, adult, thing)
    t.world.give(hero, adult, thing)
    t.world.give(adult, hero, thing)
    yield e.Mend(adult, hero, thing, t.pick(MENDS[thing.kind]))
    yield e.Thank(hero, adult)
    if t.pick((True, False)):
        indoors = () if place in OUTDOORS else ("sweep", "draw")
        yield e.Repay(hero, adult, t.pick(("sing", "carry", *indoors)))
    yield from t.close(hero)


def spoiled_plan(t: Tale, hero: Person) -> Events:
    """The weather spoils a plan and another is made."""
    yield t.intro(hero)
    t.world.place(hero, "garden")
    friend = t.friend(hero)
    plan, place = t.pick(
        (
            ("picnic", "hill"),
            ("swim", "river"),
            ("football", "field"),
            ("kites", "hill"),
            ("berries", "wood"),
            ("boats", "pond"),
        )
    )
    yield e.Plan(hero, friend, plan, place)
    t.world.place(hero, place)
    t.world.place(friend, place)
    yield e.GoTogether(hero, friend, place)
    yield from t.sight(hero)
    yield e.WeatherTurns(t.pick(("rain", "wind", "fog", "storm")))
    dry = t.pick(("barn", "mill", "library", "kitchen"))
    t.world.place(hero, dry)
    t.world.place(friend, dry)
    yield e.Shelter(hero, friend, dry)
    yield from t.feel(friend, "sad", "angry", "bored")
    quiet = ("cards", "tales")
    plans = {"library": quiet, "kitchen": ("tent", *quiet, "theatre")}.get(dry, (*quiet, "theatre"))
    yield e.NewPlan(hero, friend, t.pick(plans))
    yield from t.close(hero)


def race(t: Tale, hero: Person) -> Events:
    """Two children race, and how one wins matters."""
    start = t.pick(("school", "market", "bridge", "park"))
    yield from t.open(hero, start)
    rival = t.friend(hero)
    yield from t.meet(hero, rival, start)
    end = t.elsewhere(start, among=("mill", "hill", "river", "wood", "pond"))
    yield e.Challenge(hero, rival, start, end)
    t.world.place(hero, end)
    t.world.place(rival, end)
    ahead, behind = (hero, rival) if t.pick((True, False)) else (rival, hero)
    yield e.Lead(ahead, behind)
    lost = ahead == hero
    if t.pick((True, False)):
        helps = t.pick((True, False))
        lost = lost and not helps
        yield e.Stumble(ahead, t.pick(("root", "stone", "mud", "laces")), behind, helps)
        yield e.Win(behind, ahead, helps)
        yield from t.feel(ahead, *(("happy",) if helps else ("sad", "tired")))
    else:
        lost = ahead != hero
        yield e.Win(ahead, behind, False)
        yield from t.feel(ahead, "happy", "proud", "tired")
    yield from t.close(hero, but=("smile",) if lost else ())


def newcomer(t: Tale, hero: Person) -> Events:
    """A child from another town is alone and is asked to play."""
    place = t.pick(("playground", "park", "school", "library", "station", "pond"))
    yield from t.open(hero, place)
    guest = t.pick([child for child in CHILDREN if child.town != hero.town])
    t.world.place(guest, place)
    yield e.Newcomer(guest, place)
    yield from t.feel(guest, "sad", "lonely", "bored")
    yield e.Talk(hero, guest, "town")
    fact = t.pick(("pet", "food", "colour", "hobby", "job"))
    yield e.Talk(hero, guest, fact)
    if t.pick((True, False)):
        yield e.Talk(guest, hero, fact)
    yield e.Alike(hero, guest, t.game(place))
    yield from t.close(hero)


def fear(t: Tale, hero: Person) -> Events:
    """Somebody helps a child to be brave."""
    yield from t.open(hero, "school")
    what = t.pick([one for one in sorted(FEARS) if one != "thunder" or t.weather in ("rainy", "windy")])
    yield e.Afraid(hero, what)
    helper = t.friend(hero) if t.pick((True, False)) else t.kin(hero)
    yield e.Comfort(helper, hero, t.pick(FEARS[what]))
    yield e.Brave(hero, what)
    yield from t.feel(hero, "happy", "proud", "surprised")
    yield from t.close(hero)


def growing(t: Tale, hero: Person) -> Events:
    """A seed takes its time."""
    yield t.intro(hero)
    t.world.place(hero, "garden")
    giver = t.adult(hero) if t.pick((True, False)) else t.kin(hero)
    plant = t.pick("sunflower pumpkin tulip rose".split())
    yield e.Sow(hero, giver, plant)
    for care in t.pick(
        (("water",), ("water", "weed"), ("water", "fence"), ("water", "sing"), ("weed", "sing"))
    ):
        yield e.Tend(hero, care)
    if t.pick((True, False)):
        yield from t.feel(hero, "curious", "worried")
    yield e.Sprout(hero, t.pick(range(5, 13)))
    colours = {"pumpkin": ("orange", "yellow"), "sunflower": ("yellow", "orange")}
    colour = t.pick(colours.get(plant, ("red", "yellow", "white", "orange")))
    yield e.Grown(hero, plant, colour)
    yield from t.feel(hero, "happy", "proud")


def helping(t: Tale, hero: Person) -> Events:
    """A child helps a neighbour and is thanked with a thing."""
    yield from t.open(hero, "garden")
    adult = t.adult(hero)
    place = t.pick(("market", "barn", "field", "orchard", "mill"))
    yield from t.go(hero, place)
    yield from t.sight(hero)
    yield from t.meet(hero, adult, place, busy=False)
    chore = t.pick((*CHORES[place], *(() if t.weather in WET else DRY_CHORES[place])))
    yield e.Chore(adult, hero, chore)
    yield e.DoChore(hero, adult, chore, t.pick((1, 2, 3)))
    yield from t.feel(hero, "tired", "happy")
    thing = t.thing(PRESENTS)
    t.world.take(adult, thing)
    yield from t.give(adult, hero, thing)
    yield e.Thank(hero, adult)
    yield from t.close(hero)


def treasure(t: Tale, hero: Person) -> Events:
    """A note leads to a chest."""
    yield from t.open(hero, "attic")
    spot = t.spot("attic")
    there = t.elsewhere()
    there_spot = t.spot(there, "on_railing", "on_flat_stone")
    yield e.Note(hero, "attic", spot, there, there_spot)
    yield from t.feel(hero, "excited", "curious", "surprised")
    if there != "garden" and t.pick((True, False)):
        friend = t.friend(hero)
        t.world.place(hero, "garden")
        yield from t.meet(hero, friend, "garden", busy=False)
        t.world.place(hero, there)
        yield e.GoTogether(hero, friend, there)
    else:
        yield from t.go(hero, there)
        yield from t.sight(hero)
    if t.pick((True, False)):
        yield e.Search(hero, Thing("chest"), there, t.spot(there, there_spot))
    thing = t.thing(SMALL)
    t.world.take(hero, thing)
    yield e.Chest(hero, there, there_spot, thing)
    yield from t.close(hero)


def sharing(t: Tale, hero: Person) -> Events:
    """Lunch is shared, and paid back."""
    yield from t.open(hero, "school", ("morning",))
    friend = t.friend(hero)
    t.world.place(friend, "school")
    yield e.Hungry(friend, t.pick(("forgot", "dropped", "dog")))
    yield from t.feel(friend, "sad", "worried")
    yield e.Share(hero, friend, t.pick(("bread", "apple", "cheese", "cake", "plums", "soup")))
    yield e.Thank(friend, hero)
    yield e.Return(friend, hero)
    yield from t.close(hero)


def fable(t: Tale, hero: Person | None = None) -> Events:
    """Of two animals the clever one wins."""
    strong, clever = t.pick(
        (
            ("bear", "mouse"),
            ("wolf", "hedgehog"),
            ("lion", "hare"),
            ("crow", "fox"),
            ("fox", "hen"),
            ("dog", "sparrow"),
            ("ox", "frog"),
            ("eagle", "tortoise"),
            ("cat", "squirrel"),
            ("goose", "beetle"),
        )
    )
    place = t.pick(("wood", "field", "river", "hill", "orchard", "pond"))
    food = t.pick(("cheese", "apple", "honey", "nut", "bread", "pear"))
    yield e.Fable(strong, clever, food, place)
    false = {"crow": "size", "ox": "speed"}
    claims = [claim for claim in ("size", "speed", "age", "voice") if claim != false.get(strong)]
    yield e.Boast(strong, t.pick(claims))
    trick = t.pick(("flatter", "bet", "shout", "divide"))
    yield e.Trick(strong, clever, food, trick)
    yield e.Moral(t.pick(MORALS[trick]))


def night_noise(t: Tale, hero: Person) -> Events:
    """A noise in the night has a harmless cause."""
    yield from t.open(hero, "bedroom", ("evening",))
    place = t.pick(("attic", "kitchen", "garden"))
    yield e.NightNoise(hero, place, t.pick(("scratch", "tap", "bump")))
    yield from t.feel(hero, "afraid", "curious")
    if t.pick((True, False)):
        kin = t.kin(hero)
        yield e.Comfort(kin, hero, "lantern")
    yield from t.go(hero, place, ("tiptoe", "creep"))
    sources = ["cat", "mouse", "owl", "branch" if place == "garden" else "shutter"]
    sources += ["pet"] if hero.pet in (GARDEN_PETS if place == "garden" else HOUSE_PETS) else []
    yield e.Reveal(hero, place, t.pick(sources))
    yield from t.feel(hero, "surprised", "tired")
    yield e.Closing(hero, "sleep")


def building(t: Tale, hero: Person) -> Events:
    """Two build something; it falls; they build it again."""
    work, place, first, second = t.pick(
        (
            ("snowman", "park", "carrot", "buttons"),
            ("raft", "river", "logs", "rope"),
            ("treehouse", "orchard", "boards", "nails"),
            ("sandcastle", "playground", "bucket", "shells"),
            ("den", "wood", "branches", "leaves"),
            ("birdhouse", "garden", "boards", "paint"),
            ("dam", "river", "stones", "mud"),
            ("scarecrow", "field", "straw", "old_hat"),
        )
    )
    yield t.intro(hero)
    t.world.place(hero, place)
    friend = t.friend(hero)
    yield e.Build(hero, friend, work, place)
    yield e.Part(hero, first, friend, second)
    if t.pick((True, False)):
        causes = {"dam": (), "raft": ("weight",), "treehouse": ("wind", "weight"), "birdhouse": ("weight",)}
        yield e.Setback(work, t.pick(("hurry", *causes.get(work, ("wind",)))))
        yield from t.feel(friend, "sad", "angry", "tired")
    admirer = t.adult(hero) if t.pick((True, False)) else t.kin(hero)
    yield e.Done(hero, friend, work, admirer)
    yield from t.close(hero)


def apprentice(t: Tale, hero: Person) -> Events:
    """A child sees how an adult works."""
    yield from t.open(hero, "garden")
    adult = t.adult(hero)
    yield from t.go(hero, WORKPLACES[adult.job])
    t.world.place(adult, WORKPLACES[adult.job])
    yield e.Visit(hero, adult)
    yield t.intro(adult)
    well = t.pick((True, False))
    yield e.Work(adult, hero, well)
    yield from t.feel(hero, *(("proud", "happy") if well else ("tired", "curious")))
    yield e.Thank(hero, adult)
    yield from t.close(hero)


def portrait(t: Tale, hero: Person) -> Events:
    """Who somebody is, and what he does on a usual day."""
    yield e.Intro(
        hero,
        t.pick(
            (
                ("age", "town", "pet", "food", "colour", "hobby", "job"),
                ("age", "town", "job", "hobby", "colour", "food", "pet"),
                ("town", "age", "pet", "colour", "job", "food", "hobby"),
                ("pet", "food", "town", "age", "hobby", "colour", "job"),
            )
        ),
    )
    friend = t.friend(hero)
    place = t.pick(("park", "playground", "pond", "library"))
    t.world.place(hero, place)
    yield from t.meet(hero, friend, place)
    yield e.Alike(hero, friend, t.game(place))
    yield from t.close(hero)


# ---- plots with facts about countries (told in English alone) ---------------------------------------------
def country(t: Tale, but: Sequence[str] = ()) -> str:
    return t.pick([name for name in COUNTRIES if name not in but])


def lesson(t: Tale, hero: Person) -> Events:
    """The class learns capitals and continents."""
    yield from t.open(hero, "school")
    friend = t.friend(hero)
    yield e.Lesson(hero, t.pick(("globe", "map", "atlas", "stamps")))
    seen = []
    for who in t.pick(((hero, friend), (friend, hero), (hero, friend, hero))):
        seen.append(country(t, seen))
        yield e.Quiz(who, seen[-1], t.pick(("capital", "continent")))
    stuck = t.pick((True, False))
    if stuck:
        yield e.Stuck(hero, friend, country(t, seen), t.pick(("capital", "continent")))
    yield from t.feel(hero, "happy", "curious", *(() if stuck else ("proud",)))
    yield from t.close(hero)


def postcard(t: Tale, hero: Person) -> Events:
    """A relative writes from far away."""
    yield from t.open(hero, "kitchen")
    kin = t.kin(hero)
    yield e.Postcard(hero, kin, country(t), t.thing(SOUVENIRS))
    yield from t.feel(hero, "happy", "curious", "excited")
    yield e.Wish(hero, (country(t),))
    yield from t.close(hero, away=kin)


def traveller(t: Tale, hero: Person) -> Events:
    """Somebody tells where he comes from."""
    yield from t.open(hero, "market")
    place = t.pick(("station", "bridge", "library", "park"))
    yield from t.go(hero, place)
    yield e.Traveller(hero, place, country(t))
    yield from t.feel(hero, "curious", "surprised", "excited")
    yield e.Wish(hero, (country(t),))
    yield from t.close(hero)


PLOTS: dict[str, Callable[[Tale, Person], Events]] = {
    plot.__name__: plot
    for plot in (
        lost_thing,
        gift,
        errand,
        rescue,
        trade,
        lost_pet,
        hide_and_seek,
        quarrel,
        mending,
        spoiled_plan,
        race,
        newcomer,
        fear,
        growing,
        helping,
        treasure,
        sharing,
        fable,
        night_noise,
        building,
        apprentice,
        portrait,
    )
}
FACT_PLOTS: dict[str, Callable[[Tale, Person], Events]] = {
    plot.__name__: plot for plot in (lesson, postcard, traveller)
}


def happen(draw: Chooser, facts: bool = False) -> Events:
    """Draw a hero and a plot and let it happen; `facts`: plots about countries too."""
    plots = {**PLOTS, **FACT_PLOTS} if facts else PLOTS
    plot = draw.pick([*plots], [2.0 if name in FACT_PLOTS else 1.0 for name in plots])
    tale = Tale(draw)
    yield from plots[plot](tale, None if plot == "fable" else tale.child())


def simulate(seed: int | str) -> list[e.Event]:
    """Return the log of story `seed`, to be told in any language."""
    return list(happen(Dice(f"world {seed}")))
