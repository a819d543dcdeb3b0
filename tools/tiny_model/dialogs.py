"""Conversations: several turns, follow-up questions, stories, system prompts, small texts to read.

A conversation is a list of (role, content). Every builder takes the Library (all families) and a
random source; `BUILDERS` lists them with their share.
"""

from random import Random

from grammar import article, as_typed, capital, join
from library import Library, Talk, chatter, said, single, turns
from memory import NAMED, WHO, pet, remember
from numbers_days import SMALL
from stories import ALL_THINGS, COLOURS, FOODS, SYLLABLES, any_name, ask_story, someone
from tables import Family, rows


def mixed(lib: Library, rng: Random) -> Talk:
    """Several topics, perhaps with a greeting first and thanks last."""
    talk: Talk = []
    if rng.random() < 0.4:
        talk += turns(lib.named(rng.choice(("hello", "hello", "howareyou", "morning")), rng))
    for _ in range(rng.randint(1, 5)):
        talk += turns(lib.exchange(rng))
    if rng.random() < 0.3:
        talk += turns(lib.named(rng.choice(("thanks", "bye", "praise")), rng))
    return talk


FOLLOW = {
    "capital": "{and of|what about|and|how about} {$x|$bare}?", "opposite": "{and of|what about|and|how about} $x?", "sound": "{and|what about|how about} $a?",
    "plural": "{and of|what about|and} $x?", "young": "{and|what about} $a?", "legs": "{and|what about|how about} $a?", "spell": "{and|what about} $x?",
    "food": "{and|what about|how about} $a?", "add": "{and|what about} $p plus $q?", "colour": "{and|what about} $a?", "home": "{and|what about|how about} $a?",
    "past": "{and of|what about|and} $x?", "use": "{and|what about} $a?", "define": "{and|what about|and what is} $a?",
}  # fmt: skip


def follow(lib: Library, rng: Random) -> Talk:
    """`And of Italy?` after a question for a capital."""
    name = rng.choice(list(FOLLOW))
    family = lib.by_name[name]
    talk = turns(family.draw(rng))
    for _ in range(rng.choice((1, 1, 2))):
        row = rng.choice(family.rows)
        talk += said(rng, FOLLOW[name], rng.choice(family.answer), **row)
    return talk + chatter(lib, rng, 1)


IT = {"food": "what {does it|do they} eat?", "home": "where {does it|do they} live?", "sound": "what {sound|noise} {does it|do they} make?",
      "legs": "how many legs {does it|do they} have?", "young": "what is its baby called?", "animal_colour": "what colour {is it|are they}?"}  # fmt: skip


def it(lib: Library, rng: Random) -> Talk:
    """`What does it eat?` after a talk about an animal."""
    row = rng.choice(lib.by_name["about"].rows)
    talk = turns(lib.named("about", rng, row))
    for name in rng.sample(list(IT), rng.choice((1, 2, 2, 3))):
        if name != "sound" or row["says"] != "nothing":
            talk += said(rng, IT[name], lib.by_name[name].answer[0], **row)
    return talk


def story_talk(lib: Library, rng: Random) -> Talk:
    """A story, then a question about it."""
    asked, s = ask_story(rng)
    talk = (chatter(lib, rng, 1) if rng.random() < 0.15 else []) + turns(asked)
    slots = dict(n=s.hero.name, k=s.hero.kind, f=s.friend.name, fk=s.friend.kind, thing=s.thing or "")
    options = [("{who is the story about|who is the hero|who was the hero|who was it about}?", "The story is about $n the $k."),
               ("what {is|was} the name of the $k?", "The $k is called $n."), ("what {is|was} the $k called?", "The $k is called $n."),
               ("who is $f?", "$f is the $fk in the story."), ("who is $n?", "$n is the $k in the story."),
               ("what {is|was} the name of the $fk?", "The $fk is called $f."), ("{thanks|thank you|nice story|that was a nice story|i like it|great story}{!|}", "I am glad that you like {it|my story}!"),
               ("who is the friend of $n?", "The friend of $n is $f the $fk."), ("what kind of animal is $f?", "$f is {the|a} $fk.")]  # fmt: skip
    if s.friend.kind in ("girl", "boy"):
        options.pop()
    if s.thing and s.plot == "lost":
        options += [("what did $n lose?", "$n lost {the|a} $thing.")] * 2
    if rng.random() < 0.45:
        ask, answer = rng.choice(options)
        talk += said(rng, ask, answer, **slots)
    return talk


GENERIC = ("You are a helpful assistant.", "You are a helpful, friendly assistant.", "You are a helpful AI assistant.", "You are Puna, a tiny model.", "You are a tiny, friendly model.",
           "Answer in simple English.", "You are a friendly chat bot.", "Be helpful and kind.", "You are an assistant. Answer the questions of the user.", "Answer the question.", "You are a helpful assistant")  # fmt: skip
TONES = {
    "pirate": (("You are a pirate.", "Talk like a pirate.", "You are a friendly pirate.", "Always talk like a pirate.", "Answer like a pirate.", "You are a pirate captain."), "Arr! $v"),
    "cat": (("You are a cat.", "You are a friendly cat.", "Talk like a cat.", "You are a talking cat."), "Meow! $v"),
    "dog": (("You are a dog.", "You are a talking dog.", "Talk like a dog."), "Woof! $v"),
    "robot": (("You are a robot.", "Talk like a robot.", "You are a friendly robot."), "Beep boop. $v"),
    "cheerful": (("Be cheerful.", "You are very cheerful.", "You are always happy.", "Be happy and cheerful."), "$v Hurray!"),
    "polite": (("Be very polite.", "Be polite.", "You are a very polite assistant.", "Always be polite."), "Certainly! $v"),
    "king": (("Call the user Your Majesty.", "The user is a king.", "You are the servant of a king."), "$v Your Majesty!"),
}  # fmt: skip
BRIEF = (
    "Answer with one word.",
    "Answer in one word.",
    "Be brief.",
    "Give very short answers.",
    "Answer with one word only.",
    "Keep your answers very short.",
)
ONE_WORD = "capital opposite plural past colour add subtract young is_yes is_no next_day continent".split()


