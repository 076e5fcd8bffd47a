"""Name everything that can happen in a story, in no particular language.

One event is told in one to three sentences.  Fields hold people, things and plain ids; whatever a field says is
told (in English always, elsewhere where it sounds right), so nothing is drawn that a reader could not see.
"""
from dataclasses import dataclass

from .world import Animal, Kin, Person, Thing, Who


@dataclass(frozen=True)
class Event:
    """One step of a story."""


@dataclass(frozen=True)
class Frame(Event):
    """When it was and how the weather was (weekday may be None)."""
    time: str
    weather: str
    weekday: str | None


@dataclass(frozen=True)
class Intro(Event):
    """Who somebody is: the facts named in `facts` (age town pet food colour hobby job) are told, in that order."""
    who: Person
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Own(Event):
    """Somebody has a thing; source: a kin's kind who gave it, or made, found, bought."""
    who: Person
    thing: Thing
    source: str


@dataclass(frozen=True)
class Go(Event):
    """Somebody goes from one place to another, past `via` (None where the two touch); how: walk run skip hurry."""
    who: Who
    start: str
    via: str | None
    end: str
    how: str


@dataclass(frozen=True)
class GoTogether(Event):
    """Two go to a place."""
    who: Person
    other: Who
    end: str


@dataclass(frozen=True)
class Sight(Event):
    """An animal is seen at a place, minding its own business (act: see plots.SIGHTS)."""
    who: Person
    animal: str
    act: str


@dataclass(frozen=True)
class Meet(Event):
    """Somebody meets another at a place; the other is busy with `doing` (None: nothing is said of it)."""
    who: Who
    other: Who
    place: str
    doing: str | None = None


@dataclass(frozen=True)
class Errand(Event):
    """`other` asks `who` where he is going; he answers: to `place`."""
    other: Who
    who: Person
    place: str


@dataclass(frozen=True)
class Play(Event):
    """Somebody plays with a thing at a place."""
    who: Person
    thing: Thing
    place: str


@dataclass(frozen=True)
class Miss(Event):
    """Somebody, at `place`, sees that the thing (or pet) is gone."""
    who: Person
    what: Thing | Animal
    place: str


@dataclass(frozen=True)
class Feel(Event):
    """Somebody feels something (see world.FEELINGS)."""
    who: Who
    feeling: str


@dataclass(frozen=True)
class Search(Event):
    """Somebody looks for it at a spot of a place, and it is not there."""
    who: Person
    what: Thing | Animal | Person
    place: str
    spot: str


@dataclass(frozen=True)
class AskSeen(Event):
    """Somebody asks another whether he has seen it."""
    who: Person
    other: Who
    what: Thing | Animal


@dataclass(frozen=True)
class NotSeen(Event):
    """The answer: no, but the other offers help."""
    other: Who
    who: Person
    what: Thing | Animal


@dataclass(frozen=True)
class Saw(Event):
    """The answer: yes, at `place`."""
    other: Who
    who: Person
    what: Thing | Animal
    place: str


@dataclass(frozen=True)
class Kept(Event):
    """The answer: yes, I found it and kept it for you; here it is."""
    other: Who
    who: Person
    thing: Thing


@dataclass(frozen=True)
class Find(Event):
    """Somebody finds a thing, a pet or a person at a spot."""
    who: Person
    what: Thing | Animal | Person
    place: str
    spot: str


@dataclass(frozen=True)
class Thank(Event):
    """Somebody thanks another, who answers kindly."""
    who: Who
    other: Who


@dataclass(frozen=True)
class Occasion(Event):
    """Why somebody wants to give his friend something: birthday ill moving thanks prize."""
    who: Person
    other: Person
    reason: str


@dataclass(frozen=True)
class Idea(Event):
    """Somebody decides to get a thing for another; means: make buy bake."""
    who: Person
    other: Person
    thing: Thing
    means: str


@dataclass(frozen=True)
class Make(Event):
    """Somebody makes a thing himself at a place, with `helper` (None: alone)."""
    who: Person
    thing: Thing
    place: str
    helper: Who | None = None


