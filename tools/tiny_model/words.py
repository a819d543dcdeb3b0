"""Families about words: definitions, spelling, opposites, plurals, rhymes, and unknown words."""

from random import Random

from grammar import article, join
from numbers_days import SMALL, TELL, number_families
from tables import Family, rows, sections

MASS = set(
    "bread butter cheese milk water juice tea coffee chocolate honey sugar salt rice soup jam grass"
    " rain snow ice wind thunder lightning fog fire smoke sand gold silver iron wood glass paper wool"
    " air money football tennis chess soap garlic ice_cream".replace("_", " ").split()
) | {"ice cream"}
THE = {"sun", "moon", "internet"}


def named(noun: str) -> str:
    """The noun as it stands in a sentence: `bread`, `the sun`, `an apple`."""
    return noun if noun in MASS else "the " + noun if noun in THE else article(noun)


def thing_families() -> list[Family]:
    table = rows("things.txt")
    things = [
        {"x": n, "a": named(n), "cat": c, "acat": article(c), "def": d, "where": w} for n, c, d, w in table
    ]
    groups: dict[str, list[str]] = {}
    for n, c, _, _ in table:
        groups.setdefault(c, []).append(n)
    common = [c for c in groups if len(groups[c]) >= 4 and "part of" not in c]
    rng = Random(7)
    yes = [dict(t, word="Yes", rest="") for t in things if t["cat"] in common]
    no = []
    for t in things:
        for other in rng.sample([c for c in common if c != t["cat"]], 2):
            rest = f" It is {t['acat']}." if t["cat"] in common else ""
            no.append(dict(t, word="No", other=article(other), rest=rest))
    plural = {"fruit": "fruits", "furniture": "pieces of furniture", "food": "foods"}
    lists = []
    for c in common:
        if " of " in c or c.startswith(("thing", "place", "kind")):
            continue
        for _ in range(30):
            pick = rng.sample(groups[c], 3)
            cs = plural.get(c, c + "s")
            lists.append(
                {
                    "cs": cs,
                    "three": join(pick),
                    "one": named(pick[0]),
                    "acat": article(c),
                    "keys": "|".join(groups[c]),
                }
            )
    return [
        Family("define", ("{what is|what's|whats} $a?", "what {does $x mean|is the meaning of $x}?",
               "{define|explain|describe} $x", TELL + " what $a is{|?}", "what exactly is $a?",
               "what is $x?", "tell me about $a", "$x?", "{hey|hi|please}, what is $a?",
               "what do you call $a, i mean what is it?", "do you know $x?"),
               ("could you explain what $a is?", "i would like to know what $a is"),
               ("$a is $def.",), "$def", tuple(things), 20),
        Family("where", ("where {can i|can you|do you|do i|can we} {find|see|get} $a?",
               "where {is|would i find|might i find} $a{| usually}?", TELL + " where to find $a",
               "in which place can i find $a?"),
               ("where could someone find $a?",), ("you can find $a $where.",), "$where",
               tuple(things), 9),
        Family("kind", ("what kind of thing is $a?", "what sort of thing is $a?",
               "what type of thing is $a?", "which kind of thing is $a?"), (),
               ("$a is $acat.",), "$cat", tuple(t for t in things if t["cat"] != "thing"), 2),
        Family("is_yes", ("is $a $acat?", "is $x $acat?", TELL + " if $a is $acat"),
               ("would you say that $a is $acat?",), ("yes, $a is $acat.",), "yes", tuple(yes), 4),
        Family("is_no", ("is $a $other?", "is $x $other?", TELL + " if $a is $other"),
               ("would you say that $a is $other?",), ("no, $a is not $other.$rest",), "no",
               tuple(no), 5),
        Family("list", ("{name|list|tell me|give me|what are} {three|some|a few} $cs{|?}",
               "can you name {three|some} $cs?", "which $cs do you know?"),
               ("please give me three examples of $cs",), ("three $cs are $three.",
               "some $cs are $three."), "$keys", tuple(lists), 5),
        Family("list_one", ("{name|tell me|give me} $acat", "can you name $acat?", "say $acat"),
               (), ("$one is $acat.",), "$keys", tuple(lists), 3),
    ]  # fmt: skip


