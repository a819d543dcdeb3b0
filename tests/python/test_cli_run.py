"""`puna run`, in this process: which flags count in a conversation, and which without one."""

import pytest

from puna.cli import main


def test_texts_around_the_one_message_are_part_of_it(bundled, capsys):
    def n_prompt(*flags):
        assert main(["run", "-n", "0", *flags]) == 0
        return capsys.readouterr().err.partition("| prompt ")[2].split()[0]

    around = n_prompt("-p", "What colour?", "--in-prefix", "Hello. ", "--in-suffix", r"\nWhy?")
    assert around == n_prompt("-p", "Hello. What colour?\nWhy?") != n_prompt("-p", "What colour?")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("-sys", "Be kind."),
        ("-sysf", "none.txt"),
        ("--in-prefix", "AAA"),
        ("--in-suffix", "BBB"),
        ("--chat-template", "chatml"),
        ("--chat-template-file", "none.jinja"),
        ("-mli", None),
    ],
)
def test_what_counts_in_a_conversation_alone_is_refused_without_one(flag, value, bundled, stories, capsys):
    given, named = ([flag, value], f"{flag} {value!r}") if value else ([flag], flag)
    assert main(["run", "-no-cnv", "-p", "Once", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        f"puna: error: {named}: -no-cnv continues the text as it is, expected a conversation"
    )
    if not (flag.startswith("--chat") or flag == "-sysf"):
        assert main(["run", "-m", str(stories), "-p", "Once", *given]) == 1
        expected = f"{named}: expected a model with a chat template, or --chat-template\n"
        assert capsys.readouterr() == ("", f"puna: error: {expected}")
