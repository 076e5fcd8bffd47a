"""Keep a small world: who is where, who has what, and what happened, in no particular language.

Everything is named by a plain id ("kite", "garden"); a language module (english.py and its sisters) says how an
id is spoken.  `World` refuses what cannot happen: nobody gives away what he does not have, nothing is found
where it is not.  Each action returns an event; the list of events is the story.
"""
from collections import deque
from dataclasses import dataclass, field

from .chance import Chooser


# ---- who and what there is -------------------------------------------------------------------------------
@dataclass(frozen=True)
class Person:
    """One inhabitant; all of it is true in every story."""

    name: str
    gender: str  # "f" or "m"
    age: int
    job: str  # what an adult is, what a child wants to become
    town: str
    pet: str
    pet_name: str
    food: str  # favourite
    colour: str  # favourite
    hobby: str

    @property
    def is_child(self) -> bool:
        return self.age < 14


@dataclass(frozen=True)
class Kin:
    """Somebody's mother, grandfather, aunt …: no name, but a voice."""

    of: Person
    kind: str

    @property
    def gender(self) -> str:
        return "f" if self.kind in ("mother", "grandmother", "aunt", "sister") else "m"


@dataclass(frozen=True)
class Role:
    """Somebody known only by what he is: the teacher, an old man."""

    kind: str

    @property
    def gender(self) -> str:
        return "f" if self.kind in ("old woman", "market woman", "girl") else "m"


@dataclass(frozen=True)
class Animal:
    """A wild animal, or somebody's pet (then with a name)."""

    kind: str
    name: str | None = None
    gender: str = "n"


@dataclass(frozen=True)
class Thing:
    """A thing one can carry; colour and size are None where the story does not say."""

    kind: str
    colour: str | None = None
    size: str | None = None


Who = Person | Kin | Role | Animal

COLOURS = "red blue green yellow white black orange purple".split()
SIZES = "big small tiny old new".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
TIMES = "morning afternoon evening".split()
WEATHER = "sunny rainy windy snowy foggy cloudy warm cold".split()
FAIR, WET = ("sunny", "warm", "cloudy"), ("rainy", "snowy", "cold")
KIN = "mother father grandmother grandfather aunt uncle".split()
TOYS = "ball kite doll drum boat train puzzle whistle flute hoop marble top".split()
CLOTHES = "hat scarf coat ring necklace ribbon cap umbrella bag belt".split()
GOODS = "lantern basket key bucket blanket cup bowl jar candle spoon book pencil clock bell mirror box".split()
FOUND = "feather shell stone coin map button".split()
# what hands can make; what one buys or gives as a present; what fits into a small chest
HANDMADE = "kite doll drum boat train whistle flute hoop top hat scarf belt bag cap ribbon necklace basket box".split()
PRESENTS = [*CLOTHES, *"lantern basket blanket cup bowl book clock bell mirror box candle".split()]
SMALL = [*"doll boat train puzzle whistle flute marble top key cup spoon book bell mirror candle".split(), *FOUND]
# the sizes that not everything comes in
SIZES_OF = {
    **dict.fromkeys(("feather", "shell", "stone"), ("big", "small", "tiny")), "coin": ("old", "new", "small"),
    "map": ("old", "new", "big", "small"), "button": ("old", "big", "small", "tiny"),
    **dict.fromkeys(
        "hat scarf coat cap umbrella belt bucket blanket basket hoop".split(), ("big", "small", "old", "new")
    ),
}
PETS = "cat dog rabbit parrot hamster tortoise pony goat hen mouse".split()
FRUIT = "apple pear plum cherry orange strawberry".split()
# what each dish is made of
DISHES = {
    "pancakes": ("eggs", "milk", "flour"),
    "apple_pie": ("apples", "butter", "flour"),
    "tomato_soup": ("tomatoes", "onions"),
    "carrot_cake": ("carrots", "eggs", "sugar"),
    "fish_stew": ("fish", "potatoes", "onions"),
    "rice_pudding": ("rice", "milk", "sugar"),
    "honey_bread": ("flour", "honey"),
    "bean_soup": ("beans", "carrots"),
    "cheese_tart": ("cheese", "butter", "eggs"),
    "plum_jam": ("plums", "sugar"),
    "nut_biscuits": ("nuts", "butter", "honey"),
    "lemon_cake": ("lemons", "flour", "eggs"),
}
# what troubles an animal can be in, which animals, and where
TROUBLES = {
    "stuck": ("hedgehog lamb kitten goat rabbit", "garden orchard barn wood"),
    "hurt_leg": ("dog hare lamb duck fox", "field wood hill park"),
    "hurt_wing": ("sparrow owl crow goose swan", "wood park field hill"),
    "hungry": ("puppy squirrel sparrow kitten donkey", "park barn market bridge"),
    "cold": ("kitten puppy mouse lamb sparrow", "station barn bridge mill"),
    "lost": ("duckling calf fox lamb puppy", "pond field wood river"),
    "up_a_tree": ("kitten cat", "park orchard garden"),
    "in_a_hole": ("hedgehog puppy frog rabbit", "field wood hill"),
}
# two ways to help in each trouble
CURES = {
    "stuck": ("pull_free", "cut_string"), "hurt_leg": ("bandage", "carry_to_healer"),
    "hurt_wing": ("bandage", "carry_to_healer"), "hungry": ("feed_bread", "feed_apple"),
    "cold": ("wrap_scarf", "warm_hands"), "lost": ("find_mother", "follow_sound"),
    "up_a_tree": ("ladder", "call_softly"), "in_a_hole": ("reach_down", "plank"),
}
# what can break, and how
BREAKS = {
    "kite": "torn", "doll": "lost_arm", "drum": "torn", "boat": "cracked", "train": "lost_wheel",
    "clock": "stopped", "umbrella": "torn", "basket": "lost_handle", "lantern": "cracked", "flute": "cracked",
    "bag": "torn", "box": "lost_handle",
}
MEANS = {"torn": ("glue", "thread"), "lost_arm": ("glue", "thread"), "cracked": ("glue", "wire"),
         "lost_wheel": ("nail", "wire"), "stopped": ("wire", "nail"), "lost_handle": ("nail", "wire")}