@dataclass(frozen=True)
class Buy(Event):
    """Somebody buys a thing for so many coins."""
    who: Person
    thing: Thing
    coins: int


@dataclass(frozen=True)
class Give(Event):
    """Somebody gives a thing to another, who has it from now on."""
    who: Who
    other: Who
    thing: Thing


@dataclass(frozen=True)
class Delight(Event):
    """Somebody is glad of the thing he has just been given, and says so."""
    who: Who
    other: Who
    thing: Thing


@dataclass(frozen=True)
class Send(Event):
    """A relative wants to cook a dish and sends the child for what is missing (world.DISHES says what)."""
    kin: Kin
    who: Person
    dish: str
    foods: tuple[str, ...]


@dataclass(frozen=True)
class Shop(Event):
    """Somebody buys all the foods at the market from a stall keeper."""
    who: Person
    foods: tuple[str, ...]


@dataclass(frozen=True)
class Forget(Event):
    """On the way home somebody sees that he has forgotten one food, goes back and buys it too."""
    who: Person
    food: str


@dataclass(frozen=True)
class Bring(Event):
    """Somebody hands the foods to the relative."""
    who: Person
    kin: Kin
    foods: tuple[str, ...]


@dataclass(frozen=True)
class Cook(Event):
    """The relative and the child cook the dish together."""
    kin: Kin
    who: Person
    dish: str


@dataclass(frozen=True)
class Eat(Event):
    """All eat the dish; verdict: best hot bit_burnt sweet."""
    who: Person
    dish: str
    verdict: str


@dataclass(frozen=True)
class Hear(Event):
    """Somebody hears a sound at a place; sound: squeak cry rustle splash knock."""
    who: Person
    place: str
    sound: str


@dataclass(frozen=True)
class Trouble(Event):
    """Somebody finds an animal in trouble (see world.TROUBLES)."""
    who: Person
    animal: Animal
    trouble: str
    place: str


@dataclass(frozen=True)
class Soothe(Event):
    """Somebody speaks kindly to an animal."""
    who: Person
    animal: Animal


@dataclass(frozen=True)
class Cure(Event):
    """Somebody helps the animal (see world.CURES); helper lends a hand or is None."""
    who: Person
    animal: Animal
    cure: str
    helper: Who | None = None


@dataclass(frozen=True)
class AnimalEnd(Event):
    """What the animal does then: goes_home stays follows visits."""
    who: Person
    animal: Animal
    end: str


@dataclass(frozen=True)
class WantTrade(Event):
    """Somebody admires the other's thing and offers his own for it."""
    who: Person
    other: Person
    wanted: Thing
    offered: Thing


@dataclass(frozen=True)
class Refuse(Event):
    """The other does not want it, but would rather have `rather`."""
    other: Person
    who: Person
    rather: Thing


@dataclass(frozen=True)
class Trade(Event):
    """They exchange: `who` gives `given`, gets `got`."""
    who: Person
    other: Person
    given: Thing
    got: Thing


@dataclass(frozen=True)
class PetGone(Event):
    """Somebody's pet is not where it always is; it got out through gate window door."""
    who: Person
    pet: Animal
    way: str


@dataclass(frozen=True)
class Clue(Event):
    """A trace of the pet leads to a place: prints hair crumbs sound."""
    who: Person
    pet: Animal
    trace: str
    place: str


@dataclass(frozen=True)
class PetFound(Event):
    """The pet is found at a spot, doing: asleep eating playing waiting."""
    who: Person
    pet: Animal
    place: str
    spot: str
    doing: str


@dataclass(frozen=True)
class HideStart(Event):
    """Three children agree to play hide and seek at a place; `seeker` counts to `number`."""
    seeker: Person
    first: Person
    second: Person
    place: str
    number: int


@dataclass(frozen=True)
class Hide(Event):
    """A child hides at a spot."""
    who: Person
    place: str
    spot: str


@dataclass(frozen=True)
class Giveaway(Event):
    """What gave the hidden child away: sneeze laugh shoe hat."""
    who: Person
    sign: str


@dataclass(frozen=True)
class Caught(Event):
    """The seeker finds a hidden child at the spot where that one hid."""
    seeker: Person
    who: Person
    place: str
    spot: str


