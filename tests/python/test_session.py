"""`puna.Session` and `puna.Model`: several sequences in one batch, logits, states, copies, saving."""

import errno
from pathlib import Path
from typing import TypeAlias

import pytest

import puna
from puna._native import core

A, B, C = [5, 6, 7, 8], [9, 8], [20, 21, 22]
# A batch and a single token take other kernels, whose sums have another order.
TOLERANCE = 2e-4


Rows: TypeAlias = puna.Array | list[list[float]]


def rows(array: Rows) -> list[list[float]]:
    return array if isinstance(array, list) else array.tolist()


def near(found: Rows, expected: Rows, tolerance: float = TOLERANCE) -> bool:
    """Whether two arrays of rows are the same but for the order of sums."""
    flat = ([x for row in rows(array) for x in row] for array in (found, expected))
    return max(abs(x - y) for x, y in zip(*flat, strict=True)) <= tolerance


@pytest.fixture(scope="module")
def model(tiny) -> puna.Model:
    return puna.Model(tiny)


@pytest.fixture
def session(model):
    options = {"n_ctx": 128, "n_seq_max": 4, "logits_all": True, "hidden": True, "type_k": "f32"}
    with puna.Session(model, type_v="f32", **options) as session:
        yield session


def alone(model: puna.Model, tokens: list[int], **options: object) -> puna.Array:
    """Logits of the last of `tokens` in a session of their own."""
    with puna.Session(model, n_ctx=64, type_k="f32", type_v="f32", **options) as session:
        return session.eval(tokens)


def test_sequences_in_one_batch_are_each_what_they_are_alone(model, session):
    found = session.eval({0: A, 3: B, 1: C})
    assert list(found) == [0, 3, 1]
    for seq, tokens in ((0, A), (3, B), (1, C)):
        assert found[seq].shape == (1, session.n_vocab)
        assert near(found[seq], alone(model, tokens))
        assert (session.n_past(seq), session.tokens(seq)) == (len(tokens), tokens)
    assert session.n_past(2) == 0


def test_a_sequence_goes_on_where_it_was(model, session):
    session.eval({0: A[:2], 1: B})
    found = session.eval({1: C, 0: A[2:]})
    assert near(found[0], alone(model, A))
    assert near(found[1], alone(model, B + C))


def test_all_answers_the_logits_of_every_token(model, session):
    found = session.eval(A, all=True)
    assert found.shape == (len(A), session.n_vocab)
    for i, row in enumerate(rows(found)):
        assert near([row], rows(alone(model, A[: i + 1])))


def test_more_tokens_than_a_batch_take_several_runs(model, session):
    tokens = [5 + i % 90 for i in range(50)]
    with puna.Session(model, n_ctx=64, n_batch=7, logits_all=True, type_k="f32", type_v="f32") as small:
        assert small.n_batch == 7
        assert near(small.eval(tokens, all=True), session.eval(tokens, all=True))


def test_hidden_states_are_those_behind_the_last_norm(model, session):
    """The head of a model multiplies them by its matrix (here that of the embeddings); so does this test."""
    logits = rows(session.eval(A, all=True))
    hidden = session.hidden
    assert hidden.shape == (len(A), session.n_embd)
    head = rows(puna.gguf.Reader(core.tiny_model()).tensors["token_embd.weight"].dequantize())
    for states, of_token in zip(rows(hidden), logits):
        for i in (0, 17, session.n_vocab - 1):
            assert abs(sum(w * x for w, x in zip(head[i], states)) - of_token[i]) < 1e-3


def test_an_embedding_session_answers_states(model, session):
    session.eval(A, all=True)
    with puna.Session(model, n_ctx=64, embedding=True, type_k="f32", type_v="f32") as embedding:
        assert near(embedding.eval(A, all=True), session.hidden)


def test_a_copy_goes_its_own_way(model, session):
    session.eval(A)
    session.copy(0, 2)
    session.copy(0, 1, 2)
    assert session.tokens(2) == A
    assert session.tokens(1) == A[:2]
    found = session.eval({0: B, 2: C, 1: C})
    assert near(found[0], alone(model, A + B))
    assert near(found[2], alone(model, A + C))
    assert near(found[1], alone(model, A[:2] + C))


