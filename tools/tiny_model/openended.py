"""Families for open talk: opinions, statements, poems and jokes about a thing, and honest refusals."""

from grammar import article
from numbers_days import SMALL, TELL
from stories import NAMES, SYLLABLES
from tables import Family, rows, sections
from words import MASS, named
from world import FIELDS

FLY = set("duck goose bat owl eagle crow parrot swan pigeon robin bird bee butterfly fly ladybird".split())
NO_FLY = set(
    "dog cat cow horse pig penguin elephant snake frog fox lion mouse rabbit ant spider snail turtle bear sheep crab shark".split()
)
SWIM = set(
    "duck goose swan penguin whale dolphin seal shark fish goldfish octopus crab frog turtle crocodile hippo rat tiger dog horse".split()
)
EGGS = {"bird": "yes", "reptile": "yes", "amphibian": "yes", "insect": "yes", "mammal": "no"}


def surnames() -> list[str]:
    """Invented family names, none of a known person."""
    return [
        a.capitalize() + b + c
        for a in SYLLABLES[::2]
        for b in SYLLABLES[1::3]
        for c in ("", "son", "ski", "man")
    ][::7]


def refusal_families() -> list[Family]:
    sec = sections("words.txt")
    topics = [{"x": t.strip()} for line in sec["topics"] for t in line.split("|")]
    firsts = NAMES["she"] + NAMES["he"]
    people = [{"x": f"{first} {last}"} for first, last in zip(firsts * 3, surnames(), strict=False)]
    return [
        Family("topic", ("{explain|explain to me|describe} $x", "what is $x?", "tell me {about|something about|more about} $x", "what do you know about $x?",
               "how does $x work?", "{write|give me} {an essay|a text|a summary} about $x", "can you {explain|teach me} $x?", "i have a question about $x",
               "who invented $x?", "why is $x important?", "{let's|can we} talk about $x", "i want to learn about $x"),
               ("could you give me an explanation of $x?", "help me to understand $x"),
               ("I don't know much about $x. I am a very small model.",), "don't know", tuple(topics), 6),
        Family("person", ("who {is|was} $x?", "do you know $x?", "tell me about $x", "what did $x do?", "when was $x born?", "how old is $x?"),
               ("have you heard of $x?",), ("I don't know who $x is. I am a very small model.",), "don't know", tuple(people), 3),
    ]  # fmt: skip


def creative_families() -> list[Family]:
    things = [{"x": r[0], "a": named(r[0])} for r in rows("things.txt") if "of" not in r[1]]
    animals = [{"x": r[0], "a": article(r[0]), "xs": r[1], "fact": r[-1]} for r in rows("animals.txt")]
    both = things + [{"x": t["x"], "a": t["a"]} for t in animals]
    return [
        Family("poem_about", ("{write|tell me|say|make|can you write|compose|give me} {a poem|a short poem|me a poem|a rhyme|a little poem} about {$a|$x|the $x}{| please}",),
               ("i would like a poem about $a",),
               ("I think of $a in the night,~it makes my little heart feel light.", "I saw $a the other day,~it made me smile along my way.",
                "I dream of $a, far and near,~and in the morning it is here."), "$x", tuple(both), 5),
        Family("joke_about", ("{tell me|do you know|say|can you tell me} a {|funny }joke about {$a|$xs|a $x}{| please}",), ("i would like a joke about $a",),
               ("Why did the $x cross the road? To get to the other side!",), "$x", tuple(animals), 2.5),
        Family("think_of", ("what do you think {of|about} {$xs|$a}?", "do you {like|love} $xs?", "are $xs {nice|good|cute|your friends}?", "what is your opinion {on|about} $xs?"),
               ("would you say that you like $xs?",), ("I like $xs! $fact",), "like", tuple(animals), 3),
        Family("think_thing", ("what do you think {of|about} $a?", "do you {like|love|want|have} {$a|$x}?"), (), ("I am only a program, but I think that $a is a fine thing.",), "fine", tuple(things), 2),
        Family("user_likes", ("i {like|love|really like} $xs", "my favourite animal is $a", "$xs are {great|cute|my favourite animals}", "i saw $a {today|yesterday|in the park}"),
               ("i am very fond of $xs",), ("$xs are lovely animals! $fact",), "lovely", tuple(animals), 3),
        Family("user_has", ("i have {$a|some $xs|two $xs}", "we have {$a|some $xs} at home", "i got a new $x"), (), ("How nice! What name did you choose?",), "nice",
               tuple(a for a in animals if a["x"] in "dog cat rabbit parrot horse mouse goldfish turtle hen goat snake duck".split()), 1.5),
        Family("user_did", ("{today|yesterday|this morning} i {went to the $x|was in the $x|visited the $x}", "i am {in|at} the $x", "i'm going to the $x"),
               (), ("That sounds nice! What {did|do} you like most about the $x?",), "$x",
               tuple({"x": w} for w in "park school library shop beach city museum forest farm bakery garden hospital castle zoo office cinema station market".split()), 1.5),
        Family("user_job", ("i am {$a|a $x}", "i'm $a", "i work as $a"), (), ("It is good to meet $a! Do you like your job?",), "job",
               tuple({"x": r[0], "a": article(r[0])} for r in rows("things.txt") if r[1] == "job"), 1.2),
    ]  # fmt: skip