@dataclass(frozen=True)
class Quarrel(Event):
    """Two children both want a thing (which lies between them)."""
    who: Person
    other: Person
    thing: Thing


@dataclass(frozen=True)
class Advice(Event):
    """Somebody advises both: turns together coin."""
    adviser: Who
    who: Person
    other: Person
    way: str


@dataclass(frozen=True)
class Peace(Event):
    """They follow the advice and are friends again."""
    who: Person
    other: Person
    thing: Thing
    way: str


@dataclass(frozen=True)
class Broken(Event):
    """Somebody's thing breaks (see world.BREAKS)."""
    who: Person
    thing: Thing
    damage: str


@dataclass(frozen=True)
class AskMend(Event):
    """Somebody asks an adult, who has a job, to mend it; the adult agrees."""
    who: Person
    other: Person
    thing: Thing


@dataclass(frozen=True)
class Mend(Event):
    """The adult mends it and gives it back; with: glue nail thread wire."""
    other: Person
    who: Person
    thing: Thing
    means: str


@dataclass(frozen=True)
class Repay(Event):
    """The child pays with a favour: sweep sing carry draw."""
    who: Person
    other: Person
    favour: str


@dataclass(frozen=True)
class Plan(Event):
    """Two friends plan something for the day: picnic swim football kites sledge."""
    who: Person
    other: Person
    plan: str
    place: str


@dataclass(frozen=True)
class WeatherTurns(Event):
    """The weather changes: rain wind fog storm."""
    change: str


@dataclass(frozen=True)
class Shelter(Event):
    """They run to a dry place."""
    who: Person
    other: Person
    place: str


@dataclass(frozen=True)
class NewPlan(Event):
    """They do something else instead: tent cards tales theatre."""
    who: Person
    other: Person
    plan: str


@dataclass(frozen=True)
class Challenge(Event):
    """Two children agree on a race from here to `end`."""
    who: Person
    other: Person
    start: str
    end: str


@dataclass(frozen=True)
class Lead(Event):
    """One is ahead at first."""
    who: Person
    other: Person


@dataclass(frozen=True)
class Stumble(Event):
    """The one ahead falls (over root stone mud laces); the other stops and helps or not."""
    who: Person
    over: str
    other: Person
    helps: bool


@dataclass(frozen=True)
class Win(Event):
    """Who wins the race; None for both together."""
    who: Person
    other: Person
    both: bool


@dataclass(frozen=True)
class Newcomer(Event):
    """A child visits from another town and stands alone at a place."""
    who: Person
    place: str


@dataclass(frozen=True)
class Talk(Event):
    """`who` asks the other about one fact (pet food colour hobby job town); the other answers."""
    who: Person
    other: Person
    fact: str


@dataclass(frozen=True)
class Alike(Event):
    """They go on to play something together: the game is ball hide chess draw sing."""
    who: Person
    other: Person
    game: str


@dataclass(frozen=True)
class Afraid(Event):
    """Somebody is afraid of something (see world.FEARS)."""
    who: Person
    fear: str


@dataclass(frozen=True)
class Comfort(Event):
    """Somebody helps with: song count lantern slow hand breathe friend_face."""
    helper: Who
    who: Person
    way: str


@dataclass(frozen=True)
class Brave(Event):
    """Somebody does what he was afraid of."""
    who: Person
    fear: str


@dataclass(frozen=True)
class Sow(Event):
    """Somebody sows a seed of: sunflower pumpkin tulip rose, given by `giver`."""
    who: Person
    giver: Who
    plant: str


@dataclass(frozen=True)
class Tend(Event):
    """Somebody cares for it: water weed fence sing, day after day, and nothing shows yet."""
    who: Person
    care: str


@dataclass(frozen=True)
class Sprout(Event):
    """After so many days something green shows."""
    who: Person
    days: int


@dataclass(frozen=True)
class Grown(Event):
    """It is grown, in a colour."""
    who: Person
    plant: str
    colour: str


@dataclass(frozen=True)
class Chore(Event):
    """An adult needs help with: wood leaves eggs apples fence hay."""
    other: Person
    who: Person
    chore: str


