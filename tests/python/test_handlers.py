"""Chats answered by code of the user's own: handlers, and formatters registered by a name."""

import asyncio
import types

import pytest
from puna.llama_chat_format import (
    ChatFormatterResponse,
    Jinja2ChatFormatter,
    LlamaChatCompletionHandlerNotFoundException,
    LlamaChatCompletionHandlerRegistry,
    chat_formatter_to_chat_completion_handler,
    get_chat_completion_handler,
    hf_tokenizer_config_to_chat_formatter,
    register_chat_completion_handler,
    register_chat_format,
)

import puna
from puna import errors, request

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY = {"max_tokens": 6, "temperature": 0.0}
# What chatml makes of HELLO.
PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def registry():
    """As it was, afterwards."""
    before = dict(LlamaChatCompletionHandlerRegistry._chat_handlers)
    yield LlamaChatCompletionHandlerRegistry()
    LlamaChatCompletionHandlerRegistry._chat_handlers.clear()
    LlamaChatCompletionHandlerRegistry._chat_handlers.update(before)


@pytest.fixture
def expected(tiny) -> dict:
    """What chatml answers."""
    with puna.Llama(tiny, n_ctx=256, chat_format="chatml") as llm:
        return llm.create_chat_completion(HELLO, **GREEDY)


def chatml(messages, **options):
    return ChatFormatterResponse(prompt=PROMPT, stop=["<|im_end|>"])


def test_a_handler_gets_the_model_the_messages_and_every_option(tiny):
    seen = []

    def handler(*, llama, messages, **options):
        seen.append((llama, messages, options))
        prompt = "".join(message["content"] for message in messages)
        return llama.create_completion(prompt, max_tokens=options["max_tokens"], temperature=0.0)

    with puna.Llama(tiny, chat_handler=handler) as llm:
        answer = llm.create_chat_completion(HELLO, max_tokens=3, tools=["mine"], ignore_eos=True)
        assert answer["usage"]["completion_tokens"] <= 3
        defaults = request.ChatRequest.defaults()
        given = {"max_tokens": 3, "tools": ["mine"], "ignore_eos": True}
        assert seen == [(llm, HELLO, {**defaults, **given})]
        llm.create_chat_completion(HELLO, None, ["by place"], max_tokens=1)
        assert seen[1][2]["function_call"] == ["by place"]
        with pytest.raises(errors.UnknownArgumentError, match="did you mean 'max_tokens'"):
            llm.create_chat_completion(HELLO, max_token=3)
        with pytest.raises(errors.UnsupportedError, match="blocking calls only"):
            asyncio.run(llm.acreate_chat_completion(HELLO))


@pytest.mark.parametrize("handler", [None, lambda **given: "mine"])
def test_a_format_that_is_no_name_is_refused_with_a_handler_too(tiny, handler):
    with pytest.raises(errors.ArgumentTypeError, match="chat_format = 7, expected None"):
        puna.Llama(tiny, chat_handler=handler, chat_format=7)


@pytest.mark.parametrize("value", ["llava", 7])
def test_what_is_no_handler_is_refused(tiny, value):
    with pytest.raises(errors.ArgumentError, match="chat_handler = "):
        puna.Llama(tiny, chat_handler=value)


def test_a_formatter_is_found_by_its_name(tiny, expected):
    assert register_chat_format("mine")(chatml) is chatml
    with puna.Llama(tiny, n_ctx=256, chat_format="mine") as llm:
        found = llm.create_chat_completion(HELLO, **GREEDY)
        assert (found["choices"], found["usage"]) == (expected["choices"], expected["usage"])
        chunks = [*llm.create_chat_completion(HELLO, stream=True, **GREEDY)]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        assert text == expected["choices"][0]["message"]["content"]
        assert asyncio.run(llm.acreate_chat_completion(HELLO, **GREEDY))["choices"] == expected["choices"]


