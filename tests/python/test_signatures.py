"""Every method of llama-cpp-python's classes takes the same arguments here, by name and by place.

The list of them is `tests/golden/signatures.json`; what differs stands here with its reason.
"""

import inspect
import json
from pathlib import Path

import pytest

import puna
from puna import arguments, request

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/signatures.json").read_text(encoding="utf-8"))
del GOLDEN["made_by"]
METHODS = [(kind, name) for kind, members in GOLDEN.items() for name in members]

# Options that are taken by llama-cpp-python's order, behind the arguments that a method names.
ORDERS = {
    "__call__": request.COMPLETION_ORDER,
    "create_completion": request.COMPLETION_ORDER,
    "create_chat_completion": request.CHAT_ORDER,
    "generate": request.GENERATE_ORDER,
    "sample": request.SAMPLE_ORDER,
}
# What llama.cpp's C functions take; what Jinja is given there.
ABSENT = ("ctx", "IgnoreGenerationTags", "strftime_now", "tojson")
# Defaults that are other ones, each with the reason.
OTHER_DEFAULTS = {
    "model_path": "the bundled model",
    "n_ubatch": "as many as n_batch",
    "verbose": "a library is silent",
    "filename": "the one file of a repository",
    "seed": "None draws from that of the Llama",
}


def signature(text: str) -> inspect.Signature:
    return inspect.signature(eval(f"lambda {text[1:-1]}: 0"))


def by_place(function: inspect.Signature) -> list[str]:
    return [p.name for p in function.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]


def own(kind: str, name: str) -> inspect.Signature:
    return inspect.signature(getattr(getattr(puna, kind), name))


@pytest.mark.parametrize(("kind", "name"), METHODS)
def test_a_method_takes_llama_cpp_pythons_arguments(kind, name):
    if name in ABSENT:
        with pytest.raises(AttributeError):
            getattr(getattr(puna, kind), name)
        return
    if GOLDEN[kind][name] == "property":
        assert not callable(getattr(getattr(puna, kind), name))
        return
    theirs, ours = signature(GOLDEN[kind][name]), own(kind, name)
    order = ORDERS.get(name, []) if kind == "Llama" else []
    assert [*by_place(ours), *order][: len(by_place(theirs))] == by_place(theirs)
    refused = arguments.LLAMA if (kind, name) == ("Llama", "__init__") else {}
    takes_any = kind != "Llama" and any(p.kind is p.VAR_KEYWORD for p in ours.parameters.values())
    for parameter in theirs.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not takes_any:
            assert parameter.name in {*ours.parameters, *refused}
        if parameter.name in ours.parameters and parameter.name not in OTHER_DEFAULTS:
            assert ours.parameters[parameter.name].default == parameter.default, parameter.name


@pytest.mark.parametrize(
    ("name", "options"),
    [("create_completion", request.CompletionRequest), ("create_chat_completion", request.ChatRequest)],
)
def test_options_have_llama_cpp_pythons_defaults(name, options):
    theirs = signature(GOLDEN["Llama"][name]).parameters
    assert options.defaults() == {p: theirs[p].default for p in options.order}


def test_a_reason_is_given_for_nothing_else():
    known = {p for members in GOLDEN.values() for text in members.values() for p in text[1:-1].split(", ")}
    assert {p.split("=")[0] for p in known} >= {*OTHER_DEFAULTS}
    assert {name for _, name in METHODS} >= {*ABSENT, *ORDERS}


def test_all_options_may_be_given_by_place(tiny):
    with puna.Llama(tiny, n_ctx=128, seed=1, chat_format="chatml", logits_all=True) as llm:
        named = llm.create_completion("ab", max_tokens=4, temperature=0.0)
        plain = request.CompletionRequest.defaults() | {"max_tokens": 4, "temperature": 0.0}
        for call in (llm, llm.create_completion):
            assert call("ab", *plain.values())["choices"] == named["choices"]
        messages = [{"role": "user", "content": "hi"}]
        chat = llm.create_chat_completion(messages, max_tokens=4, temperature=0.0)
        plain = request.ChatRequest.defaults() | {"max_tokens": 4, "temperature": 0.0}
        assert llm.create_chat_completion(messages, *plain.values())["choices"] == chat["choices"]
        theirs = signature(GOLDEN["Llama"]["generate"]).parameters
        plain = {name: theirs[name].default for name in request.GENERATE_ORDER} | {"temp": 0.0}
        found = [next(llm.generate([5, 6, 7], *plain.values()))]
        llm.reset()
        llm.eval([5, 6, 7])
        theirs = signature(GOLDEN["Llama"]["sample"]).parameters
        plain = {name: theirs[name].default for name in request.SAMPLE_ORDER} | {"temp": 0.0}
        assert [llm.sample(*plain.values())] == found


def test_one_by_place_is_the_one_of_its_name(llm):
    assert llm("ab", None, 3)["usage"]["completion_tokens"] <= 3
    for place, (name, wrong) in enumerate([("suffix", 7), ("max_tokens", "x"), ("temperature", "x")]):
        given = [None, 4, 0.0][:place]
        with pytest.raises(puna.errors.ArgumentTypeError, match=f"{name} = "):
            llm("ab", *given, wrong)
    with pytest.raises(puna.errors.ArgumentTypeError, match="temp = 'x'|temperature = 'x'"):
        next(llm.generate([5], 40, 0.9, 0.0, 1.0, "x"))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda llm: llm("ab", None, 3, max_tokens=4),
            r"create_completion\(\) has 'max_tokens' by place and",
        ),
        (
            lambda llm: llm("ab", *[None] * 25),
            "given 25 options by place, expected at most 24: suffix, max_t",
        ),
        (lambda llm: llm.sample(40, top_k=1), r"Llama.sample\(\) has 'top_k' by place and by name"),
        (
            lambda llm: next(llm.generate([5], temprature=1)),
            r"Llama.generate\(\) has no argument 'temprature'",
        ),
        (lambda llm: llm.create_chat_completion([], *[None] * 28), "expected at most 27: functions"),
    ],
)
def test_what_is_given_twice_or_too_often_is_refused(llm, call, says):
    with pytest.raises(puna.errors.UnknownArgumentError, match=says):
        call(llm)
