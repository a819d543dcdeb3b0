"""Conversations in which something is told and later needed: names, towns, pets, a system prompt's name."""

from random import Random

from grammar import article
from library import Library, Talk, chatter, said
from stories import COLOURS, any_name
from tables import rows, sections

LIKES = [r[0] for r in rows("things.txt") if r[1] in ("fruit", "vegetable", "food", "drink", "sport")]
PET_KINDS = "dog cat rabbit parrot horse mouse goldfish turtle bird hen goat snake".split()
PETS = " ".join(sections("words.txt")["pets"]).split()
CITIES = [r[1] for r in rows("countries.txt")]
MEMORY = {
    "name": (
        ("my name is $v", "i am $v", "i'm $v", "hi, i'm $v", "hello, my name is $v", "call me $v", "hi! my name is $v.", "you can call me $v",
         "hey, i am $v. nice to meet you", "$v is my name", "my name's $v"),
        ("Nice to meet you, $v! {How can I help you?|What would you like to talk about?|}", "Hello, $v! {Nice to meet you.|How are you?|How can I help you?}"),
        ("what is my name?", "what's my name?", "do you remember my name?", "do you know my name?", "who am i?", "what did i say my name was?",
         "tell me my name", "can you say my name?", "say my name", "what am i called?"), "Your name is $v.", "I don't know your name. {Please tell me.|What is your name?}"),
    "town": (
        ("i live in $v", "i am from $v", "i come from $v", "i'm from $v", "my home is in $v"),
        ("$v sounds like a nice place!", "I have heard of $v. {It must be nice there.|}"),
        ("where do i live?", "where am i from?", "which city do i live in?", "do you remember where i live?"), "You live in $v.",
        "I don't know that. You have not told me."),
    "colour": (
        ("my favourite colour is $v", "my favorite color is $v", "i like the colour $v best", "i love $v"), ("$v is a beautiful colour!",),
        ("what is my favourite colour?", "what's my favorite color?", "which colour do i like?", "do you remember my favourite colour?"),
        "Your favourite colour is $v.", "I don't know your favourite colour. Please tell me."),
    "food": (
        ("my favourite food is $v", "i like $v", "i love $v", "i like to eat $v", "my favorite food is $v"), ("I think many people like $v.", "That sounds tasty!"),
        ("what is my favourite food?", "what do i like to eat?", "which food do i like?", "what's my favorite food?"),
        "You like $v.", "I don't know that. You have not told me."),
    "age": (
        ("i am $v years old", "i'm $v", "i am $v", "my age is $v"), ("$v is a good age!", "That is a nice age."),
        ("how old am i?", "what is my age?", "do you remember how old i am?"), "You are $v years old.", "I don't know how old you are."),
}  # fmt: skip

NAMED = (
    "You are $v.",
    "Your name is $v.",
    "You are $v, a friendly assistant.",
    "You are $v, a helpful assistant.",
    "You are an assistant called $v.",
    "You are a helpful assistant named $v.",
    "Your name is $v. Be kind.",
)
WHO = (("what is your name?", "My name is $v."), ("what's your name?", "My name is $v."), ("who are you?", "I am $v, a small assistant."), ("tell me your name", "My name is $v."),
       ("hi, who are you?", "I am $v, a small assistant."), ("are you $v?", "Yes, I am $v."), ("introduce yourself", "I am $v, a small assistant."), ("what are you called?", "My name is $v."))  # fmt: skip


def remember(lib: Library, rng: Random) -> Talk:
    """A thing that the user says about himself, and the question for it some turns later."""
    kind = rng.choice(("name", "name", "name", "town", "colour", "food", "age"))
    value = {
        "name": any_name(rng, rng.choice(("she", "he"))), "town": rng.choice(CITIES), "colour": rng.choice(COLOURS),
        "food": rng.choice(LIKES), "age": str(rng.randint(3, 99)),
    }[kind]  # fmt: skip
    tell, reply, ask, answer, unknown = MEMORY[kind]
    if rng.random() < 0.12:
        return chatter(lib, rng, 1) + said(rng, rng.choice(ask), unknown)
    talk = said(rng, rng.choice(tell), rng.choice(reply), v=value) + chatter(lib, rng)
    return talk + said(rng, rng.choice(ask), answer, v=value) + chatter(lib, rng, 1)


def introduce(lib: Library, rng: Random) -> Talk:
    """The shortest use of a name: it is told and at once needed."""
    name = any_name(rng, rng.choice(("she", "he")))
    if rng.random() < 0.4:
        ask, answer = rng.choice(WHO)
        return [("system", rng.choice(NAMED).replace("$v", name))] + said(rng, ask, answer, v=name)
    tell, reply, ask, answer, _ = MEMORY["name"]
    talk = said(rng, rng.choice(tell), rng.choice(reply), v=name)
    return talk + (said(rng, rng.choice(ask), answer, v=name) if rng.random() < 0.6 else [])


def pet(lib: Library, rng: Random) -> Talk:
    kind, owner = (
        rng.choice(PET_KINDS),
        rng.choice(("dog", "friend", "brother", "sister", "mother", "teacher")),
    )
    kind = kind if owner == "dog" else owner
    name = rng.choice(PETS) if owner == "dog" else any_name(rng, rng.choice(("she", "he")))
    slots = dict(k=kind, a=article(kind), n=name)
    talk = said(rng, rng.choice(("i have $a named $n", "i have $a called $n", "my $k is called $n", "the name of my $k is $n", "my $k's name is $n")),
                rng.choice(("$n is a {lovely|nice|good} name for $a!", "What a nice name! {Say hello to $n.|}")), **slots)  # fmt: skip
    if rng.random() < 0.5 and owner != "dog":
        talk = talk[:1] + [("assistant", f"What a nice name! Say hello to {name}.")]
    talk += chatter(lib, rng)
    return talk + said(rng, rng.choice(("what is my $k called?", "what's the name of my $k?", "what is my $k's name?", "how is my $k called?", "do you remember the name of my $k?")),
                       "Your $k is called $n.", **slots)  # fmt: skip