def vocabulary() -> list[str]:
    """Words that the model learns to spell and to use."""
    words = [r[0] for r in rows("things.txt")] + [r[0] for r in rows("animals.txt")]
    words += [r.split()[0] for r in sections("words.txt")["opposites"]]
    words += "hello goodbye please thanks school Monday friend summer winter red green yellow".split()
    return sorted({w for w in words if " " not in w})


def spelling_families() -> list[Family]:
    table = []
    for w in vocabulary():
        n = len(w)
        table.append(
            {
                "x": w,
                "s": "-".join(w.upper()),
                "f": w[0].upper(),
                "l": w[-1].upper(),
                "n": SMALL[n] if n <= 20 else str(n),
            }
        )
    nouns = [{"x": r[0], "a": named(r[0])} for r in rows("things.txt") + rows("animals.txt")]
    return [
        Family("spell", ("{spell|please spell|can you spell|how do you spell|how is} {$x|the word $x}{| spelled}?",
               "how to spell $x", "what is the spelling of $x?", "how do i {spell|write} $x?"),
               ("could you spell the word $x for me?",), ("$x is spelled $s.",), "$s", tuple(table), 13),
        Family("first_letter", ("{what|which} letter does {$x|the word $x} {start|begin} with?",
               "what is the first letter of $x?"), ("with which letter does $x begin?",),
               ("the word $x starts with the letter $f.",), "letter $f", tuple(table), 2.5),
        Family("last_letter", ("{what|which} letter does {$x|the word $x} end with?",
               "what is the last letter of $x?"), (),
               ("the word $x ends with the letter $l.",), "letter $l", tuple(table), 1.5),
        Family("letters", ("how many letters {are in|does} {$x|the word $x}{| have}?",
               "how long is the word $x?"), (), ("the word $x has $n letters.",), "$n", tuple(table), 2.5),
        Family("sentence", ("{make|write|say|give me|tell me} a {sentence|short sentence} {with|about|using} {$a|the word $x|$x}",
               "use {$x|the word $x} in a sentence", "can you write a sentence with {$x|the word $x}?"),
               ("i need a sentence that has the word $x in it",),
               ("{i saw|we saw|anna saw|tom saw|the children saw} {$a} {yesterday|this morning|on the way home}.",
                "my {friend|sister|brother|mother} {likes to look at|talks about|thinks about|dreams of} $a.",
                "there is nothing like $a on a {cold|warm|sunny|rainy} day.",
                "yesterday I read a book about $a."), "$x", tuple(nouns), 3),
    ]  # fmt: skip


