"""Families about numbers, days, months and letters: sums, counting, what comes next."""

from tables import Family

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November December").split()
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
TELL = "{can you tell me|do you know|tell me|please tell me|i want to know}"


def number_families() -> list[Family]:
    add = [{"p": str(a), "q": str(b), "r": str(a + b)} for a in range(21) for b in range(21)]
    sub = [{"p": str(a), "q": str(b), "r": str(a - b)} for a in range(21) for b in range(a + 1)]
    mul = [{"p": str(a), "q": str(b), "r": str(a * b)} for a in range(11) for b in range(11)]
    wadd = [{"p": SMALL[a], "q": SMALL[b], "r": SMALL[a + b]} for a in range(11) for b in range(11)]
    wsub = [{"p": SMALL[a], "q": SMALL[b], "r": SMALL[a - b]} for a in range(11) for b in range(a + 1)]
    div = [{"p": str(a * b), "q": str(b), "r": str(a)} for a in range(11) for b in range(1, 11)]
    cmp = [
        {"p": str(a), "q": str(b), "hi": str(max(a, b)), "lo": str(min(a, b))}
        for a in range(31)
        for b in range(31)
        if a != b
    ]
    one = [
        {
            "x": str(n),
            "next": str(n + 1),
            "prev": str(n - 1),
            "w": SMALL[n] if n <= 20 else str(n),
            "even": "even" if n % 2 == 0 else "odd",
        }
        for n in range(1, 31)
    ]
    count = [{"a": "1", "b": str(n), "s": ", ".join(map(str, range(1, n + 1)))} for n in range(2, 21)]
    back = [{"b": str(n), "s": ", ".join(map(str, range(n, 0, -1)))} for n in range(3, 13)]
    cycle = []
    for names, kind in ((DAYS, "day"), (MONTHS, "month")):
        for i, x in enumerate(names):
            cycle.append(
                {
                    "x": x,
                    "n": names[(i + 1) % len(names)],
                    "p": names[i - 1],
                    "k": kind,
                    "o": ORDINALS[i],
                    "of": "week" if kind == "day" else "year",
                }
            )
    abc = [{"x": chr(65 + i), "n": chr(66 + i)} for i in range(25)]

    def sums(name: str, word: str, sign: str, table: list, weight: float) -> Family:
        return Family(
            name,
            (
                f"{{what is|what's|whats|how much is|calculate|compute}} $p {{{word}|{sign}}} $q?",
                f"$p {{{word}|{sign}}} $q{{| =| = ?|?}}",
                TELL + f" what $p {word} $q is",
                f"{{what does|how much does}} $p {word} $q make?",
                f"$p{sign[-1]}$q{{|=|?|=?}}",
                f"{{hey|please|hello}}, what is $p {word} $q?",
                f"can you {{add up|work out|solve}} $p {sign} $q?",
            ),
            (f"could you work out $p {word} $q for me?", f"and what would $p {word} $q be?"),
            (f"$p {word} $q is $r.",),
            "is $r.",
            tuple(table),
            weight,
        )

    return [
        sums("add", "plus", "+", add, 26), sums("subtract", "minus", "-", sub, 14),
        sums("multiply", "times", "*", mul, 6), sums("add_words", "plus", "+", wadd, 4),
        sums("subtract_words", "minus", "-", wsub, 2.5), sums("divide", "divided by", "/", div, 2.5),
        Family("greater", ("which {number is|is} {bigger|greater|larger|more}, $p or $q?", "is $p bigger than $q or smaller, which is bigger?",
               "what is {more|bigger}, $p or $q?"), ("of $p and $q, which is the bigger number?",),
               ("$hi is bigger than $lo.",), "$hi is bigger", tuple(cmp), 3),
        Family("after", ("what {number comes|comes} after $x?", "{what is the|the} next number after $x{|?}", "what is one more than $x?"),
               ("which number follows $x?",), ("the number after $x is $next.",), "is $next.", tuple(one), 2),
        Family("before", ("what {number comes|comes} before $x?", "what is one less than $x?"), (),
               ("the number before $x is $prev.",), "is $prev.", tuple(one), 1.5),
        Family("even", ("is $x {even or odd|odd or even|an even number or an odd number|even|odd}?", "is the number $x {even|odd}?"),
               ("tell me whether $x is odd or even",), ("$x is an $even number.",), "$even", tuple(one), 2),
        Family("count", ("count {|from 1 |up }to $b", "can you count {|from 1 }to $b?", "please count to $b",
               "i want you to count to $b", "{let's|let us} count to $b"), ("would you count up to $b for me?",),
               ("$s.",), "$s", tuple(count), 4),
        Family("count_back", ("count {backwards|back|down} from $b", "can you count {backwards|down} from $b?", "count from $b {to 1|down to 1}"),
               (), ("$s.",), "$s", tuple(back), 1.5),
        Family("next_day", ("what {$k comes|comes|$k is} after $x?", "{which|what} $k {follows|comes after} $x?", "what is the $k after $x?",
               "if today is $x, what is tomorrow?", "if it is $x now, what comes next?"), ("can you say which $k comes right after $x?",),
               ("the $k after $x is $n.",), "is $n", tuple(cycle), 3),
        Family("prev_day", ("what {$k comes|comes|$k is} before $x?", "{which|what} $k {comes|is} before $x?", "what is the $k before $x?"),
               (), ("the $k before $x is $p.",), "is $p", tuple(cycle), 2),
        Family("ordinal", ("what is the $o $k of the $of?", "which is the $o $k{| of the $of}?", "name the $o $k of the $of"),
               (), ("the $o $k of the $of is $x.",), "is $x", tuple(cycle), 2),
        Family("next_letter", ("{what|which} letter comes after {$x|the letter $x}?", "what comes after the letter $x?", "what is the next letter after $x?"),
               (), ("the letter after $x is $n.",), "is $n", tuple(abc), 2),
    ]  # fmt: skip
