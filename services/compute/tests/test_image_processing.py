"""From file to file: what each format and mode becomes, pixel by pixel, and what stays as it was."""

import random
import struct

import pytest
from PIL import Image

from cortex_compute.adapters.kernels import TILE_PIXELS

from .image_jobs import GREY_PROFILE, SRGB, Colourful, Encode, Oracle, opened, png, process


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