def test_a_handler_is_found_by_its_name(tiny):
    @register_chat_completion_handler("echo")
    def echo(*, llama, messages, **options):
        return messages[-1]["content"]

    with puna.Llama(tiny, chat_format="echo") as llm:
        assert llm.create_chat_completion(HELLO) == "Hello"
        llm.chat_format = "chatml"  # may be set later too
        assert llm.create_chat_completion(HELLO, max_tokens=1)["object"] == "chat.completion"


def test_a_handler_comes_before_a_format(tiny):
    with puna.Llama(tiny, chat_handler=lambda **given: "mine", chat_format="of nobody") as llm:
        assert llm.create_chat_completion(HELLO) == "mine"
        llm.chat_handler = None
        with pytest.raises(errors.ArgumentError, match="chat_format = 'of nobody', expected"):
            llm.create_chat_completion(HELLO)


def test_a_handler_may_be_called_with_a_model(tiny, expected):
    handlers = (get_chat_completion_handler("chatml"), chat_formatter_to_chat_completion_handler(chatml))
    with puna.Llama(tiny, n_ctx=256) as llm:
        for handler in handlers:
            assert handler(llama=llm, messages=HELLO, **GREEDY)["choices"] == expected["choices"]
            llm.chat_handler = handler
            answer = asyncio.run(llm.acreate_chat_completion(HELLO, **GREEDY))
            assert answer["choices"] == expected["choices"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Jinja2ChatFormatter(TEMPLATE, "</s>", "<s>"),
        lambda: Jinja2ChatFormatter(template=TEMPLATE, eos_token="", bos_token="<s>", stop_token_ids=[2]),
        lambda: hf_tokenizer_config_to_chat_formatter(
            {"chat_template": TEMPLATE, "eos_token": "</s>", "bos_token": "<s>"}
        ),
    ],
)
def test_a_template_is_a_formatter(tiny, expected, make):
    formatter = make()
    assert formatter(messages=HELLO).prompt == PROMPT
    with puna.Llama(tiny, n_ctx=256, chat_handler=formatter.to_chat_handler()) as llm:
        found = llm.create_chat_completion(HELLO, **GREEDY)
        # The formatter says that special tokens are in the prompt, so no BOS comes before it.
        assert found["usage"]["prompt_tokens"] == expected["usage"]["prompt_tokens"] - 1


def test_a_template_gets_what_handlers_get():
    template = "{{ tools[0] if tools }}{{ mine }}{{ bos_token }}{{ functions is none }}"
    formatter = Jinja2ChatFormatter(template, "</s>", "<s>")
    assert formatter(messages=HELLO, tools=["a"], mine="b").prompt == "ab<s>True"
    assert formatter(messages=HELLO).stop == ["</s>"]


def test_a_token_that_stops_ends_the_answer(tiny):
    with puna.Llama(tiny, n_ctx=256) as llm:
        tokens = llm.generate(llm.tokenize(PROMPT, add_bos=False, special=True), temp=0.0)
        answer = [next(tokens) for _ in range(4)]
        formatter = Jinja2ChatFormatter(TEMPLATE, "", "", stop_token_ids=answer[1:2])
        llm.chat_handler = formatter.to_chat_handler()
        found = llm.create_chat_completion(HELLO, **GREEDY, ignore_eos=True)
        assert found["choices"][0]["finish_reason"] == "stop"
        assert found["usage"]["completion_tokens"] == answer.index(answer[1]) + 1


@pytest.mark.parametrize("where", ["formatter", "call", "both"])
def test_an_answer_ends_at_the_stops_of_both(tiny, expected, where):
    text = expected["choices"][0]["message"]["content"]
    stops = {
        "formatter": text[2] if where != "call" else None,
        "call": text[3] if where != "formatter" else [],
    }

    def formatter(messages, **options):
        return ChatFormatterResponse(prompt=PROMPT, stop=stops["formatter"])

    with puna.Llama(
        tiny, n_ctx=256, chat_handler=chat_formatter_to_chat_completion_handler(formatter)
    ) as llm:
        found = llm.create_chat_completion(HELLO, stop=stops["call"], **GREEDY)["choices"][0]
        ends = min(text.index(each) for each in stops.values() if each)
        assert found["message"]["content"] == text[:ends]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tools": [{}], "tool_choice": {"type": "function"}}, "tool_choice = .* is not supported"),
        ({"function_call": {"name": "f"}}, "function_call = .* is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format = .* is not supported"),
    ],
)
def test_a_formatter_writes_tools_and_calls_none(tiny, options, says):
    register_chat_format("mine")(chatml)
    with puna.Llama(tiny, n_ctx=256, chat_format="mine") as llm:
        assert llm.create_chat_completion(HELLO, tools=[{}], tool_choice="auto", max_tokens=1)
        with pytest.raises(errors.UnsupportedError, match=says):
            llm.create_chat_completion(HELLO, **options)


