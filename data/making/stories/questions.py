"""Ask what the texts have told: pairs of a prompt and its answer, for fine-tuning and for a fair test of it.

Held-out questions are about countries and people of whom no fine-tuning question speaks; half of their phrasings are
new as well.  No question of this form stands in the stories or the gazetteer.
"""
import json
import random
from collections.abc import Iterator

from .countries import COUNTRIES, Country
from .lexicon import FOODS, HOBBIES, a
from .world import ADULTS, CHILDREN, Person

HELD_OUT = 0.25  # share of the countries and of the people
# kind -> phrasings for fine-tuning, and phrasings that only held-out questions use
PHRASINGS = {
    "capital": ((
        "What is the capital of {name}?", "Which city is the capital of {name}?", "What is {owner} capital?",
        "What is the capital city of {name}?", "Can you tell me the capital of {name}?",
        "What is the name of the capital of {name}?", "Do you know the capital of {name}?",
        "I would like to know the capital of {name}. What is it?",
    ), (
        "What do we call the capital of {name}?", "If I want to see the capital of {name}, where must I go?",
        "Which is the capital city in {name}?", "Please tell me what the capital of {name} is.",
    )),
    "continent": ((
        "Which continent is {name} in?", "On which continent does {name} lie?", "Where in the world is {name}?",
        "What is the continent of {name}?", "In which part of the world is {name}?",
        "Can you tell me the continent of {name}?", "Do you know where {name} is?",
        "To which continent does {name} belong?",
    ), (
        "What continent would I be on in {name}?", "On what continent can I find {name}?",
        "If I go to {name}, which continent do I go to?", "Please tell me which continent {name} is part of.",
    )),
    "town": ((
        "Where does {name} live?", "In which town does {name} live?", "What is {owner} home town?",
        "Which town does {name} come from?",
    ), ("Where is {owner} home?", "Can you tell me the town {name} lives in?")),
    "pet": ((
        "What pet does {name} have?", "Which animal does {name} have at home?", "What kind of animal is {owner} pet?",
        "Does {name} have a pet? Which one?",
    ), ("What animal does {name} look after?", "Can you tell me what pet {name} has?")),
    "pet_name": ((
        "What is {owner} pet called?", "What is the name of {owner} pet?", "What name does {owner} pet have?",
        "By what name does {name} call the pet?",
    ), ("What do people call {owner} pet?", "Can you tell me the name of {owner} pet?")),
    "food": ((
        "What is {owner} favourite food?", "What does {name} like to eat best?", "Which food does {name} like best?",
        "What would {name} like for supper?",
    ), ("What could {name} eat every day?", "Can you tell me {owner} favourite food?")),
    "colour": ((
        "What is {owner} favourite colour?", "Which colour does {name} like best?", "What colour does {name} love?",
        "What colour is {owner} favourite?",
    ), ("Of all colours, which one does {name} like best?", "Can you tell me {owner} favourite colour?")),
    "hobby": ((
        "What does {name} like doing?", "What is {owner} favourite hobby?", "What does {name} love to do?",
        "How does {name} spend every free hour?",
    ), ("What makes {name} happy?", "Can you tell me {owner} hobby?")),
    "dream": ((
        "What does {name} want to be?", "What does {name} want to become one day?", "What will {name} be one day?",
        "What does {name} dream of becoming?",
    ), ("What would {name} like to be later?", "Can you tell me what {name} wants to be?")),
    "job": ((
        "What is {owner} job?", "What does {name} do for a living?", "What is {owner} work?",
        "What does {name} work as?",
    ), ("What trade does {name} have?", "Can you tell me what {name} works as?")),
}


def answers(subject: Country | Person) -> dict[str, str]:
    """Return kind of question -> answer: a few words and a full stop; only names have capitals, as in the texts."""
    if isinstance(subject, Country):
        return {"capital": f"{subject.capital}.", "continent": f"{subject.continent}."}
    if not subject.is_child:
        return {"job": f"{a(subject.job)}."}
    food = FOODS[subject.food][1] if subject.food in FOODS else subject.food
    return {"town": f"{subject.town}.", "pet": f"{a(subject.pet)}.", "pet_name": f"{subject.pet_name}.",
            "food": f"{food}.", "colour": f"{subject.colour}.",
            "hobby": f"{HOBBIES.get(subject.hobby, subject.hobby)}.", "dream": f"{a(subject.job)}."}


def split(seed: int) -> dict[str, list[Country | Person]]:
    """Return fine_tuning and held_out subjects: a quarter of the countries, children and adults is held out."""
    dice, parts = random.Random(f"questions {seed}"), {"fine_tuning": [], "held_out": []}
    for group in ([*COUNTRIES.values()], CHILDREN, ADULTS):
        mixed = dice.sample(group, len(group))
        cut = round(len(mixed) * HELD_OUT)
        parts["held_out"] += mixed[:cut]
        parts["fine_tuning"] += mixed[cut:]
    return parts


def rows(seed: int = 0) -> Iterator[dict[str, str | bool]]:
    """Yield every question; `new_phrasing` marks the wordings that fine-tuning never shows."""
    for part, subjects in split(seed).items():
        questions = []
        for subject in subjects:
            owner = subject.name + ("'" if subject.name.endswith("s") else "'s")
            for kind, answer in answers(subject).items():
                known, new = PHRASINGS[kind]
                asked = [*known[:len(new)], *new] if part == "held_out" else known
                questions += [{"prompt": phrasing.format(name=subject.name, owner=owner), "answer": answer,
                               "kind": kind, "subject": subject.name, "split": part, "new_phrasing": phrasing in new}
                              for phrasing in asked]
        random.Random(f"order {part} {seed}").shuffle(questions)
        yield from questions


def files(seed: int = 0) -> dict[str, str]:
    """Return file name -> JSON lines."""
    texts: dict[str, str] = {"fine_tuning.jsonl": "", "held_out.jsonl": ""}
    for row in rows(seed):
        texts[f"{row['split']}.jsonl"] += json.dumps(row) + "\n"
    return texts
