"""Short stories with a memory: hero, friend, thing, colour and place are drawn once and kept.

A story is told plainly (training text without any chat), or asked for in a chat with some of the
parts named in the question, so that the model learns to take them over.
"""

from dataclasses import dataclass
from random import Random

from grammar import article, as_typed, capital, expand
from tables import Exchange, lines, rows, sections

CHILD = {"she": "girl", "he": "boy"}
FORMS = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}
COLOURS = "red blue green yellow white purple golden pink orange brown".split()
THINGS = "ball doll kite hat book bell drum boat key ring scarf box cup lamp puzzle teddy bear,flute,basket,stone,feather,button,coin,toy car,toy train,umbrella"
FOODS = "apple cake pear sandwich melon pie biscuit pizza banana orange".split()
PLACES = (
    "in a small house near the forest|in a quiet village by the sea|on a farm at the foot of a hill|"
    "in a little house by the river|in a big town with many streets|in a green valley|"
    "in an old house with a garden|at the edge of a deep forest|near a blue lake"
).split("|")
SKILLS = (
    "swim|ride a bicycle|sing|dance|draw a tree|bake bread|play the drum|skate|read|jump over the stream|play the flute|whistle"
).split("|")
MANNERS = "little young small kind brave curious clever shy happy cheerful".split()


@dataclass(frozen=True)
class Someone:
    """Name, what it is (girl, fox, ...), and `she` or `he`."""

    name: str
    kind: str
    he: str


def _things() -> list[str]:
    first, *rest = THINGS.split(",")
    words = first.split()
    return words[:-2] + [" ".join(words[-2:])] + rest


ALL_THINGS = _things()
NAMES = {
    "she": " ".join(sections("words.txt")["names_she"]).split(),
    "he": " ".join(sections("words.txt")["names_he"]).split(),
}
PETS = " ".join(sections("words.txt")["pets"]).split()
ANIMALS = [r[0] for r in rows("animals.txt") if r[0] not in ("fly", "fish", "worm", "shark", "whale", "bird")]
FANCY = (
    "robot dragon princess prince king queen fairy unicorn dinosaur wizard pirate farmer baker teacher knight ghost monster snowman witch giant doctor"
    " sailor painter car train boat tree cloud star mermaid elf puppy kitten"
).split()
TOPICS = {
    "friendship": "newfriend", "a good friend": "newfriend", "sharing": "share", "being kind": "share", "the dark": "dark", "the night": "dark",
    "being brave": "dark", "courage": "dark", "a bird": "bird", "a little bird": "bird", "learning": "learn", "practice": "learn", "a seed": "seed",
    "a flower": "seed", "a garden": "seed", "spring": "seed", "a kite": "kite", "the wind": "kite", "the rain": "boat", "a little boat": "boat",
    "a birthday": "birthday", "a birthday party": "birthday", "a party": "birthday", "winter": "snow", "snow": "snow", "a snowman": "snow", "the forest": "forest",
    "a dark forest": "forest", "being lost": "forest", "a race": "race", "running": "race", "a treasure": "treasure", "an old map": "treasure", "adventure": "treasure",
    "an adventure": "treasure", "a star": "star", "the stars": "star", "the sky": "star", "space": "star", "magic": "star", "a wish": "star", "soup": "soup", "cooking": "soup",
    "being ill": "soup", "the truth": "broken", "honesty": "broken", "a storm": "storm", "a picnic": "storm", "a rainbow": "storm", "thunder": "storm",
    "something lost": "lost", "the sea": "treasure", "summer": "storm", "animals": "share", "love": "soup", "christmas": "snow", "school": "newfriend", "a journey": "forest",
}  # fmt: skip
SYLLABLES = "ka lo mi ra zu ne ti bo sha vel dor an el ri qui xa fen jo lu pa tor wy gri mo da ben ul sky nor ze".split()


def any_name(rng: Random, he: str) -> str:
    """Mostly a common name, sometimes an invented one: taking over unknown names must be learnt."""
    if rng.random() < 0.2:
        return capital("".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3)))))
    return rng.choice(NAMES[he])


def someone(rng: Random, child: float = 0.5, other: Someone | None = None) -> Someone:
    he = rng.choice(("she", "he"))
    while True:
        if rng.random() < child:
            found = Someone(any_name(rng, he), CHILD[he], he)
        else:
            name = rng.choice(PETS) if rng.random() < 0.5 else any_name(rng, he)
            kind = rng.choice(FANCY if rng.random() < 0.2 else ANIMALS)
            he = {"princess": "she", "queen": "she", "prince": "he", "king": "he", "witch": "she"}.get(
                kind, he
            )
            found = Someone(name, kind, he)
        if other is None or (found.name != other.name and found.kind != other.kind):
            return found


def _plots() -> dict[str, list[str]]:
    plots: dict[str, list[str]] = {}
    for line in lines("stories.txt"):
        if line.startswith("= "):
            beats = plots.setdefault(line[2:].strip(), [])
        else:
            beats.append(line.removeprefix("B:").strip())
    return plots