MENDS = {kind: MEANS[damage] for kind, damage in BREAKS.items()}
# what a child may be afraid of, and what helps
FEARS = {
    "thunder": ("song", "count"), "dark": ("lantern", "song"), "big_dog": ("slow", "hand"),
    "deep_water": ("hand", "slow"), "high_bridge": ("count", "hand"), "empty_attic": ("lantern", "hand"),
    "stage": ("breathe", "friend_face"), "first_day": ("friend_face", "breathe"),
}
FEELINGS = "happy sad proud tired angry afraid surprised curious lonely excited worried bored".split()

# places, and from where one can step directly to where
PATHS = [
    ("bedroom", "kitchen"), ("attic", "bedroom"), ("kitchen", "garden"), ("garden", "orchard"), ("garden", "park"),
    ("park", "playground"), ("park", "pond"), ("park", "school"), ("school", "library"), ("library", "market"),
    ("market", "station"), ("market", "bridge"), ("bridge", "river"), ("river", "mill"), ("mill", "field"),
    ("field", "barn"), ("field", "wood"), ("wood", "hill"), ("orchard", "field"),
]
PLACES = sorted({place for path in PATHS for place in path})
ROOMS = "bedroom kitchen attic".split()
INDOORS = [*ROOMS, *"school library barn mill".split()]
OUTDOORS = "garden orchard park playground pond bridge river field wood hill".split()
SPOTS = {
    "bedroom": ("under_bed", "behind_curtain", "under_pillow"), "kitchen": ("under_table", "behind_stove", "on_shelf"),
    "attic": ("in_trunk", "behind_chimney", "under_blanket"), "garden": ("under_rose_bush", "behind_shed", "by_wall"),
    "orchard": ("under_apple_tree", "in_wheelbarrow", "in_long_grass"),
    "park": ("under_bench", "behind_oak", "by_fountain"), "playground": ("under_slide", "by_swings", "in_sandpit"),
    "pond": ("among_reeds", "on_flat_stone", "by_jetty"), "school": ("under_desk", "in_cloakroom", "behind_piano"),
    "library": ("between_books", "under_stairs", "on_window_seat"),
    "market": ("under_stall", "between_barrels", "beside_scales"),
    "station": ("under_timetable", "in_waiting_room", "on_platform"),
    "bridge": ("under_arch", "beside_lamp", "on_railing"), "river": ("under_willow", "in_old_boat", "among_stones"),
    "mill": ("behind_sacks", "beside_wheel", "on_steps"), "field": ("in_ditch", "behind_haystack", "by_gate"),
    "barn": ("in_hay", "behind_ladder", "under_cart"), "wood": ("in_hollow_tree", "under_ferns", "behind_log"),
    "hill": ("behind_rock", "beside_bush", "in_old_tower"),
}