def test_a_copy_takes_no_cells(model):
    with puna.Session(model, n_ctx=8, n_seq_max=4) as session:
        session.eval([5] * 6)
        for target in (1, 2, 3):
            session.copy(0, target)
        session.eval({1: [7], 2: [8]})
        with pytest.raises(puna.errors.ContextError):
            session.eval({3: [9]})


def test_what_is_removed_from_the_end_has_never_been(model, session):
    session.eval(A + C)
    session.remove(0, len(A))
    assert session.tokens() == A
    assert near(session.eval(B), alone(model, A + B))
    session.remove()
    assert session.n_past() == 0
    assert near(session.eval(C), alone(model, C))


def test_what_is_removed_from_the_middle_leaves_a_gap(session):
    session.eval(A + C)
    session.remove(0, 2, 4)
    assert session.n_past() == len(A + C)
    assert session.tokens() == A[:2]


def test_removing_leaves_other_sequences_alone(model, session):
    session.eval({0: A, 1: B})
    session.copy(0, 2)
    session.remove(0)
    found = session.eval({1: C, 2: C})
    assert near(found[1], alone(model, B + C))
    assert near(found[2], alone(model, A + C))


def test_a_shift_moves_the_rest_down(session):
    """Keys are turned to their new positions, so that a first layer sees what it would have seen there;
    later layers remember what was dropped, so only the numbers of tokens can be told exactly."""
    session.eval(A + B + C)
    session.shift(0, 1, 3)
    assert session.n_past() == len(A + B + C) - 3
    session.eval([30, 31])
    assert session.n_past() == len(A + B + C) - 1


def test_a_shift_of_one_layer_is_exact():
    """With one layer keys and values depend on a token and its position alone."""
    reader = puna.gguf.Reader(core.tiny_model())
    writer = puna.gguf.Writer(reader.metadata).set("llama.block_count", 1)
    for tensor in reader.tensors.values():
        if not tensor.name.startswith(("blk.1.", "blk.2.")):
            writer.add_tensor(tensor.name, tensor.data, tensor.dtype, shape=tensor.shape)
    one = puna.Model(writer.to_bytes())
    with puna.Session(one, n_ctx=64, type_k="f32", type_v="f32") as session:
        session.eval(A + B + C)
        session.shift(0, 1, 3)
        assert near(session.eval([30]), alone(one, [A[0], *B, *C, 30]), 1e-3)


def test_a_full_disk_is_said_with_the_file(session, tmp_path, monkeypatch):
    def refuse(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")  # of a write it names no file

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(puna.errors.FileError, match=r"a\.state: No space left") as caught:
        session.save(0, tmp_path / "a.state")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a.state"))


def test_a_saved_sequence_goes_on_elsewhere(model, session, tmp_path):
    session.eval({0: A, 1: B})
    data = session.save(0, tmp_path / "a.state")
    assert (tmp_path / "a.state").read_bytes() == data
    expected = session.eval(C)
    with puna.Session(model, n_ctx=64, n_seq_max=3, type_k="f32", type_v="f32") as other:
        for seq, source in ((0, data), (2, tmp_path / "a.state"), (1, str(tmp_path / "a.state"))):
            other.load(source, seq)
            assert other.tokens(seq) == A
            assert near(other.eval({seq: C})[seq], expected, 1e-5)


def test_loading_takes_the_place_of_what_was_there(model, session):
    session.eval({0: A, 1: B})
    saved = session.save(1)
    session.load(saved, 0)
    assert session.tokens(0) == session.tokens(1) == B
    assert near(session.eval(C), alone(model, B + C))


@pytest.mark.parametrize("option", [{"type_k": "f16"}, {"type_v": "f16"}], ids=str)
def test_a_state_of_another_cache_type_is_refused(model, session, option):
    session.eval(A)
    saved = session.save()
    types = {"type_k": "f32", "type_v": "f32"} | option
    with puna.Session(model, n_ctx=64, **types) as other:
        with pytest.raises(puna.PunaError, match="type_k"):
            other.load(saved)
        assert other.n_past() == 0


def test_a_state_of_another_model_is_refused(session):
    session.eval(A)
    saved = session.save()
    with puna.Session(core.tiny_model(seed=1), n_ctx=64, type_k="f32", type_v="f32") as other:
        other.eval(B)
        with pytest.raises(puna.PunaError, match="another model"):
            other.load(saved)
        assert other.tokens() == B


@pytest.mark.parametrize("cut", [0, 1, 8, 40, 100, -1])
def test_a_state_that_is_cut_is_refused_and_nothing_changes(session, cut):
    session.eval(A)
    saved = session.save()
    with pytest.raises(puna.PunaError):
        session.load(saved[:cut], 1)
    assert (session.tokens(0), session.n_past(1)) == (A, 0)


def test_a_state_that_does_not_fit_is_refused(model, session):
    session.eval([5] * 20)
    saved = session.save()
    with (
        puna.Session(model, n_ctx=16, type_k="f32", type_v="f32") as other,
        pytest.raises(puna.errors.ContextError, match="20"),
    ):
        other.load(saved)


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda s: s.eval([]), "ArgumentError", "sequence 0: no tokens"),
        (lambda s: s.eval({9: A}), "ArgumentError", "9"),
        (lambda s: s.eval({-1: A}), "ArgumentError", "seq = -1"),
        (lambda s: s.eval([100000]), "TokenError", "100000"),
        (lambda s: s.eval("ab"), "ArgumentError", "expected a list of token ids"),
        (lambda s: s.eval([5] * 200), "ContextError", "128"),
        (lambda s: s.copy(0, 9), "ArgumentError", "9"),
        (lambda s: s.copy(0, 1, 5), "ArgumentError", "n = 5, expected a whole number, 0 to 0"),
        (lambda s: s.remove(9), "ArgumentError", "9"),
        (lambda s: s.load(b"nonsense"), "ArgumentError", "saved sequence = other bytes"),
    ],
)
def test_what_cannot_be_is_named(session, call, kind, says):
    with pytest.raises(getattr(puna.errors, kind)) as caught:
        call(session)
    assert says in str(caught.value)
    assert session.eval(A).shape == (1, session.n_vocab)  # and the session lives