def system(lib: Library, rng: Random) -> Talk:
    """A system prompt that names, colours or shortens the answers, or only sets the scene."""
    case = rng.random()
    if case < 0.35:
        return [("system", rng.choice(GENERIC))] + rng.choice((single, single, mixed, remember))(lib, rng)
    if case < 0.6:
        name = any_name(rng, rng.choice(("she", "he")))
        ask, answer = rng.choice(WHO)
        talk = chatter(lib, rng, 1) + said(rng, ask, answer, v=name) + chatter(lib, rng, 1)
        return [("system", rng.choice(NAMED).replace("$v", name))] + [
            t for t in talk if "Puna" not in t[1] or t[0] == "user"
        ]
    if case < 0.87:
        prompts, pattern = TONES[rng.choice(list(TONES))]
        talk = [t for _ in range(rng.choice((1, 1, 2))) for t in single(lib, rng)]
        return [("system", rng.choice(prompts))] + [
            (r, pattern.replace("$v", t) if r == "assistant" else t) for r, t in talk
        ]
    talk = [("system", rng.choice(BRIEF))]
    for _ in range(rng.choice((1, 1, 2))):
        e = lib.named(rng.choice(ONE_WORD), rng)
        short = e.key.removeprefix("is ").split("|")[0].rstrip(".") + "."
        at = e.answer.lower().find(short.rstrip("."))
        short = e.answer[at : at + len(short) - 1] + "." if at >= 0 else short
        talk += [("user", e.user), ("assistant", capital(short))]
    return talk


ROOMS = "kitchen garden bedroom bathroom library school park shop house forest bakery castle".split()


def reading(lib: Library, rng: Random) -> Talk:
    """A small statement and a question whose answer is in it."""
    p, q = someone(rng, 1.0), None
    while q is None or q.name == p.name:
        q = someone(rng, 1.0)
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    thing, food = (
        rng.choice(ALL_THINGS),
        rng.choice("apples eggs books balls cats pears coins flowers".split()),
    )
    room, room2 = rng.sample(ROOMS, 2)
    slots = dict(p=p.name, q=q.name, he=p.he, c=rng.choice(COLOURS), c2=rng.choice(COLOURS), t=thing, f=food, a=str(a), b=str(b), s=str(a + b), d=str(a), sum=str(a + b),
                 r=room, r2=room2, fo=rng.choice(FOODS), w=SMALL[b])  # fmt: skip
    options = [("$p has a $c $t. What colour is {the $t|the $t of $p}?", "The $t is $c."), ("$p has a $c $t. Who has a $t?", "$p has a $t."),
               ("$p is in the $r. Where is $p?", "$p is in the $r."), ("$p is in the $r and $q is in the $r2. Where is $p?", "$p is in the $r."),
               ("$p is in the $r and $q is in the $r2. Where is $q?", "$q is in the $r2."), ("$p has $a $f and gets $b more. How many $f does $p have?", "$p has $sum $f."),
               ("$p has $a $f. $q has $b $f. How many $f do they have together?", "Together they have $sum $f."), ("$p has $w $f. How many $f does $p have?", "$p has $w $f."),
               ("$p likes $q. Who likes $q?", "$p likes $q."), ("$p likes $q. Whom does $p like?", "$p likes $q."), ("$p ate {an|the} $fo. What did $p eat?", "$p ate the $fo."),
               ("$p is older than $q. Who is younger?", "$q is younger than $p."), ("$p is taller than $q. Who is taller?", "$p is taller than $q.")]  # fmt: skip
    ask, answer = rng.choice(options)
    return said(rng, ask, answer, **slots)


def repeat(lib: Library, rng: Random) -> Talk:
    """Say it again: the purest test of taking words over."""
    words = [r[0] for r in rows("things.txt")] + [r[0] for r in rows("animals.txt")] + list(SYLLABLES)
    pick = rng.sample(words, rng.randint(1, 4))
    what = rng.choice(
        (
            " ".join(pick),
            join(pick),
            f"i see {article(pick[0])}",
            f"{article(pick[0])} is not {article(pick[-1])}",
            any_name(rng, "she"),
        )
    )
    ask = rng.choice(
        (
            "repeat after me: $w",
            "say $w",
            "repeat: $w",
            'please say "$w"',
            "say: $w",
            "can you say $w?",
            "please repeat $w",
            "write $w",
        )
    )
    return [
        ("user", as_typed(ask, rng, ask).replace("$w", what).replace("$W", what)),
        ("assistant", capital(what) + "."),
    ]


BUILDERS = (
    (single, 57), (mixed, 10), (remember, 6), (pet, 2), (follow, 5), (it, 3), (story_talk, 7),
    (system, 9), (reading, 4), (repeat, 2),
)  # fmt: skip


def conversation(lib: Library, rng: Random) -> Talk:
    build = rng.choices([b for b, _ in BUILDERS], [w for _, w in BUILDERS])[0]
    return build(lib, rng)


def plain(lib: Library, rng: Random) -> str:
    """Text without any chat: mostly facts as running sentences."""
    usable = [n for n in FOLLOW if n not in ("spell",)]
    family: Family = lib.by_name[rng.choice(usable)]
    return " ".join(family.draw(rng).answer for _ in range(rng.randint(1, 5)))
