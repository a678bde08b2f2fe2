"""Headers, containers and what is sniffed: decided before anything is decoded."""

import io
import struct
import time
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageCms

from cortex_compute.domain import (
    AnimatedImage,
    EmptyImage,
    ImageFormat,
    ImageTooLarge,
    UnreadableImage,
    UnsupportedFormat,
    exif_with,
    read_header,
    take_apart,
)
from cortex_compute.domain.metadata import MAX_PROFILE, orientation_of

Encode = Callable[..., bytes]
Colourful = Callable[..., Image.Image]

PNG = b"\x89PNG\r\n\x1a\n"
FORMATS = ["PNG", "JPEG", "WEBP"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + chunk(b"IHDR", ihdr) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": exif_with(6)}),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (67, 41), (300, 2)])
def test_the_header_says_format_and_size(
    encode: Encode, colourful: Colourful, kind: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    header = read_header(encode(colourful(size=size), kind, **options))

    assert (header.format.value.upper(), header.width, header.height, header.animated) == (kind, *size, False)


def test_a_picture_with_alpha_has_a_header_too(encode: Encode, colourful: Colourful) -> None:
    header = read_header(encode(colourful("RGBA"), "WEBP"))

    assert (header.width, header.height) == (67, 41)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animation_is_seen(encode: Encode, colourful: Colourful, kind: str) -> None:
    frames = [colourful(), colourful().rotate(180)]
    header = read_header(encode(frames[0], kind, save_all=True, append_images=frames[1:]))

    with pytest.raises(AnimatedImage):
        header.refuse_above(1_000_000)


def test_the_limit_is_on_pixels_and_is_allowed_itself() -> None:
    header = read_header(png_of(100, 30))

    header.refuse_above(3000)
    with pytest.raises(ImageTooLarge, match="100 by 30 pixels are more than the 2999 taken"):
        header.refuse_above(2999)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gif", b"GIF89a" + bytes(40)),
        ("bmp", b"BM" + bytes(40)),
        ("tiff", b"II*\0" + bytes(40)),
        ("tiff", b"MM\0*" + bytes(40)),
        ("avif", b"\0\0\0\x1cftypavif" + bytes(40)),
        ("heif", b"\0\0\0\x1cftypheic" + bytes(40)),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ],
)
def test_another_format_is_named_and_refused(name: str, body: bytes) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        read_header(body)

    assert caught.value.details == {"format": name, "supported": ["png", "jpeg", "webp"]}


def test_nothing_is_no_image() -> None:
    with pytest.raises(EmptyImage):
        read_header(b"")


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"\0",
        PNG,
        PNG + bytes(40),
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\0\x02\xff\xd9",
        b"\xff\xd8\xff\xda\0\x02",
        b"RIFF\x10\0\0\0WEBP",
        b"RIFF\x10\0\0\0WEBPVP8X" + bytes(4),
        png_of(0, 5),
        png_of(1 << 31, 1),
        png_of(5, 5)[:40],
        PNG + chunk(b"IHDR", bytes((0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0))) + chunk(b"IEND"),
    ],
)
def test_what_has_no_header_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableImage):
        read_header(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PNG + png_of(9, 9)[8:33] + chunk(b"tEXt") * 1_000_000, id="png-chunks"),
        pytest.param(b"\xff\xd8" + b"\xff\xe1\0\x02" * 3_000_000, id="jpeg-segments"),
        pytest.param(b"\xff\xd8" + b"\xff" * 12_000_000, id="jpeg-fill"),
        pytest.param(b"\xff\xd8\xff\x01" + b"\xff\xd0" * 6_000_000, id="jpeg-restart-markers"),
    ],
)
def test_a_header_that_goes_on_for_ever_is_not_followed(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(UnreadableImage):
        read_header(body)

    assert time.process_time() - began < 0.1  # all of it would take seconds


@pytest.mark.parametrize("kind", FORMATS)
def test_the_decoder_gets_the_same_pixels_and_no_metadata(encode: Encode, colourful: Colourful, kind: str) -> None:
    options = {"exif": exif_with(6), "icc_profile": SRGB, "comment": b"secret", "xmp": b"secret"}
    body = encode(colourful(), kind, **options, **({"lossless": True} if kind == "WEBP" else {}))

    contents = take_apart(ImageFormat(kind.lower()), body)

    assert (contents.orientation, contents.profile) == (6, SRGB)
    assert not any(each in contents.pixels for each in (b"secret", b"Exif", b"EXIF", b"acsp"))
    with Image.open(io.BytesIO(contents.pixels)) as bare, Image.open(io.BytesIO(body)) as whole:
        assert bare.tobytes() == whole.tobytes()
        assert not bare.getexif()


def test_text_in_a_png_is_never_inflated(encode: Encode, colourful: Colourful) -> None:
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50 << 20))) * 4
    body = encode(colourful(), "PNG")

    contents = take_apart(ImageFormat.PNG, body[:33] + bomb + body[33:])

    assert contents.pixels == body


