"""Families about animals and countries."""

from random import Random

from grammar import article, join
from numbers_days import SMALL, TELL
from tables import Family, rows

FIELDS = ("x", "xs", "says", "young", "home", "food", "legs", "kind", "colour", "size", "fact")


def animal_families() -> list[Family]:
    table = []
    for r in rows("animals.txt"):
        t = dict(zip(FIELDS, r, strict=True))
        t |= {"a": article(t["x"]), "akind": article(t["kind"]), "ayoung": article(t["young"])}
        t["n"] = SMALL[int(t["legs"])].replace("zero", "no")
        table.append(t)
    loud = tuple(t for t in table if t["says"] != "nothing")
    mute = tuple(t for t in table if t["says"] == "nothing")
    told = {"moo", "woof", "meow", "oink", "neigh", "quack", "roar", "buzz", "hiss", "hoot", "howl"}
    who = tuple(t for t in loud if t["says"] in told and t["x"] not in
                ("tiger", "turtle", "tortoise", "lizard", "swan", "fly"))  # fmt: skip
    born = tuple(t for t in table if t["young"] in
                 ("puppy", "kitten", "lamb", "piglet", "duckling", "gosling", "tadpole", "fawn",
                  "joey", "owlet", "cygnet", "caterpillar", "eaglet") and t["x"] not in ("koala", "toad"))  # fmt: skip
    rng = Random(5)
    pairs = []
    for _ in range(1500):
        s, t = rng.sample(table, 2)
        if s["size"] != t["size"]:
            big, small = (s, t) if s["size"] > t["size"] else (t, s)
            pairs.append({"p": s["a"], "q": t["a"], "hi": big["a"], "lo": small["a"]})
    kinds = {k: [t["x"] for t in table if t["kind"] == k] for k in ("mammal", "bird", "insect", "reptile")}
    wrong = []
    for t in table:
        for other in ("fruit", "tool", "vehicle", "vegetable", rng.choice("bird insect fish".split())):
            if other != t["kind"]:
                wrong.append(dict(t, other=article(other)))
    groups = []
    for _ in range(120):
        pick = rng.sample(table, 3)
        groups.append(
            {"cs": "animals", "three": join([t["a"] for t in pick]), "keys": "|".join(t["x"] for t in table)}
        )
        k = rng.choice(list(kinds))
        three = rng.sample(kinds[k], 3)
        groups.append({"cs": k + "s", "three": join([article(x) for x in three]), "keys": "|".join(kinds[k])})
    farm = [t["x"] for t in table if "farm" in t["home"]]
    farms = tuple({"three": join(rng.sample(farm, 3)), "keys": "|".join(farm)} for _ in range(20))
    t3 = tuple(table)
    return [
        Family("sound", ("what {sound|noise} does {$a|the $x} make?", "what {do $xs|does $a} say?", "what does {the|a} $x say?",
               "how does $a {sound|speak}?", TELL + " what {sound|noise} $a makes{|?}", "{what is|what's} the sound of $a?", "$x sound{|?}"),
               ("which sound do $xs make?", "what noise would $a make?"), ("$a says \"$says\".",), "$says", loud, 6),
        Family("mute", ("what {sound|noise} does {$a|the $x} make?", "what {do $xs|does $a} say?"),
               (), ("$a is quiet. It makes almost no sound.",), "quiet", mute, 1.5),
        Family("who_says", ("{which|what} animal says {$says|\"$says\"}?", "who says {$says|\"$says\"}?", "which animal goes $says?"),
               ("do you know which animal says $says?",), ("$a says \"$says\".",), "$x", who, 2),
        Family("young", ("{what is|what's} a {baby|young} $x called?", "what do you call a {baby|young} $x?", "what is the {baby|young} of $a called?",
               "how do you call a {baby|young} $x?", "{baby|young} $x{|?}", TELL + " what a {baby|young} $x is called"),
               ("what name do we give to a baby $x?",), ("a young $x is called $ayoung.",), "$young", t3, 4),
        Family("whose", ("what is $ayoung?", "{which|what} animal has $ayoung?", "what does $ayoung grow into?"), (),
               ("$ayoung is a young $x.",), "$x", born, 1.5),
        Family("home", ("where {do $xs|does $a} live?", "where {can i|do you|can you} {find|see} $a?", "where is the home of $a?",
               TELL + " where $xs live{|?}", "in what place do $xs live?"), ("where would $a usually live?",),
               ("$a lives $home.",), "$home", t3, 5),
        Family("food", ("what {do $xs|does $a} eat?", "what do you feed $a?", "what {is the food of|food does} {$a like|$xs eat}?",
               TELL + " what $xs eat{|?}", "what {do $xs|does the $x} like to eat?"), ("which food do $xs eat?",),
               ("$a eats $food.",), "$food", t3, 5),
        Family("legs", ("how many {legs|feet} {does $a|do $xs} have?", "how many legs has $a{| got}?", TELL + " how many legs $a has",
               "what number of legs does $a have?"), ("could you say how many legs $a has?",), ("$a has $n legs.",), "$n legs", t3, 4),
        Family("animal_colour", ("{what|which} {colour|color} {is $a|are $xs|is the $x|do $xs have}?", "{what is|what's} the {colour|color} of $a?",
               TELL + " {what|which} {colour|color} $a is"), ("what color would you say $a is?",), ("$a is $colour.",), "$colour", t3, 3),
        Family("animal_kind", ("what kind of animal is $a?", "what {sort|type} of animal is $a?", "what class of animal is $a?"), (),
               ("$a is $akind.",), "$kind", t3, 2),
        Family("animal_yes", ("is $a {an animal|$akind}?", "are $xs {animals|$akind}?", "is the $x $akind?"),
               ("would you say that $a is $akind?",), ("yes, $a is $akind.",), "yes", tuple(t for t in table if t["kind"] not in ("fish", "worm")), 2),
        Family("animal_no", ("is $a $other?", TELL + " if $a is $other"), ("would you say that $a is $other?",),
               ("no, $a is not $other. It is $akind.",), "no", tuple(wrong), 2),
        Family("about", ("tell me {about|something about|a fact about|more about} {$xs|$a|the $x}", "{what is|what's|whats} $a?", "what do you know about $xs?",
               "{what are|what're} $xs?", "{describe|explain} $a", "what can you tell me about $xs?", "$xs", "i want to know {more |}about $xs",
               "do you know {anything|something} about $xs?", "talk about $xs", "do you like $xs?", "give me {a fact|some information} about $xs"),
               ("please tell me a little about $xs", "i would like to hear about $xs"),
               ("$a is $akind that lives $home. $fact",), "$fact", t3, 10),
        Family("bigger", ("{which|what|who} is bigger, $p or $q?", "is $p bigger than $q or smaller, which is bigger?", "{which|what} animal is bigger, $p or $q?"),
               ("of $p and $q, which one is bigger?",), ("$hi is bigger than $lo.",), "$hi is", tuple(pairs), 5),
        Family("smaller", ("{which|what|who} is smaller, $p or $q?", "which animal is smaller, $p or $q?"), (),
               ("$lo is smaller than $hi.",), "$lo is", tuple(pairs), 2),
        Family("name_animals", ("{name|list|tell me|give me} {three|some|a few} $cs", "can you name {three|some} $cs?", "which $cs do you know?"),
               ("please give me three examples of $cs",), ("three $cs are $three.",), "$keys", tuple(groups), 3),
        Family("farm", ("{name|list|tell me} {three|some|a few} {farm animals|animals on a farm|animals that live on a farm}", "which animals live on a farm?"),
               (), ("some farm animals are the $three.",), "$keys", farms, 1),
    ]  # fmt: skip