def test_any_record_with_a_prompt_is_a_formatters_answer(tiny, expected):
    register_chat_format("mine")(lambda messages, **options: types.SimpleNamespace(prompt=PROMPT))
    with puna.Llama(tiny, n_ctx=256, chat_format="mine") as llm:
        found = llm.create_chat_completion(HELLO, stop="<|im_end|>", **GREEDY)
    assert found["choices"] == expected["choices"]


@pytest.mark.parametrize("answer", [None, "a prompt", ChatFormatterResponse(prompt=7)])
def test_what_is_no_formatters_answer_is_refused(tiny, answer):
    register_chat_format("mine")(lambda messages, **options: answer)
    with (
        puna.Llama(tiny, chat_format="mine") as llm,
        pytest.raises(
            errors.ArgumentTypeError, match="the chat formatter answered = .*, expected a ChatForm"
        ),
    ):
        llm.create_chat_completion(HELLO)


def test_a_name_is_taken_once(registry):
    registry.register_chat_completion_handler("mine", chatml)
    for name in ("mine", "chatml"):
        with pytest.raises(
            errors.ArgumentError, match=f"name = '{name}': .* expected a new name, or overwrite"
        ):
            register_chat_format(name)(chatml)
    registry.register_chat_completion_handler("mine", chatml, overwrite=True)
    assert get_chat_completion_handler("mine") is chatml
    registry.unregister_chat_handler("mine")
    for call in (get_chat_completion_handler, registry.unregister_chat_handler):
        with pytest.raises(
            LlamaChatCompletionHandlerNotFoundException, match="name = 'mine', expected one of"
        ):
            call("mine")
    assert {"chatml", "llama-2", "gemma"} <= {*registry._chat_handlers}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: register_chat_completion_handler("mine")("text"),
            "chat_handler = 'text', expected a function",
        ),
        (lambda: register_chat_format("mine")(None), "chat_formatter = None, expected a function"),
        (lambda: register_chat_format(7)(chatml), "name = 7, expected a str"),
        (lambda: Jinja2ChatFormatter(None, "", ""), "template = None, expected a str"),
        (lambda: hf_tokenizer_config_to_chat_formatter({"chat_template": ""}), "eos_token = None"),
    ],
)
def test_what_is_of_a_wrong_type_is_refused(call, says):
    with pytest.raises(errors.ArgumentTypeError, match=says):
        call()


def test_a_file_may_have_templates_by_name(tiny):
    named = {"tokenizer.chat_template.brief": TEMPLATE, "tokenizer.chat_template": "{{ 'x' * 50 }}"}
    with puna.Llama(tiny, n_ctx=256, kv_overrides=named, chat_format="chat_template.brief") as llm:
        brief = llm.create_chat_completion(HELLO, max_tokens=1)["usage"]["prompt_tokens"]
        llm.chat_format = "chat_template.default"
        assert llm.create_chat_completion(HELLO, max_tokens=1)["usage"]["prompt_tokens"] != brief
    with pytest.raises(errors.TemplateError, match="no tokenizer.chat_template.other; expected chat_format"):
        puna.Llama(tiny, chat_format="chat_template.other")
    with pytest.raises(errors.UnsupportedError, match="chat_format = 'functionary' calls functions"):
        puna.Llama(tiny, chat_format="functionary")