# spots that would hide a pony or a goat
WIDE = ("behind_shed by_wall under_apple_tree in_long_grass behind_oak by_fountain by_swings by_jetty under_arch "
        "beside_lamp under_willow behind_haystack by_gate behind_log behind_rock beside_bush in_hay beside_wheel "
        "on_platform").split()

PEOPLE_TABLE = """
Mila f 8 pilot Oakford cat Pip pancakes red swimming
Tom m 9 sailor Oakford dog Rex plum_jam blue fishing
Nora f 7 dancer Oakford hamster Dot cherries yellow drawing
Ben m 10 inventor Oakford tortoise Turbo tomato_soup green chess
Martha f 52 baker Oakford hen Pepper honey_bread orange singing
George m 61 doctor Oakford parrot Captain fish_stew white gardening
Lucy f 9 vet Millbrook pony Star carrot_cake purple riding
Sam m 6 firefighter Millbrook rabbit Clover strawberries red climbing
Ada f 11 engineer Millbrook mouse Button cheese_tart black chess
Max m 8 clown Millbrook goat Biscuit pancakes orange dancing
Helen f 47 farmer Millbrook dog Bruno bean_soup green cooking
Walter m 55 carpenter Millbrook cat Smoky apple_pie blue fishing
Zara f 10 astronaut Redhill parrot Echo lemon_cake black reading
Leo m 7 explorer Redhill dog Scout rice_pudding yellow climbing
Ruby f 6 singer Redhill rabbit Snowy strawberries red singing
Omar m 9 writer Redhill cat Inky honey_bread purple reading
Grace f 38 librarian Redhill tortoise Granny nut_biscuits green chess
Victor m 66 clockmaker Redhill mouse Tick cheese_tart white swimming
Ella f 8 gardener Stonebridge hen Daisy apple_pie green drawing
Finn m 10 diver Stonebridge dog Wave fish_stew blue swimming
Ivy f 7 painter Stonebridge hamster Berry cherries purple skating
Jack m 8 driver Stonebridge goat Bramble plum_jam yellow football
Olga f 44 potter Stonebridge cat Misty tomato_soup white dancing
Hassan m 50 miller Stonebridge pony Thunder honey_bread red riding
Leila f 9 scientist Fernley tortoise Newton oranges blue reading
Ravi m 11 cook Fernley parrot Mango rice_pudding orange chess
Anna f 6 teacher Fernley rabbit Poppy carrot_cake red skating
Paul m 7 musician Fernley mouse Whisper nut_biscuits black singing
Ruth f 58 nurse Fernley hen Ginger lemon_cake yellow gardening
Simon m 35 tailor Fernley cat Velvet pears purple cooking
Tara f 10 sailor Larkton dog Anchor fish_stew white swimming
Hugo m 6 inventor Larkton hamster Bolt pancakes green football
Maya f 8 pilot Larkton parrot Cloud strawberries blue drawing
Karim m 9 vet Larkton goat Nibble pears yellow fishing
Fatima f 41 beekeeper Larkton cat Honey nut_biscuits orange gardening
Arthur m 63 shoemaker Larkton tortoise Boots apple_pie black fishing
Clara f 7 clown Windham pony Dancer lemon_cake red riding
Oscar m 10 astronaut Windham mouse Comet cheese_tart black drawing
Rosa f 9 singer Windham hen Pearl rice_pudding white dancing
Adam m 8 firefighter Windham dog Blaze bean_soup orange football
Irene f 33 musician Windham rabbit Tango plums purple singing
Robert m 49 blacksmith Windham goat Iron tomato_soup green climbing
Hana f 11 writer Applewick cat Shadow oranges purple skating
Theo m 7 dancer Applewick rabbit Hop carrot_cake yellow dancing
Dora f 8 explorer Applewick dog Bear apples green climbing
Felix m 6 driver Applewick hen Feather pancakes red football
Judith f 62 cook Applewick parrot Paprika bean_soup white cooking
Bruno m 57 shopkeeper Applewick hamster Penny plum_jam blue chess
Lily f 10 doctor Foxdale hamster Peanut cherries white reading
Peter m 9 teacher Foxdale tortoise Rock apple_pie green fishing
Sofia f 6 painter Foxdale goat Tulip strawberries orange drawing
David m 8 scientist Foxdale mouse Atom honey_bread blue swimming
Carmen f 45 tailor Foxdale pony Ribbon rice_pudding red dancing
Edgar m 68 postman Foxdale dog Letter tomato_soup yellow riding
Emma f 7 engineer Greenport parrot Coco lemon_cake black chess
Noah m 11 diver Greenport cat Shell oranges blue swimming
Nina f 9 gardener Greenport rabbit Moss plums green football
Ali m 10 musician Greenport pony Breeze pears white riding
Agnes f 54 painter Greenport hen Lemon carrot_cake purple drawing
Martin m 59 fisherman Greenport dog Storm fish_stew orange cooking
"""
PEOPLE = [Person(name, gender, int(age), *rest)
          for name, gender, age, *rest in (row.split() for row in PEOPLE_TABLE.split("\n") if row)]