def country_families() -> list[Family]:
    table = [dict(zip("xyc", r, strict=True)) for r in rows("countries.txt")]
    for t in table:
        t["bare"] = t["x"].removeprefix("the ")
        t["dot"] = t["y"].rstrip(".")
    single = tuple(
        t for t in table if t["x"] not in ("England",) and t["y"] not in ("Luxembourg", "Monaco", "Singapore")
    )
    return [
        Family("capital", ("{what is|what's|whats} the capital {of|city of} {$x|$bare}?", "capital of {$x|$bare}{|?}",
               TELL + " the capital of $x{|?}", "{which|what} city is the capital of $x?", "the capital of $x is", "$x capital{|?}",
               "{hey|hi|please|ok}, what is the capital of $x?", "can you tell me what the capital of $x is?", "name the capital of $x",
               "what {is|'s} $x's capital{| city}?", "do you know what the capital of $x is?", "{and|so} what is the capital of $x?"),
               ("what city is $x's capital?", "could you please tell me the capital of $x?", "i'd like to know the capital of $x"),
               ("the capital of $x is $dot.",), "$dot", tuple(table), 14),
        Family("capital_of", ("{which|what} country has the capital $y?", "$y is the capital of {which|what} country?", "what is $y the capital of?",
               "of which country is $y the capital?", "{which|what} country is $y in?", "where is $y?", "what is $y?"),
               ("in what country would i find $y?",), ("$dot is the capital of $x.",), "$bare", single, 7),
        Family("continent", ("where is {$x|$bare}?", "{on|in} {which|what} continent is $x?", "what continent is $x {in|on|part of}?",
               "{what is|where's} $x?", "tell me about $x", "is $x a country?"), ("on which continent would i find $x?",),
               ("$x is a country in $c.",), "$c", tuple(table), 5),
    ]  # fmt: skip


def world_families() -> list[Family]:
    return animal_families() + country_families()