def pair_families() -> list[Family]:
    sec = sections("words.txt")
    opposite: dict[str, str] = {}
    for line in sec["opposites"]:
        a, b = line.split()
        opposite.setdefault(a, b)
    opp = [{"x": a, "y": b} for a, b in opposite.items()]
    plural = [dict(zip("xy", s.split())) for s in sec["plurals"]]
    plural += [{"x": r[0], "y": r[1]} for r in rows("animals.txt")]
    past = [dict(zip("xy", s.split())) for s in sec["past"]]
    colour = [dict(zip("xy", map(str.strip, s.split("|")))) for s in sec["colours"]]
    colour = [
        dict(c, a="the " + c["x"] if c["x"] in THE | {"sky", "night sky", "sea", "ocean"} else named(c["x"]))
        for c in colour
    ]
    use = [dict(zip("xy", map(str.strip, s.split("|")))) for s in sec["uses"]]
    use = [dict(u, a=named(u["x"]) if u["x"] != "scissors" else "scissors") for u in use]
    made = [dict(zip("xy", map(str.strip, s.split("|")))) for s in sec["made"]]
    hello = [dict(zip("xly", map(str.strip, s.split("|")))) for s in sec["hello"]]
    rng = Random(3)
    rhyme = []
    for line in sec["rhymes"]:
        group = line.split()
        for w in group:
            for y in (z for z in group if z != w):
                rhyme.append({"x": w, "y": y, "all": "|".join(z for z in group if z != w)})
    rng.shuffle(rhyme)
    return [
        Family("opposite", ("{what is|what's|whats} the opposite {of|to} {$x|the word $x}?", "opposite of $x{|?}",
               "{tell me|give me|say} the opposite of $x", TELL + " the opposite of $x{|?}",
               "the opposite of $x is", "what word is the opposite of $x?", "what is not $x?"),
               ("which word means the opposite of $x?", "do you happen to know the opposite of $x?"),
               ("the opposite of $x is $y.",), "is $y", tuple(opp), 8),
        Family("plural", ("{what is|what's} the plural {of|for} {$x|the word $x}?", "plural of $x{|?}",
               TELL + " the plural of $x", "one $x, two what?", "how do you say more than one $x?"),
               ("what would be the plural of $x?",), ("the plural of $x is $y.",), "is $y", tuple(plural), 5),
        Family("past", ("{what is|what's} the past {tense|form} of {$x|to $x|the word $x}?", "past tense of $x{|?}",
               TELL + " the past tense of $x", "today i $x, yesterday i"),
               ("what would the past tense of $x be?",), ("the past tense of $x is $y.",), "is $y", tuple(past), 3.5),
        Family("colour", ("{what|which} {colour|color} {is|are|has} {$a|$x}?", "{what is|what's} the {colour|color} of {$a|$x}?",
               TELL + " {what|which} {colour|color} $a is{|?}", "{colour|color} of $x{|?}"),
               ("$a has which colour?", "what color would you say $a is?"), ("$a is $y.",), "$y", tuple(colour), 5),
        Family("use", ("what {do you|do we|can you|do people} {use|do with} $a{| for}?", "what is $a {used|good} for?",
               "why do people use $a?", "what {is|'s} $a for?", "how do you use $a?"),
               ("for what would i use $a?",), ("you use $a to $y.",), "$y", tuple(use), 4),
        Family("made", ("what is $x made {of|from|out of}?", "how is $x made?", TELL + " what $x is made of",
               "what do you need to make $x?", "from what is $x made?"),
               ("$x is made out of what?",), ("$x is made from $y.",), "$y", tuple(made), 3),
        Family("foreign", ("how do you say $x in $l?", "{what is|what's} $x in $l?", "$x in $l{|?}",
               "{say|translate} $x {in|to|into} $l", "what does $x mean in $l?", "{what is|what's} the $l word for $x?"),
               ("which word do they use for $x in $l?",), ("in $l, $x is \"$y\".",), "$y", tuple(hello), 4),
        Family("rhyme", ("what {rhymes|word rhymes} with $x?", "{tell me|give me|say|find} a {word that rhymes|rhyme} {with|for} $x",
               "{do you know|name} a word that rhymes with $x{|?}", "rhyme with $x"),
               ("which word makes a rhyme with $x?",), ("$y rhymes with $x.",), "$all", tuple(rhyme), 4),
    ]  # fmt: skip


def unknown_families() -> list[Family]:
    """Words the model was never taught: it repeats the word and says that it does not know it."""
    rare = " ".join(sections("words.txt")["rare"]).split()
    rng = Random(11)
    heads = "bl dr fl gr kl pr sk sn tr v w z pl st fr gl th j m n".split()
    tails = (
        "orp ibble onk azzle umf eeb owt ant iska ollo arn epp umbo ix ardle onder ild ask erg ond".split()
    )
    made_up = {
        rng.choice(heads) + rng.choice(tails) + rng.choice(["", "", "er", "o", "in", "y"]) for _ in range(400)
    }
    table = tuple({"x": w, "a": article(w)} for w in rare * 3 + sorted(made_up))
    return [
        Family("unknown", ("{what is|what's} {$a|$x|the $x}?", "what does $x mean?", "{define|explain|describe} $x", TELL + " what $a is",
               "where can i find $a?", "tell me about {$x|$a}", "how does $a work?", "what colour is $a?", "do you know what $a is?"),
               ("could you explain what $a is?",), ("I don't know the word $x. I am a very small model.",), "don't know", table, 7),
    ]  # fmt: skip


def word_families() -> list[Family]:
    found = thing_families() + spelling_families() + pair_families()
    return found + number_families() + unknown_families()