@pytest.mark.parametrize("data", [b"name\0\0" + zlib.compress(bytes(50 << 20)), b"name\0\0garbage", b"", b"no end"])
def test_a_profile_that_is_a_bomb_or_damaged_is_left_out(encode: Encode, colourful: Colourful, data: bytes) -> None:
    body = encode(colourful(), "PNG")

    contents = take_apart(ImageFormat.PNG, body[:33] + chunk(b"iCCP", data) + body[33:])

    assert contents.profile is None
    assert contents.pixels == body


def test_a_jpegs_profile_in_parts_is_put_together_and_an_incomplete_one_left_out(
    encode: Encode, colourful: Colourful
) -> None:
    profile = SRGB + bytes(range(256)) * 600  # 150 KB: three parts
    body = encode(colourful(), "JPEG", icc_profile=profile)
    assert take_apart(ImageFormat.JPEG, body).profile == profile

    torn = body.replace(b"ICC_PROFILE\0\x02\x03", b"ICC_PROFILE\0\x01\x03")
    assert torn != body
    assert take_apart(ImageFormat.JPEG, torn).profile is None


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_profile_above_its_bound_is_left_out(encode: Encode, colourful: Colourful, kind: str) -> None:
    body = encode(colourful(), kind, icc_profile=SRGB + bytes(MAX_PROFILE))

    assert take_apart(ImageFormat(kind.lower()), body).profile is None


def test_the_picture_behind_the_picture_is_left_out(encode: Encode, colourful: Colourful) -> None:
    body = encode(colourful(), "MPO", save_all=True, append_images=[colourful().rotate(180)])

    contents = take_apart(ImageFormat.JPEG, body)

    assert b"MPF\0" in body
    assert b"MPF\0" not in contents.pixels


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_container_cut_short_is_unreadable(encode: Encode, colourful: Colourful, kind: str, part: float) -> None:
    body = encode(colourful(), kind)

    with pytest.raises(UnreadableImage, match="truncated"):
        take_apart(ImageFormat(kind.lower()), body[: int(len(body) * part)])


def test_damage_in_a_chunk_that_matters_is_found(encode: Encode, colourful: Colourful) -> None:
    body = bytearray(encode(colourful(), "PNG"))
    body[60] ^= 1

    with pytest.raises(UnreadableImage, match="IDAT chunk is damaged"):
        take_apart(ImageFormat.PNG, bytes(body))


def test_a_jpeg_of_very_many_scans_is_refused(encode: Encode, colourful: Colourful) -> None:
    body = encode(colourful(), "JPEG", progressive=True)
    scan = body[body.index(b"\xff\xda") :]

    with pytest.raises(UnreadableImage, match="100 scans"):
        take_apart(ImageFormat.JPEG, body[:-2] + scan * 11)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_orientation_is_read_in_either_byte_order(orientation: int, byteorder: str) -> None:
    mark = b"II*\0" if byteorder == "<" else b"MM\0*"
    entries = struct.pack(f"{byteorder}HHHIHH", 2, 0x010F, 2, 1, 65, 0)
    entries += struct.pack(f"{byteorder}HHIHH", 0x0112, 3, 1, orientation, 0)

    assert orientation_of(b"Exif\0\0" + mark + struct.pack(f"{byteorder}I", 8) + entries) == orientation
    assert orientation_of(exif_with(orientation)) == orientation


def test_pillow_reads_the_orientation_we_write() -> None:
    exif = Image.Exif()
    exif.load(exif_with(5))

    assert dict(exif) == {0x0112: 5}


@pytest.mark.parametrize(
    "exif",
    [
        None,
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        exif_with(0),
        exif_with(9),
        exif_with(6)[:20],
        b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(30),
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(30),
        b"not exif at all, but long enough to be",
    ],
)
def test_an_exif_block_without_a_sound_orientation_means_upright(exif: bytes | None) -> None:
    assert orientation_of(exif) == 1
