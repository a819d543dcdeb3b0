"""Chat formats by name, and `puna.chat.render`, against llama-cpp-python and the models' cards."""

import json
from pathlib import Path

import pytest

import puna
from puna.formats import FORMATS

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/chat_formats.json").read_text())
USER = {"role": "user", "content": "U1"}
TURNS = [USER, {"role": "assistant", "content": "A1"}, {"role": "user", "content": "U2"}]
SYSTEM = [{"role": "system", "content": "SYS"}, *TURNS]

# As the cards of the models have it; llama-cpp-python differs (tests/golden/make_chat_formats.py).
CARDS = {
    # huggingface.co/tatsu-lab/alpaca-7b
    "alpaca": "SYS\n\n### Instruction:\nU1\n\n### Response:\nA1</s>### Instruction:\nU2\n\n### Response:\n",
    # Intel/neural-chat-7b-v3-1
    "intel": "### System:\nSYS\n### User:\nU1\n### Assistant:\nA1\n### User:\nU2\n### Assistant:\n",
    # meta-llama/Llama-2-7b-chat
    "llama-2": "<s>[INST] <<SYS>>\nSYS\n<</SYS>>\n\nU1 [/INST] A1 </s><s>[INST] U2 [/INST]",
    # Open-Orca/OpenOrcaxOpenChat-Preview2-13B
    "open-orca": "SYS<|end_of_turn|>\nUser: U1<|end_of_turn|>\nAssistant: A1<|end_of_turn|>\n"
    "User: U2<|end_of_turn|>\nAssistant:",
    # OpenBuddy/openbuddy-llama2-13b
    "openbuddy": "SYS\n\nUser: U1\nAssistant: A1\nUser: U2\nAssistant:",
    # openchat/openchat-3.5-0106
    "openchat": "SYS<|end_of_turn|>GPT4 Correct User: U1<|end_of_turn|>GPT4 Correct Assistant: A1<|end_of_turn|>"
    "GPT4 Correct User: U2<|end_of_turn|>GPT4 Correct Assistant:",
    # Phind/Phind-CodeLlama-34B-v2
    "phind": "### System Prompt\nSYS\n\n### User Message\nU1\n\n### Assistant\nA1\n\n"
    "### User Message\nU2\n\n### Assistant\n",
    # PygmalionAI/metharme-7b
    "pygmalion": "<|system|>SYS<|user|>U1<|model|>A1<|user|>U2<|model|>",
    # IlyaGusev/saiga2_7b_lora
    "saiga": "<s>system\nSYS</s><s>user\nU1</s><s>bot\nA1</s><s>user\nU2</s><s>bot",
    # lmsys/vicuna-7b-v1.5
    "vicuna": "SYS USER: U1 ASSISTANT: A1</s>USER: U2 ASSISTANT:",
    # HuggingFaceH4/zephyr-7b-beta
    "zephyr": "<|system|>\nSYS</s>\n<|user|>\nU1</s>\n<|assistant|>\nA1</s>\n<|user|>\nU2</s>\n<|assistant|>\n",
    # These models know no system message; as llama.cpp does, it begins the first user's.
    "gemma": "<bos><start_of_turn>user\nSYS\n\nU1<end_of_turn>\n<start_of_turn>model\nA1<end_of_turn>\n"
    "<start_of_turn>user\nU2<end_of_turn>\n<start_of_turn>model\n",
    "mistral-instruct": "[INST] SYS\n\nU1 [/INST]A1</s>[INST] U2 [/INST]",
}


def text(name: str, messages: list[dict[str, str]], **options: object) -> str:
    bos = "<bos>" if name == "gemma" else "<s>"
    return puna.chat.render(name, messages, bos_token=bos, eos_token="</s>", **options)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["format"])
def test_a_format_is_that_of_llama_cpp_python(case):
    found = text(case["format"], case["messages"])
    # There BOS comes with the tokens.
    assert found.removeprefix("<s>").removeprefix("<bos>") == case["text"]


@pytest.mark.parametrize("name", CARDS)
def test_a_format_is_that_of_its_models_card(name):
    assert text(name, SYSTEM).removeprefix("<bos>") == CARDS[name].removeprefix("<bos>")


def test_every_format_is_tested():
    assert set(FORMATS) == set(CARDS) | {case["format"] for case in GOLDEN["cases"]}


@pytest.mark.parametrize("name", FORMATS)
def test_a_closed_conversation_asks_for_nothing(name):
    """Without a generation prompt a text is the beginning of the one with it."""
    closed = text(name, SYSTEM, add_generation_prompt=False)
    assert text(name, SYSTEM).startswith(closed)
    assert "U2" in closed


@pytest.mark.parametrize("name", FORMATS)
def test_a_turn_can_stand_alone(name):
    assert "U1" in text(name, [USER])


def test_vicuna_and_phind_have_a_system_message_of_their_own():
    assert text("vicuna", [USER]).startswith("A chat between a curious user")
    assert "intelligent programming assistant" in text("phind", [USER])
    assert text("qwen", [USER]).startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>")


def test_a_template_gets_what_it_is_given():
    template = (
        "{{ bos_token }}{{ messages[0].content }}|{{ tools[0].name }}|{{ enable_thinking }}|{{ eos_token }}"
    )
    found = puna.chat.render(
        template, [USER], bos_token="<b>", eos_token="<e>", tools=[{"name": "f"}], enable_thinking=False
    )
    assert found == "<b>U1|f|False|<e>"


def test_messages_go_to_a_template_as_they_are():
    parts = [{"role": "critic", "content": [{"type": "text", "text": "é🦊"}]}]
    template = "{% for m in messages %}{{ m.role }}: {{ m.content[0].text }}{% endfor %}"
    assert puna.chat.render(template, parts) == "critic: é🦊"


def test_the_bundled_models_own_template_is_rendered(bundled):
    metadata = puna.gguf.Reader(bundled).metadata
    found = puna.chat.render(metadata["tokenizer.chat_template"], [USER])
    assert found.startswith("<|im_start|>user\nU1")
    assert found.endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("template", "messages", "kind", "says"),
    [
        ("{{ raise_exception('no') }}", [USER], "TemplateError", "no"),
        ("{% for", [USER], "TemplateError", ""),
        ("{% for i in range(100000000) %}{{ i }}{% endfor %}", [USER], "TemplateError", ""),
        ("{{ x }}", [], "ArgumentError", "messages = [], expected a list of at least one"),
        ("{{ x }}", "Hello", "ArgumentError", "messages = 'Hello'"),
        ("{{ x }}", ["Hello"], "ArgumentError", "messages[0] = 'Hello'"),
        ("{{ x }}", [{"role": "user", "content": object()}], "ArgumentError", "messages: "),
        ("{{ x }}", [{"role": "user", "content": float("nan")}], "ArgumentError", "messages: "),
        (7, [USER], "ArgumentError", "template = 7, expected a str"),
    ],
)
def test_what_cannot_be_rendered_is_named(template, messages, kind, says):
    with pytest.raises(getattr(puna.errors, kind)) as caught:
        puna.chat.render(template, messages)
    assert says in str(caught.value)
