"""PNG by hand, held against Pillow."""

import io

import pytest
from PIL import Image

from cortex_cli.demo.png import Picture, colourful, read_png


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_pillow_writes_is_read_as_pillow_reads_it(mode: str) -> None:
    picture = colourful(61, 47)
    image = Image.frombytes("RGB", (61, 47), picture.pixels).convert(mode)
    written = io.BytesIO()
    image.save(written, "PNG")  # Pillow chooses filters row by row: all five occur

    assert read_png(written.getvalue()) == Picture(61, 47, image.convert("RGB").tobytes())


def test_what_is_written_pillow_reads() -> None:
    picture = colourful(31, 17)

    with Image.open(io.BytesIO(picture.to_png())) as image:
        assert (image.mode, image.size) == ("RGB", (31, 17))
        assert image.tobytes() == picture.pixels


def test_grey_is_the_luma_of_every_pixel() -> None:
    picture = colourful(20, 10)
    grey = Image.frombytes("RGB", (20, 10), picture.pixels).convert("L").convert("RGB").tobytes()  # BT.601, too
    off_by_one = bytes([grey[0] ^ 1, *grey[1:]])

    assert Picture(20, 10, grey).is_grey_of(picture)
    assert not Picture(20, 10, off_by_one).is_grey_of(picture)
    assert not Picture(10, 20, grey).is_grey_of(picture)
    assert not picture.is_grey_of(picture)


@pytest.mark.parametrize("mode", ["P", "1", "I;16"])
def test_other_pngs_are_refused(mode: str) -> None:
    written = io.BytesIO()
    Image.new(mode, (4, 4)).save(written, "PNG")

    with pytest.raises(ValueError, match="not read here"):
        read_png(written.getvalue())


def test_what_is_no_png_is_refused() -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        read_png(b"GIF89a")
