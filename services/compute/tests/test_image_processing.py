"""From file to file: what each format and mode becomes, pixel by pixel, and what stays as it was."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from cortex_compute.adapters.kernels import TILE_PIXELS, Kernels, WrongResult, load_module
from cortex_compute.adapters.processor import ImageProcessor, Job
from cortex_compute.domain import Abandoned, Operation, TooLate, UnreadableImage, exif_with, read_header
from cortex_core.wasm import WasmRejected

Encode = Callable[..., bytes]
Colourful = Callable[..., Image.Image]
Oracle = Callable[[bytes], bytes]

PROCESSOR = ImageProcessor(load_module())
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]


def process(body: bytes) -> bytes:
    return PROCESSOR(Job(body, read_header(body), Operation.GRAYSCALE)).body


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def png(
    width: int, depth: int, colour: int, rows: Sequence[bytes], palette: bytes = b"", transparent: bytes = b""
) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))]
    parts += [chunk(b"PLTE", palette)] if palette else []
    parts += [chunk(b"tRNS", transparent)] if transparent else []
    parts += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("mode", "out"), [("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "L"), ("RGB", "L"), ("RGBA", "LA")]
)
def test_a_png_of_any_mode_becomes_grey_and_keeps_its_alpha(
    encode: Encode, colourful: Colourful, oracle: Oracle, mode: str, out: str
) -> None:
    source = colourful(mode)

    made = opened(process(encode(source, "PNG")))

    assert (made.format, made.mode, made.size) == ("PNG", out, source.size)
    assert made.convert("RGBA").tobytes() == oracle(source.convert("RGBA").tobytes())


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_lossless_webp_is_exact_and_stays_lossless(
    encode: Encode, colourful: Colourful, oracle: Oracle, mode: str
) -> None:
    source = colourful(mode)

    made = opened(process(encode(source, "WEBP", lossless=True, exact=True)))

    assert (made.format, made.mode) == ("WEBP", mode)
    assert made.convert("RGBA").tobytes() == oracle(source.convert("RGBA").tobytes())


def test_a_lossy_webp_stays_lossy_and_close(encode: Encode, colourful: Colourful, oracle: Oracle) -> None:
    body = encode(colourful(size=(200, 150)).resize((800, 600)), "WEBP")

    made = process(body)

    want, got = oracle(opened(body).convert("RGBA").tobytes()), opened(made).convert("RGBA").tobytes()
    assert b"VP8 " in made[:40]
    assert sum(abs(one - other) for one, other in zip(want, got, strict=True)) / len(want) < 3


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_made_grey_and_encoded(
    encode: Encode, colourful: Colourful, oracle: Oracle, mode: str
) -> None:
    body = encode(colourful(mode), "JPEG", quality=95)
    decoded = opened(body).convert("RGBA")

    made = process(body)

    expected = Image.frombytes("RGBA", decoded.size, oracle(decoded.tobytes())).getchannel("R")
    assert made == encode(expected, "JPEG", quality=90)


def test_a_jpeg_whose_colours_adobe_encoded_is_understood(encode: Encode) -> None:
    red = Image.new("RGB", (32, 32), (255, 0, 0)).convert("CMYK")

    made = opened(process(encode(red, "JPEG", quality=95)))

    assert all(abs(value - 76) < 6 for value in made.tobytes())


def test_a_progressive_jpeg_and_an_interlaced_read_are_no_different(encode: Encode, colourful: Colourful) -> None:
    plain, progressive = (encode(colourful(), "JPEG", progressive=each) for each in (False, True))

    assert process(plain) == process(progressive)


def test_a_picture_behind_the_picture_does_not_come_back(encode: Encode, colourful: Colourful) -> None:
    made = process(encode(colourful(), "MPO", save_all=True, append_images=[colourful()]))

    assert opened(made).format == "JPEG"


def test_sixteen_bits_of_grey_keep_their_high_byte() -> None:
    values = [0, 255, 256, 0x7FFF, 0x8000, 0xFFFF]

    made = opened(process(png(6, 16, 0, [struct.pack(">6H", *values)])))

    assert list(made.tobytes()) == [value >> 8 for value in values]


def test_sixteen_bits_of_grey_keep_the_value_that_is_transparent() -> None:
    row = struct.pack(">4H", 0x1234, 0x1235, 0x1334, 0x1234)

    made = opened(process(png(4, 16, 0, [row], transparent=b"\x12\x34")))

    assert list(made.getchannel("A").tobytes()) == [0, 255, 255, 0]


def test_sixteen_bits_of_colour_keep_the_colour_that_is_transparent() -> None:
    row = struct.pack(">6H", 0xFF00, 0, 0, 0, 0xFF00, 0)

    made = opened(process(png(2, 16, 2, [row], transparent=struct.pack(">3H", 0, 0xFF00, 0))))

    assert list(made.tobytes()) == [76, 255, 150, 0]


@pytest.mark.parametrize(("colour", "bands"), [(4, 2), (6, 4)])
def test_sixteen_bits_with_alpha(colour: int, bands: int) -> None:
    row = struct.pack(f">{bands}H", *[0x8012] * (bands - 1), 0x4034)

    assert list(opened(process(png(1, 16, colour, [row]))).tobytes()) == [0x80, 0x40]


@pytest.mark.parametrize(("depth", "row", "value"), [(2, 0b00_01_10_11, 85), (4, 0x0F, 17)])
def test_few_bits_of_grey_are_spread_and_keep_the_value_that_is_transparent(depth: int, row: int, value: int) -> None:
    width = 8 // depth

    made = opened(process(png(width, depth, 0, [bytes([row])], transparent=b"\0\x01" if depth == 2 else b"\0\x0f")))

    shades = [row >> (8 - depth * (at + 1)) & ((1 << depth) - 1) for at in range(width)]
    key = 1 if depth == 2 else 15
    assert list(made.getchannel("L").tobytes()) == [shade * value for shade in shades]
    assert list(made.getchannel("A").tobytes()) == [0 if shade == key else 255 for shade in shades]


@pytest.mark.parametrize("transparent", [b"\x00", b"\xff\x00", b"\x80\x10\xff\x00"])
def test_a_palettes_alpha_is_kept(oracle: Oracle, transparent: bytes) -> None:
    palette = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7))
    colours = [palette[at : at + 3] + (transparent + b"\xff" * 4)[at // 3 :][:1] for at in range(0, 12, 3)]

    made = opened(process(png(4, 8, 3, [bytes((0, 1, 2, 3))], palette, transparent)))

    assert made.convert("RGBA").tobytes() == oracle(b"".join(colours))


@pytest.mark.parametrize("size", [(TILE_PIXELS + 3, 1), (1, 3001), (513, 1030), (TILE_PIXELS // 64, 65)])
def test_pictures_of_many_tiles_are_put_together_right(encode: Encode, oracle: Oracle, size: tuple[int, int]) -> None:
    data = random.Random(size[0]).randbytes(size[0] * size[1] * 3)
    source = Image.frombytes("RGB", size, data)

    made = opened(process(encode(source, "PNG", compress_level=1)))

    assert made.convert("RGBA").tobytes() == oracle(source.convert("RGBA").tobytes())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_is_kept_as_it_is_and_nothing_else_of_exif(
    encode: Encode, colourful: Colourful, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif.get_ifd(0x8825)[1] = orientation, "Maker", "N"

    made = opened(process(encode(colourful(), kind, exif=exif)))

    assert made.size == (67, 41)
    assert dict(made.getexif()) == {0x0112: orientation}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_metadata_appears_where_there_was_none(encode: Encode, colourful: Colourful, kind: str) -> None:
    made = opened(process(encode(colourful(), kind)))

    assert not made.getexif()
    assert "icc_profile" not in made.info


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_rgb_profile_is_kept_with_the_three_channels_it_speaks_of(
    encode: Encode, colourful: Colourful, kind: str, mode: str
) -> None:
    if kind == "JPEG":
        mode = "RGB"

    made = opened(process(encode(colourful(mode), kind, icc_profile=SRGB)))

    assert made.info["icc_profile"] == SRGB
    assert made.mode == mode
    if kind == "PNG":  # the others' colour spaces round
        assert made.getchannel("R").tobytes() == made.getchannel("G").tobytes() == made.getchannel("B").tobytes()


@pytest.mark.parametrize(("mode", "profile"), [("CMYK", SRGB[:16] + b"CMYK" + SRGB[20:]), ("L", GREY_PROFILE)])
def test_a_profile_of_other_channels_is_left_out(
    encode: Encode, colourful: Colourful, mode: str, profile: bytes
) -> None:
    made = opened(process(encode(colourful(mode), "JPEG", icc_profile=profile)))

    assert "icc_profile" not in made.info
    assert made.mode == "L"


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
