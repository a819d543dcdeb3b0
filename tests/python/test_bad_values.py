"""Values that no type check of Python would stop: named, and the process lives."""

import pytest

import puna
from puna import errors


@pytest.mark.parametrize("token", [-1, 2**31, 2**64, 2**70])
def test_an_id_that_no_vocabulary_has(llm, token):
    calls = (
        lambda: llm.eval([token]),
        lambda: llm([token]),
        lambda: llm.detokenize([token]),
        lambda: llm.tokenizer().decode([token]),
        lambda: puna.Sampler(9).accept(token),
        lambda: next(llm.generate([token])),
    )
    for call in calls:
        with pytest.raises(errors.TokenError, match=str(token)):
            call()


@pytest.mark.parametrize("text", [5, None, ["a"], "\ud800"])
def test_what_is_no_text(llm, text):
    with pytest.raises(errors.ArgumentError, match="text = "):
        llm.tokenize(text)


def test_a_lone_surrogate_is_no_text(llm):
    with pytest.raises(errors.ArgumentError, match="lone surrogates"):
        llm("\ud800")
    with pytest.raises(errors.ArgumentError, match="surrogates"):
        puna.chat.render("chatml", [{"role": "user", "content": "\ud800"}])


def test_messages_that_json_has_not(tiny):
    with puna.Llama(tiny, chat_format="chatml") as llm:
        for value in (object(), float("nan"), {1, 2}):
            with pytest.raises(errors.ArgumentError, match="messages: "):
                llm.create_chat_completion([{"role": "user", "content": "x", "name": value}])


@pytest.mark.parametrize("value", [[1], "text", 7])
def test_overrides_that_are_no_dict(tiny, value):
    for kind in (puna.Llama, puna.Model):
        with pytest.raises(errors.ArgumentError, match="kv_overrides = "):
            kind(tiny, kv_overrides=value)


def test_files_of_states_that_cannot_be_read_or_written(tiny, tmp_path):
    with puna.Session(tiny, n_ctx=16) as session:
        session.eval([5])
        with pytest.raises(errors.MissingFileError, match="nothing.state"):
            session.load(tmp_path / "nothing.state")
        with pytest.raises(errors.FileError, match="nowhere"):
            session.save(0, tmp_path / "nowhere" / "a.state")
        with pytest.raises(errors.ArgumentError, match="data = 7, expected bytes or a path"):
            session.load(7)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.FileError, match="file"):
        puna.LlamaDiskCache(tmp_path / "file")


def test_a_model_that_does_not_rank(tiny):
    with (
        puna.Llama(tiny, embedding=True, pooling_type="rank") as llm,
        pytest.raises(errors.UnsupportedError, match="rank"),
    ):
        llm.embed("a")