CHILDREN = [person for person in PEOPLE if person.is_child]
ADULTS = [person for person in PEOPLE if not person.is_child]
TOWNS = sorted({person.town for person in PEOPLE})
JOBS = sorted({person.job for person in PEOPLE})
HOBBIES = sorted({person.hobby for person in PEOPLE})


def route(start: str, end: str) -> list[str]:
    """Return the shortest way between two places, both ends included."""
    before = {start: start}
    queue = deque([start])
    while queue and end not in before:
        here = queue.popleft()
        for a, b in PATHS:
            for x, y in ((a, b), (b, a)):
                if x == here and y not in before:
                    before[y] = here
                    queue.append(y)
    way = [end]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]


class Impossible(ValueError):
    """Somebody tried what the state of the world does not allow."""


@dataclass
class World:
    """The state that stories change: places of people and things, and who holds what."""

    draw: Chooser
    at: dict[Who, str] = field(default_factory=dict)
    holds: dict[Thing, Who] = field(default_factory=dict)
    lies: dict[Thing, str] = field(default_factory=dict)

    def place(self, who: Who, place: str) -> None:
        """Put somebody somewhere without telling."""
        self.at[who] = place

    def go(self, who: Who, place: str) -> None:
        """Move somebody, who must be somewhere else."""
        if self.at.get(who) == place:
            raise Impossible(f"{who} is in {place} already; send {who} elsewhere")
        self.at[who] = place

    def take(self, who: Who, thing: Thing) -> None:
        """Let somebody get a thing that nobody else holds."""
        if thing in self.holds:
            raise Impossible(f"{self.holds[thing]} holds {thing}; give it first")
        if thing in self.lies and self.lies[thing] != self.at.get(who):
            raise Impossible(f"{thing} lies in {self.lies[thing]}, {who} is in {self.at.get(who)}; go there first")
        self.lies.pop(thing, None)
        self.holds[thing] = who

    def drop(self, who: Who, thing: Thing, place: str | None = None) -> None:
        """Let a thing lie where its holder is (or at `place`)."""
        self.need(who, thing)
        del self.holds[thing]
        self.lies[thing] = place or self.at[who]

    def give(self, who: Who, to: Who, thing: Thing) -> None:
        """Hand over what one has to somebody who is there."""
        self.need(who, thing)
        if self.at.get(who) != self.at.get(to):
            raise Impossible(f"{who} is in {self.at.get(who)} and {to} in {self.at.get(to)}; let them meet first")
        self.holds[thing] = to

    def need(self, who: Who, thing: Thing) -> None:
        """Refuse unless somebody holds the thing."""
        if self.holds.get(thing) != who:
            raise Impossible(f"{who} does not have {thing}: {self.holds.get(thing)} has it; take it first")

    def together(self, *who: Who) -> None:
        """Refuse unless all are in one place."""
        if len({self.at.get(one) for one in who}) != 1:
            raise Impossible(f"{who} are in different places; let them meet first")
