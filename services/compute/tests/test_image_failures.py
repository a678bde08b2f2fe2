"""What is no picture, what nobody waits for, and a sandbox in trouble."""

import io
import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cortex_compute.adapters.kernels import Kernels, WrongResult, load_module
from cortex_compute.adapters.processor import ImageProcessor, Job
from cortex_compute.domain import Abandoned, Operation, TooLate, UnreadableImage, exif_with, read_header
from cortex_core.wasm import WasmRejected

from .image_jobs import PROCESSOR, SRGB, Colourful, Encode, opened, process


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("part", [0.5, 0.8, 0.97])
def test_a_truncated_file_is_unreadable(encode: Encode, colourful: Colourful, kind: str, part: float) -> None:
    body = encode(colourful(size=(300, 300)), kind)

    with pytest.raises(UnreadableImage):
        process(body[: int(len(body) * part)])


def test_two_sizes_in_one_file_are_unreadable(encode: Encode, colourful: Colourful) -> None:
    body = encode(colourful(), "JPEG")
    frame = body[body.index(b"\xff\xc0") :][:19]
    larger = frame[:5] + struct.pack(">HH", 60_000, 60_000) + frame[9:]

    with pytest.raises(UnreadableImage):
        process(body.replace(frame, frame + larger))


def _original(kind: str, **options: Any) -> bytes:
    image = Image.frombytes("RGB", (40, 30), random.Random(kind).randbytes(40 * 30 * 3))
    out = io.BytesIO()
    image.save(out, kind, exif=exif_with(6), icc_profile=SRGB, **options)
    return out.getvalue()


ORIGINALS = [
    _original("PNG"),
    _original("JPEG"),
    _original("JPEG", progressive=True),
    _original("WEBP"),
    _original("WEBP", lossless=True),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about files that are odd
@settings(deadline=None, max_examples=300)  # a busy machine is not a failure
@given(st.sampled_from(ORIGINALS), st.data())
def test_a_damaged_file_is_an_image_or_unreadable_and_nothing_else(original: bytes, data: st.DataObject) -> None:
    body = bytearray(original)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(12, len(original)))
        cut = data.draw(st.sampled_from([0, 1, 1, 4, 30]))
        body[at : at + cut] = data.draw(st.binary(max_size=4))

    try:
        header = read_header(bytes(body))
        if header.width * header.height > 1_000_000 or header.animated:
            return  # refused by its header
        made = PROCESSOR(Job(bytes(body), header, Operation.GRAYSCALE))
    except UnreadableImage:
        return
    assert opened(made.body).size == (header.width, header.height)


def test_what_nobody_waits_for_is_broken_off(encode: Encode, colourful: Colourful) -> None:
    body = encode(colourful(), "PNG")
    job = Job(body, read_header(body), Operation.GRAYSCALE)
    job.abandoned.set()

    with pytest.raises(Abandoned):
        PROCESSOR(job)


def test_what_waited_beyond_its_deadline_is_not_begun(encode: Encode, colourful: Colourful) -> None:
    body = encode(colourful(), "PNG")
    processor = ImageProcessor(load_module(), monotonic=lambda: 100.0)

    with pytest.raises(TooLate):
        processor(Job(body, read_header(body), Operation.GRAYSCALE, deadline=100.0))
    assert processor(Job(body, read_header(body), Operation.GRAYSCALE, deadline=100.1)).body


def test_after_an_error_of_the_sandbox_the_thread_gets_new_kernels(encode: Encode, colourful: Colourful) -> None:
    body = encode(colourful(), "PNG")
    job = Job(body, read_header(body), Operation.GRAYSCALE)
    processor = ImageProcessor(load_module())
    good = processor(job).body
    broken = processor._thread.kernels
    broken._instance._trapped = True

    with pytest.raises(Exception, match="trapped before"):
        processor(job)

    assert processor(job).body == good
    assert processor._thread.kernels is not broken


def test_the_check_notices_a_module_that_computes_something_else() -> None:
    kernels: Any = Kernels(load_module())
    kernels.check()

    kernels._instance.call = lambda *ignored: None  # a kernel that does nothing

    with pytest.raises(WrongResult):
        kernels.check()


def test_an_operation_the_module_does_not_have_is_refused() -> None:
    with pytest.raises(WasmRejected, match="exports no function"):
        load_module().instantiate().call("sharpen")