def yes_no_families() -> list[Family]:
    animals = [dict(zip(FIELDS, r, strict=True)) for r in rows("animals.txt")]
    for t in animals:
        t["a"] = article(t["x"])
    fly = [
        dict(t, yn="yes" if t["x"] in FLY else "no", can="can" if t["x"] in FLY else "cannot", v="fly")
        for t in animals
        if t["x"] in FLY | NO_FLY
    ]
    swim = [dict(t, yn="yes", can="can", v="swim") for t in animals if t["x"] in SWIM]
    eggs = [
        dict(t, yn=EGGS[t["kind"]], lay="lay eggs" if EGGS[t["kind"]] == "yes" else "do not lay eggs")
        for t in animals
        if t["kind"] in EGGS and t["x"] not in ("snake",)
    ]
    cmp = [
        {"p": str(p), "q": str(q), "yn": "yes" if p > q else "no", "hi": str(max(p, q)), "lo": str(min(p, q))}
        for p in range(21)
        for q in range(21)
        if p != q
    ]
    twice = [{"x": str(n), "y": str(2 * n)} for n in range(21)]
    half = [{"x": str(2 * n), "y": str(n)} for n in range(21)]
    return [
        Family("can", ("can {$a|$xs|the $x} $v?", "{do|can} $xs $v?", "is $a able to $v?"), ("would $a be able to $v?",), ("$yn, $xs $can $v.",), "$yn", tuple(fly + swim), 4),
        Family("eggs", ("do $xs lay eggs?", "does $a lay eggs?", "can $a lay eggs?"), (), ("$yn, $xs $lay.",), "$yn", tuple(eggs), 2),
        Family("is_greater", ("is $p {bigger|greater|more|larger} than $q?", "$p > $q?"), (), ("$yn, $hi is bigger than $lo.",), "$yn", tuple(cmp), 2.5),
        Family("double", ("{what is|what's} {the double of|double|twice|two times} $x?", "double $x"), (), ("twice $x is $y.",), "is $y.", tuple(twice), 1.5),
        Family("half", ("{what is|what's} {half of|the half of|half} $x?", "half of $x{|?}"), (), ("half of $x is $y.",), "is $y.", tuple(half), 1.5),
    ]  # fmt: skip


def meaning_families() -> list[Family]:
    sec = sections("words.txt")
    opposite: dict[str, str] = {}
    for line in sec["opposites"]:
        a, b = line.split()
        opposite.setdefault(a, b)
    nouns = (
        {r[0] for r in rows("things.txt")} | MASS | set(SMALL) | set("yes no up down in out on off".split())
    )
    opp = [{"x": a, "y": b} for a, b in opposite.items() if a not in nouns]
    verbs = [dict(zip("xy", map(str.strip, s.split("|")), strict=True)) for s in sec["verbs"]]
    spoken = [dict(zip("xy", map(str.strip, s.split("|")), strict=True)) for s in sec["languages"]]
    spoken = [dict(s, bare=s["x"].removeprefix("the ")) for s in spoken]
    return [
        Family("meaning", ("what does {$x|the word $x} mean?", "what is the meaning of $x?", "what is $x?", "{define|explain} $x"), ("could you explain the word $x?",),
               ("$x is the opposite of $y.",), "$y", tuple(opp), 3.5),
        Family("verb", ("what does {$x|to $x|the word $x} mean?", "what is the meaning of {$x|to $x}?", "{define|explain} {$x|to $x}", TELL + " what to $x means"),
               ("could you explain the word $x?",), ("to $x means to $y.",), "$y", tuple(verbs), 2.5),
        Family("spoken", ("{what|which} language{ do they speak| do people speak| is spoken} in {$x|$bare}?", "what language do you speak in $x?", "what do people speak in $x?",
               "language of $x{|?}", TELL + " which language people speak in $x"), ("which language would i hear in $x?",), ("in $x, people speak $y.",), "$y", tuple(spoken), 4),
    ]  # fmt: skip


def open_families() -> list[Family]:
    return refusal_families() + creative_families() + yes_no_families() + meaning_families()