def test_a_full_batch_is_taken_back_whole(session):
    session.eval(A)
    with pytest.raises(puna.errors.ContextError):
        session.eval({0: [5] * 100, 1: [5] * 100})
    assert (session.tokens(0), session.n_past(1)) == (A, 0)


def test_states_are_kept_only_where_they_are_asked_for(model):
    with puna.Session(model, n_ctx=16) as session:
        session.eval(A)
        with pytest.raises(puna.errors.UnsupportedError, match="hidden = False"):
            session.hidden  # noqa: B018
        with pytest.raises(puna.errors.ArgumentError, match="all = True, expected False"):
            session.eval(B, all=True)


def test_a_closed_session_says_so(model):
    session = puna.Session(model, n_ctx=16)
    session.close()
    with pytest.raises(puna.errors.ClosedError):
        session.eval(A)


def test_a_model_serves_several_sessions(model):
    with puna.Session(model, n_ctx=16) as one, puna.Session(model, n_ctx=32) as two:
        assert rows(one.eval(A)) == rows(two.eval(A))
        assert (one.n_ctx, two.n_ctx) == (16, 32)


def test_an_override_takes_the_place_of_a_value(tiny, model):
    base = {"llama.rope.freq_base": 500.0}
    assert rows(alone(puna.Model(tiny, kv_overrides=base), A)) != rows(alone(model, A))
    assert rows(alone(model, A, rope_freq_base=500.0)) == rows(alone(puna.Model(tiny, kv_overrides=base), A))


@pytest.mark.parametrize("type_", ["f16", "f32"])
def test_types_of_the_cache_say_nearly_the_same(model, session, type_):
    with puna.Session(model, n_ctx=64, type_k=type_, type_v=type_) as other:
        assert near(other.eval(A), session.eval(A), 0.05)


def test_a_stretch_to_remove_does_not_end_before_it_begins(tiny):
    with puna.Session(tiny, n_ctx=16) as session:
        session.eval([5, 6, 7])
        with pytest.raises(puna.errors.ArgumentError, match="stop = 1, expected a whole number, 2 to"):
            session.remove(0, 2, 1)
        assert session.n_past() == 3


def test_a_state_that_cannot_be_written_names_the_file_asked_for(tiny, tmp_path):
    path = tmp_path / "nowhere" / "x"
    with puna.Session(tiny, n_ctx=16) as session:
        session.eval([5])
        with pytest.raises(puna.errors.MissingFileError) as caught:
            session.save(0, path)
    assert caught.value.filename == str(path)
    assert str(caught.value).startswith(f"{path}: ")
