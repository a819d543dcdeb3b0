"""`create_chat_completion`, chat templates and messages."""

import pytest

import puna
from puna.chat import FORMATS, ChatFormat

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def chatty(bundled):
    with puna.Llama(bundled, n_ctx=256) as llm:
        yield llm


def test_an_answer_has_the_shape_of_llama_cpp_python(chatty):
    response = chatty.create_chat_completion(HELLO, max_tokens=8, temperature=0)
    assert response.keys() == {"id", "object", "created", "model", "choices", "usage"}
    assert response["id"].startswith("chatcmpl-")
    assert response["object"] == "chat.completion"
    (choice,) = response["choices"]
    assert choice.keys() == {"index", "message", "logprobs", "finish_reason"}
    assert choice["message"].keys() == {"role", "content"}
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]


def test_a_stream_begins_with_the_role_and_ends_with_the_reason(chatty):
    whole = chatty.create_chat_completion(HELLO, max_tokens=8, temperature=0)["choices"][0]
    chunks = list(chatty.create_chat_completion(HELLO, max_tokens=8, temperature=0, stream=True))
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant"}
    assert "".join(c["delta"].get("content", "") for c in choices) == whole["message"]["content"]
    assert choices[-1]["delta"] == {}
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + [whole["finish_reason"]]


def test_an_answer_ends_where_the_model_ends_it(chatty):
    response = chatty.create_chat_completion(HELLO, temperature=0)
    assert response["choices"][0]["finish_reason"] == "stop"
    assert "<|im_end|>" not in response["choices"][0]["message"]["content"]


def test_logprobs_come_with_each_token(chatty):
    response = chatty.create_chat_completion(
        HELLO, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2
    )
    logprobs = response["choices"][0]["logprobs"]
    assert logprobs["refusal"] is None
    assert len(logprobs["content"]) == 3
    for entry in logprobs["content"]:
        assert entry.keys() == {"token", "logprob", "bytes", "top_logprobs"}
        assert entry["bytes"] == list(entry["token"].encode())
        assert len(entry["top_logprobs"]) == 2


def test_bytes_of_a_characters_parts_make_the_character(tiny):
    with puna.Llama(tiny, n_ctx=256, chat_format="chatml") as llm:
        wanted = llm.tokenize("🦊", add_bos=False)[-4:]
        assert len(wanted) == 4
        end = []

        def next_of(ids, scores):
            token = wanted[len(end)]
            end.append(token)
            return [0.0 if i == token else -100.0 for i in range(len(scores))]

        response = llm.create_chat_completion(HELLO, max_tokens=4, logprobs=True, logits_processor=next_of)
    entries = response["choices"][0]["logprobs"]["content"]
    assert response["choices"][0]["message"]["content"] == "🦊"
    assert bytes(b for entry in entries for b in entry["bytes"]).decode() == "🦊"
    assert [entry["token"] for entry in entries] == [""] * 4


def test_a_conversation_reuses_what_is_in_the_context(chatty):
    first = chatty.create_chat_completion(HELLO, max_tokens=4, temperature=0)
    answer = first["choices"][0]["message"]
    more = [*HELLO, answer, {"role": "user", "content": "And you?"}]
    alone = chatty.create_chat_completion(more, max_tokens=8, temperature=0)["choices"]
    chatty.reset()
    assert chatty.create_chat_completion(more, max_tokens=8, temperature=0)["choices"] == alone


