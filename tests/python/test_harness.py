"""What the other tests take for granted wherever they run: natively, in Node, in Chromium."""

import asyncio


def test_asyncio_run_waits():
    async def three() -> int:
        await asyncio.sleep(0.01)
        return 3

    assert asyncio.run(three()) == 3


def test_golden_files_are_there(golden):
    assert (golden / "logits/README.md").read_text(encoding="utf-8")


def test_data_is_read_where_it_is_given(data):
    assert (data / "models/stories260K.gguf").read_bytes()[:4] == b"GGUF"
