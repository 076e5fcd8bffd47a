"""Say in English every plain id of the world: a kite, under the bed, twelve."""
from dataclasses import fields

from . import events as e
from .countries import COUNTRIES
from .world import (
    CLOTHES,
    COLOURS,
    FOUND,
    GOODS,
    KIN,
    PLACES,
    SIZES,
    TIMES,
    TOYS,
    WEEKDAYS,
    Animal,
    Kin,
    Person,
)

NOUNS = {"boat": "toy boat", "train": "toy train", "top": "spinning top", "box": "wooden box", "jar": "glass jar"}
FOODS = {  # with its article, bare, plural?
    "pancakes": ("pancakes", "pancakes", True), "apple_pie": ("an apple pie", "apple pie", False),
    "tomato_soup": ("tomato soup", "tomato soup", False), "carrot_cake": ("a carrot cake", "carrot cake", False),
    "fish_stew": ("fish stew", "fish stew", False), "rice_pudding": ("rice pudding", "rice pudding", False),
    "honey_bread": ("honey bread", "honey bread", False), "bean_soup": ("bean soup", "bean soup", False),
    "cheese_tart": ("a cheese tart", "cheese tart", False), "plum_jam": ("plum jam", "plum jam", False),
    "nut_biscuits": ("nut biscuits", "nut biscuits", True), "lemon_cake": ("a lemon cake", "lemon cake", False),
}
SHARED = {"bread": "a loaf of bread", "apple": "a big apple", "cheese": "a piece of cheese",
"cake": "a piece of cake",
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
           "snowy": "snow lay on the roofs", "foggy": "fog hung over the town",
           "cloudy": "grey clouds hung in the sky",
           "warm": "the air was warm", "cold": "it was bitterly cold"}
AT = {"school": "at", "market": "at", "station": "at", "pond": "at", "river": "by", "mill": "at", "bridge": "on",
      "hill": "on", "playground": "on"}
OVERS = {"root": "over a root", "stone": "over a stone", "mud": "in the mud", "laces": "over {his} laces"}
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
    "behind_piano": "behind the piano", "between_books": "between two rows of books",
    "under_stairs": "under the stairs",
    "on_window_seat": "on the window seat", "under_stall": "under an empty stall",
    "between_barrels": "between two barrels",
    "beside_scales": "beside the scales", "under_timetable": "under the timetable",
    "in_waiting_room": "in the waiting room",
    "on_platform": "on the platform", "under_arch": "under the arch", "beside_lamp": "beside the lamp",
    "on_railing": "on the railing", "under_willow": "under the willow", "in_old_boat": "in an old boat",
    "among_stones": "among the stones", "behind_sacks": "behind the sacks", "beside_wheel": "beside the great wheel",
    "on_steps": "on the steps", "in_ditch": "in the ditch", "behind_haystack": "behind the haystack",
    "by_gate": "by the gate", "in_hay": "in the hay", "behind_ladder": "behind the ladder",
    "under_cart": "under the cart",
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
    "tailor": ("sewed on a button", "sews on a button"), "beekeeper": ("took honey from the hive",
    "takes honey from a hive"),
    "shoemaker": ("hammered a heel", "hammers a heel"), "musician": ("played a tune", "plays a tune"),
    "blacksmith": ("bent the hot iron", "bends hot iron"), "cook": ("chopped an onion", "chops an onion"),
    "shopkeeper": ("weighed some rice", "weighs rice"), "postman": ("sorted the letters", "sorts letters"),
    "painter": ("mixed a new green", "mixes a new green"), "fisherman": ("mended a net", "mends a net"),
}
DREAMS = {"pilot": "clouds", "sailor": "the sea"}


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


def slots_of(event: e.Event) -> dict:
    """Return everything that a pattern for this event may name."""
    slots = {one.name: getattr(event, one.name) for one in fields(event)}
    for key, value in list(slots.items()):
        if isinstance(value, str):
            slots |= words(event, key, value)
        elif type(value) is int:
            slots[key] = f"{number(value)} hour{'s' if value > 1 else ''}" if key == "hours" else number(value)
    if isinstance(event, e.Wish):
        slots |= words(event, "country", event.countries[0])
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


def words(event: e.Event, key: str, value: str) -> dict[str, object]:
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
            return {key: OVERS[value].format(his="her" if event.who.gender == "f" else "his")}
        case "fact":
            return {}
        case "source" if value in KIN:
            return {"giver": Kin(event.who, value)}
    return {}


def possible(text: str):
    """Return a test: may a story with this text be about such an option?  Never wrong where it says no."""
    lowered = text.lower()
    known = {one: one for one in (*COLOURS, *SIZES, *TIMES, *WEEKDAYS, *KIN, *COUNTRIES)}
    known |= {kind: NOUNS.get(kind, kind) for kind in (*TOYS, *CLOTHES, *GOODS, *FOUND)}
    known |= {dish: bare for dish, (_, bare, _) in FOODS.items()} | SPOTS
    known["whistle"] = "whistl"  # somebody may be whistling

    def may(option) -> bool:
        if isinstance(option, Person):
            return option.name in text
        if isinstance(option, str) and option in CLAUSES:
            return option in lowered or CLAUSES[option] in lowered
        if isinstance(option, str) and option in known:
            return known[option].lower() in lowered
        return number(option) in lowered if type(option) is int else True

    return may