PLOTS = _plots()
OPEN = (
    "{Once upon a time,|Once upon a time|Once upon a time,|Long ago,|Once,} there {was|lived} {a $manner $kind {named|called} $name|a $kind {named|called} $name|$amanner $kind. {$His|The} name {of the $kind |}was $name}."
    " {$name lived $place.|$name lived $place and had a good heart.|$He lived $place.|}",
    "$name was a $manner $kind. {$name|$He} lived $place.",
    "{Once upon a time|Long ago}, $place, {there lived|lived} a {|$manner }$kind {named|called} $name.",
    "In a {small|quiet|green} {village|valley|town} there lived a $manner $kind {named|called} $name.",
    "There {was once|once was} a $manner $kind {named|called} $name.",
)
CLOSE = ("", "", "", " The end.", " The end.", " And they lived happily ever after.")


@dataclass(frozen=True)
class Story:
    """The text and what a question may ask for."""

    text: str
    hero: Someone
    friend: Someone
    thing: str | None
    plot: str


def tell(rng: Random, hero: Someone | None = None, friend: Someone | None = None,
         thing: str | None = None, plot: str | None = None) -> Story:  # fmt: skip
    """One story; parts that are not given are drawn."""
    plots = [p for p in PLOTS if thing is None or "$thing" in " ".join(PLOTS[p])]
    plot = plot or rng.choice(plots)
    hero = hero or someone(rng)
    friend = friend or someone(rng, 0.3, hero)
    thing = thing or rng.choice(ALL_THINGS)
    he, him, his = FORMS[hero.he]
    manner = rng.choice(MANNERS)
    slots = dict(
        name=hero.name, kind=hero.kind, he=he, him=him, his=his, He=capital(he), His=capital(his),
        friend=friend.name, fkind=friend.kind, fhe=friend.he, fhim=FORMS[friend.he][1],
        thing=thing, colour=rng.choice(COLOURS), food=rng.choice(FOODS), place=rng.choice(PLACES),
        skill=rng.choice(SKILLS), manner=manner, amanner=article(manner),
    )  # fmt: skip
    opening = expand(rng.choice(OPEN).replace("a $kind", article("$kind")), rng, **slots)
    body = [expand(beat, rng, **slots) for beat in PLOTS[plot]]
    text = mend(" ".join([opening, *body]) + rng.choice(CLOSE))
    return Story(text, hero, friend, thing if "$thing" in " ".join(PLOTS[plot]) else None, plot)


def mend(text: str) -> str:
    """Articles before vowels (`a owl`, `a orange ball`), and capitals where a sentence begins."""
    words = text.split(" ")
    for i in range(len(words) - 1):
        if (
            words[i] in ("a", "A")
            and words[i + 1][0] in "aeiou"
            and not words[i + 1].startswith(("uni", "use"))
        ):
            words[i] += "n"
    return " ".join(words)


ASK = "{tell|can you tell|please tell|write|could you tell|i want you to tell|tell} {me|us} {a|a short|a little|another|a nice} story"
WISH = (
    ASK,
    ASK,
    ASK,
    "{a|one} {story|short story} please,",
    "i want {a|to hear a} story",
    "{write|make up|give me|invent} a {|short |little }story",
    "story",
    "do you know a story",
)
ABOUT_HERO = (" about $ahero", " about $ahero {named|called} $name", " about $name", " about $name the $hero", " with $ahero in it",
              " about $ahero whose name is $name", ", the hero is $ahero called $name")  # fmt: skip
ABOUT_TWO = (
    " about $ahero and $afriend",
    " about $name and $friend",
    " about $ahero named $name and $afriend named $friend",
    " with $ahero and $afriend",
)
ABOUT_THING = (
    " about a $thing",
    " with a $thing in it",
    " about $ahero and a $thing",
    " about $name and a $thing",
)
PLAIN = ("", "", " for children", " before i go to sleep", " please", " for my daughter", " for my son")
SURE = ("", "", "", "", "{Of course!|Sure!|Here is a story.} ")


def ask_story(rng: Random) -> tuple[Exchange, Story]:
    """A question for a story and the story that fits it."""
    hero = someone(rng)
    friend = someone(rng, 0.3, hero)
    thing = rng.choice(ALL_THINGS)
    case = rng.random()
    topic = rng.choice(list(TOPICS)) if 0.2 < case < 0.3 else None
    tail = (
        " about " + topic
        if topic
        else rng.choice(
            PLAIN if case < 0.2 else ABOUT_HERO if case < 0.65 else ABOUT_TWO if case < 0.82 else ABOUT_THING
        )
    )
    story = tell(rng, hero, friend, thing if "$thing" in tail else None, TOPICS.get(topic or ""))
    slots = dict(name=hero.name, hero=hero.kind, ahero=article(hero.kind), friend=friend.name,
                 afriend=article(friend.kind), thing=thing)  # fmt: skip
    asked = mend(expand(rng.choice(WISH) + tail, rng, **slots))
    keep = f"{topic} {hero.name} {hero.kind} {friend.name} {friend.kind} {thing}"
    key = hero.name.lower() if "$name" in tail else hero.kind if "$ahero" in tail else story.text[:4].lower()
    answer = expand(rng.choice(SURE), rng)
    return Exchange(
        as_typed(asked + rng.choice(("", "", ".", "?")), rng, keep), f"{answer} {story.text}".strip(), key
    ), story
