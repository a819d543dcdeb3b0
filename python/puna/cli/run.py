"""`puna run`: text from a model."""

import argparse
import sys
from typing import Any

from puna.arguments import short
from puna.cli import llamacpp, sampling, text
from puna.cli.model import add_execution, add_model, has_template, require_template
from puna.cli.parser import UsageError
from puna.cli.positional import take_model
from puna.cli.reading import has_unread, is_keyboard, is_piped
from puna.cli.talk import Talk, add_talk, converse, user_message
from puna.cli.terminal import note
from puna.errors import ArgumentError
from puna.llama import Llama

EPILOG = """examples:
  puna run                                    the bundled model, with a prompt of its own
  puna run Tell me a story                    the same with yours
  puna run -m model.gguf -p "Why?" -n 100 --temp 0
  echo "Why?" | puna run -m model.gguf        without a prompt, what is piped in is the prompt
  puna run -m model.gguf -p "Sum up:" -f - < text.txt      with one, -f - puts it after that
  puna run -m model.gguf                      a conversation, at a terminal
  puna run model.gguf "Why?"                  a first word may be the model, a GGUF file
  puna run -hf user/repository:Q4_K_M -p Hi   a model of huggingface.co
  puna run -m model.gguf -no-cnv -f text.txt  continue a text, without the chat template
"""

GREETING = "Hello! Tell me a story."
BEGINNING = "Once upon a time"


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "run",
        help="generate text",
        usage="puna run [FLAG ...] [PROMPT ...]",
        description=__doc__,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    add_model(parser)
    text.add_prompt(parser, "the prompt, if not given by -p, -f or a pipe; -: standard input")
    text.add_output(parser)
    group = add_talk(parser)
    group.add_argument("-st", "--single-turn", action="store_true", help="one answer, even at a terminal")
    chat = group.add_mutually_exclusive_group()
    chat.add_argument(
        "-cnv", "--conversation", action="store_true", default=None,
        help="use the chat template (default, where there is one)",
    )  # fmt: skip
    chat.add_argument(
        "-no-cnv", "--no-conversation", action="store_false", dest="conversation",
        help="continue the text as it is",
    )  # fmt: skip
    group.add_argument(
        "--no-display-prompt", action="store_false", dest="echo",
        help="with -no-cnv: only what comes after it",
    )  # fmt: skip
    sampling.add_sampling(parser)
    add_execution(parser)
    parser.refuse(llamacpp.GENERATING)


def run(given: argparse.Namespace) -> int:
    take_model(given)
    if given.conversation is False and (unused := chat_flags(given)):
        raise UsageError(f"{unused[0]}: -no-cnv continues the text as it is, expected a conversation")
    if not given.words and given.prompt is None and given.file is None and is_piped():
        given.file = "-"
    llm, prompt, system, options = text.start(given)
    with llm:
        chats = given.conversation
        if chats is None:
            chats = has_template(given, llm)
        elif chats:
            require_template(given, llm)
        if prompt is None and chats and talks(given):
            return converse(Talk(llm, given, options, system))
        if prompt is None:
            prompt = own_prompt(given, GREETING if chats else BEGINNING)
        else:
            text.note_bundled(given, llm.metadata)
        tell(llm, given, prompt, system, options, chats=chats)
        text.note_speed(given, llm)
    if has_unread():
        note("what was piped in was not read: beside a prompt, -f - puts it after that")
    return 0


def talks(given: argparse.Namespace) -> bool:
    """Whether it is a conversation where no prompt came: with a model of one's own, at a terminal."""
    return bool(given.model) and not given.single_turn and is_keyboard() and sys.stdout.isatty()


def own_prompt(given: argparse.Namespace, prompt: str) -> str:
    """Puna's own, which is said where the model is the user's."""
    if given.model:
        note(f"no prompt, so it is {prompt!r}; -p TEXT is one")
    return prompt


def tell(
    llm: Llama,
    given: argparse.Namespace,
    prompt: str,
    system: str | None,
    options: dict[str, Any],
    *,
    chats: bool,
) -> None:
    """Prints the answer to a prompt, or what comes after it."""
    answer = text.Answer(given, llm)
    if chats:
        messages = text.with_system(system, [user_message(given, prompt)])
        answer.say(lambda: llm.create_chat_completion(messages, stream=True, **options))
    elif unused := chat_flags(given):
        raise ArgumentError(f"{unused[0]}: expected a model with a chat template, or --chat-template")
    else:
        answer.say(lambda: llm.create_completion(prompt, stream=True, echo=given.echo, **options))


def chat_flags(given: argparse.Namespace) -> list[str]:
    """What the command line says that counts in a conversation alone. The environment may say it for others."""
    flags = {
        "-sys": "system_prompt", "-sysf": "system_prompt_file", "--in-prefix": "in_prefix", "--in-suffix": "in_suffix",
        "--chat-template": "chat_template", "--chat-template-file": "chat_template_file",
    }  # fmt: skip
    texts = {flag: getattr(given, name) for flag, name in flags.items() if name not in given.of_variables}
    found = [f"{flag} {short(value)}" for flag, value in texts.items() if value]
    return [*found, "-mli"] if given.multiline_input else found