@dataclass(frozen=True)
class DoChore(Event):
    """The child does it, in so many hours."""
    who: Person
    other: Person
    chore: str
    hours: int


@dataclass(frozen=True)
class Note(Event):
    """Somebody finds an old note at a spot; it points to another place and spot."""
    who: Person
    place: str
    spot: str
    target: str
    target_spot: str


@dataclass(frozen=True)
class Chest(Event):
    """In a chest at the spot lies a thing."""
    who: Person
    place: str
    spot: str
    thing: Thing


@dataclass(frozen=True)
class Hungry(Event):
    """Somebody has no lunch (forgotten dropped eaten by a dog: forgot dropped dog)."""
    who: Person
    why: str


@dataclass(frozen=True)
class Share(Event):
    """Somebody shares his food with another."""
    who: Person
    other: Person
    food: str


@dataclass(frozen=True)
class Return(Event):
    """Another day the other pays back with his own favourite food."""
    other: Person
    who: Person


@dataclass(frozen=True)
class Fable(Event):
    """Two animals want one piece of food."""
    strong: str
    clever: str
    food: str
    place: str


@dataclass(frozen=True)
class Boast(Event):
    """The strong animal says why it should have it: size speed age voice."""
    strong: str
    claim: str


@dataclass(frozen=True)
class Trick(Event):
    """The clever one answers with a trick: flatter bet shout divide."""
    strong: str
    clever: str
    food: str
    trick: str


@dataclass(frozen=True)
class Moral(Event):
    """What one learns: proud share think."""
    moral: str


@dataclass(frozen=True)
class NightNoise(Event):
    """In bed somebody hears a noise from the attic kitchen garden: scratch tap bump."""
    who: Person
    place: str
    noise: str


@dataclass(frozen=True)
class Reveal(Event):
    """It was only: branch cat mouse pet shutter owl."""
    who: Person
    place: str
    source: str


@dataclass(frozen=True)
class Build(Event):
    """Two build something: snowman raft treehouse sandcastle den kite_big birdhouse."""
    who: Person
    other: Person
    work: str
    place: str


@dataclass(frozen=True)
class Part(Event):
    """Each does a part of the work: one fetches `first`, the other `second`."""
    who: Person
    first: str
    other: Person
    second: str


@dataclass(frozen=True)
class Setback(Event):
    """It falls apart, and they try again; cause: wind weight cat hurry."""
    work: str
    cause: str


@dataclass(frozen=True)
class Done(Event):
    """The work is done and somebody admires it."""
    who: Person
    other: Person
    work: str
    admirer: Who


@dataclass(frozen=True)
class Visit(Event):
    """Somebody visits an adult at work."""
    who: Person
    other: Person


@dataclass(frozen=True)
class Work(Event):
    """The adult shows the child his work (by job); the child tries it: well or badly at first."""
    other: Person
    who: Person
    well: bool


@dataclass(frozen=True)
class Closing(Event):
    """How the day ends: sleep home supper stars tell wave smile."""
    who: Person
    end: str
    kin: Kin | None = None


@dataclass(frozen=True)
class Lesson(Event):
    """A lesson about countries begins: globe map atlas stamps."""
    who: Person
    aid: str


@dataclass(frozen=True)
class Quiz(Event):
    """The teacher asks for the capital or continent of a country and `who` knows it."""
    who: Person
    country: str
    fact: str


@dataclass(frozen=True)
class Stuck(Event):
    """`who` does not know a fact; `other` whispers or says it."""
    who: Person
    other: Person
    country: str
    fact: str


@dataclass(frozen=True)
class Postcard(Event):
    """A card comes from a relative who travels: both facts about a country."""
    who: Person
    kin: Kin
    country: str
    thing: Thing


@dataclass(frozen=True)
class Wish(Event):
    """Somebody dreams of a journey to two countries one day."""
    who: Person
    countries: tuple[str, ...]


@dataclass(frozen=True)
class Traveller(Event):
    """A traveller at a place tells where he comes from: a country, its capital, its continent."""
    who: Person
    place: str
    country: str
