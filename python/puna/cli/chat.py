"""`puna chat`: a conversation with a model."""

import argparse
from typing import Any

from puna.cli import llamacpp, sampling, text
from puna.cli.model import add_execution, add_model, require_template
from puna.cli.positional import take_model
from puna.cli.reading import is_keyboard
from puna.cli.talk import HELP, Talk, add_talk, converse

EPILOG = f"""examples:
  puna chat                                       with the bundled model
  puna chat -m model.gguf -sys "Answer in French."
  puna chat -hf user/repository:Q4_K_M -ngl all   a model of huggingface.co, on the GPU
  puna chat -m model.gguf -p "Why is the sky blue?" --single-turn
  puna chat -m base.gguf --chat-template chatml -r "<|im_end|>"

in the conversation:
{HELP}
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "chat",
        help="hold a conversation",
        usage="puna chat [FLAG ...] [PROMPT ...]",
        description=__doc__,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    add_model(parser)
    text.add_prompt(parser, "the first message, answered at once")
    text.add_output(parser)
    group = add_talk(parser)
    group.add_argument("-st", "--single-turn", action="store_true", help="leave after one answer")
    sampling.add_sampling(parser)
    add_execution(parser)
    parser.refuse(llamacpp.GENERATING)


def run(given: argparse.Namespace) -> int:
    take_model(given)
    llm, first, system, options = text.start(given)
    with llm:
        require_template(given, llm)
        if first is not None or is_keyboard():
            text.note_bundled(given, llm.metadata)
        return converse(Talk(llm, given, options, system), first, once=given.single_turn)
