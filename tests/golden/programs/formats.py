"""Chat formats and handlers of the program's own, found by their names, and a template."""

from llama_cpp import Llama
from llama_cpp.llama_chat_format import (
    ChatFormatterResponse,
    Jinja2ChatFormatter,
    register_chat_completion_handler,
    register_chat_format,
)

MESSAGES = [{"role": "user", "content": "Once upon a time"}]
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{{ ', there' if add_generation_prompt }}"


@register_chat_format("program-format")
def formatter(messages, **kwargs):
    prompt = " ".join(message["content"] for message in messages)
    return ChatFormatterResponse(prompt=prompt, stop=[" little"])


@register_chat_completion_handler("program-handler")
def handler(*, llama, messages, temperature=0.2, top_k=40, max_tokens=None, stream=False, **kwargs):
    options = {"temperature": temperature, "top_k": top_k, "max_tokens": max_tokens, "stream": stream}
    return {"options": options, "others": sorted(kwargs), "stop": kwargs["stop"], "n_ctx": llama.n_ctx()}


def main(path):
    options = {"type_k": 0, "type_v": 0, "n_ctx": 256, "verbose": False}
    template = Jinja2ChatFormatter(template=TEMPLATE, eos_token="</s>", bos_token="<s>", stop_token_ids=[2])
    models = [
        Llama(path, chat_format="program-format", **options),
        Llama(path, chat_format="program-handler", **options),
        Llama(path, chat_handler=template.to_chat_handler(), **options),
    ]
    answers = [
        llm.create_chat_completion(messages=MESSAGES, max_tokens=12, temperature=0.0) for llm in models
    ]
    chunks = models[2].create_chat_completion(messages=MESSAGES, max_tokens=3, temperature=0.0, stream=True)
    deltas = [chunk["choices"][0] for chunk in chunks]
    return {"answers": answers, "deltas": deltas, "prompt": template(messages=MESSAGES).prompt}