def test_parts_of_text_are_joined(chatty):
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}]
    answers = [
        chatty.create_chat_completion(m, max_tokens=5, temperature=0)["choices"] for m in (HELLO, parts)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", FORMATS)
def test_a_known_format_serves_a_model_without_a_template(tiny, name):
    with puna.Llama(tiny, chat_format=name, n_ctx=512) as llm:
        assert llm.create_chat_completion(HELLO, max_tokens=2)["usage"]["completion_tokens"] <= 2


def test_chatml_is_written_as_its_models_read_it(tiny):
    tokenizer = puna.Tokenizer(tiny)
    text = ChatFormat(tokenizer, None, "chatml").render([{"role": "system", "content": "Be brief."}, *HELLO])
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_llama_2_puts_the_system_text_into_the_first_turn(tiny):
    tokenizer = puna.Tokenizer(tiny)
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    text = ChatFormat(tokenizer, None, "llama-2").render(messages)
    assert text == "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B </s><s>[INST] C [/INST]"


def test_a_text_gets_one_bos_whoever_writes_it(tiny):
    tokenizer = puna.Tokenizer(tiny)
    with_bos = ChatFormat(tokenizer, "{{ bos_token }}{{ messages[0].content }}")
    without = ChatFormat(tokenizer, "{{ messages[0].content }}")
    encoded = [format_.encode(format_.render(HELLO)) for format_ in (with_bos, without)]
    assert [ids.count(tokenizer.bos) for ids in encoded] == [1, 1]


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "messages = [], expected a list of at least one message"),
        ("Hello", "messages = 'Hello', expected a list"),
        (["Hello"], "messages[0] = 'Hello', expected {\"role\""),
        ([{"role": "", "content": "x"}], "messages[0]['role'] = '', expected a role, such as system"),
        ([{"role": 5, "content": "x"}], "messages[0]['role'] = 5, expected a role, such as system"),
        ([*HELLO, {"role": "user"}], "messages[1]['content'] = None, expected text"),
        ([{"role": "user", "content": 7}], "messages[0]['content'] = 7, expected text"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
            "messages[0]['content'][0] = {'type': 'image_url', 'image_url': 'x'}, expected",
        ),
    ],
)
def test_a_wrong_message_is_named(chatty, messages, says):
    with pytest.raises(puna.errors.ArgumentError) as caught:
        chatty.create_chat_completion(messages)
    assert says in str(caught.value)


def test_a_template_that_refuses_says_why(tiny):
    refusing = ChatFormat(puna.Tokenizer(tiny), "{{ raise_exception('no system role') }}")
    with pytest.raises(puna.errors.TemplateError, match="no system role"):
        refusing.render(HELLO)


def test_a_model_without_a_template_says_what_to_give(llm):
    remedy = (
        r"no tokenizer.chat_template; expected Llama\(…, chat_format='llama-2'\), .*: 'chatml', 'llama-2'"
    )
    with pytest.raises(puna.errors.TemplateError, match=remedy):
        llm.create_chat_completion(HELLO)


def test_the_remedy_for_a_model_without_a_template_works(tiny):
    with puna.Llama(tiny, chat_format="llama-2", n_ctx=64) as llm:
        assert llm.create_chat_completion(HELLO, max_tokens=1)["usage"]["completion_tokens"] == 1


def test_an_unknown_format_is_refused_at_once(tiny):
    with pytest.raises(puna.errors.ArgumentError, match="chat_format = 'pirate', expected None"):
        puna.Llama(tiny, chat_format="pirate")


def test_a_word_that_names_no_format_is_no_template():
    with pytest.raises(
        puna.errors.ArgumentError, match="template = 'chatmll', expected Jinja or one of 'chatml'"
    ):
        puna.chat.render("chatmll", HELLO)


@pytest.mark.parametrize("role", ["ipython", "function", "critic"])
def test_the_template_of_a_file_decides_about_roles(tiny, role):
    chat_format = ChatFormat(puna.Tokenizer(tiny), "{{ messages[0].role }}: {{ messages[0].content }}")
    assert chat_format.render([{"role": role, "content": "x"}]) == f"{role}: x"


def test_a_format_by_name_refuses_roles_that_it_does_not_know(tiny):
    tokenizer, messages = puna.Tokenizer(tiny), [{"role": "ipython", "content": "x"}]
    with pytest.raises(puna.errors.ArgumentError, match="'ipython', expected one of system, developer, user"):
        ChatFormat(tokenizer, None, "chatml").render(messages)
    assert "ipython" in ChatFormat(tokenizer, None, "llama-3").render(messages)


@pytest.mark.parametrize(
    "options",
    [{"tool_choice": "auto"}, {"functions": []}, {"function_call": "none"}, {"function_call": "auto"}],
)
def test_options_of_tools_without_tools_are_taken(chatty, options):
    assert chatty.create_chat_completion(HELLO, max_tokens=1, **options)["choices"]
