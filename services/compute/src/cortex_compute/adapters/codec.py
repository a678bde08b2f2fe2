"""Decoding and encoding, by Pillow: the only file that knows it.

Owns what the modes of three formats mean as pixels of red, green, blue and alpha. Gets files whose size was checked and
whose metadata was taken away (see `domain`): Pillow's own check of sizes, a process-wide one, is not asked, and its
readers of text, EXIF and profiles have nothing to read.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageChops, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cortex_compute.domain import Contents, Header, ImageFormat, UnreadableImage, exif_with, is_rgb_profile

_BROKEN: Final = (  # what Pillow's readers raise on files that are not what they say
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
)
_READERS: Final[dict[ImageFormat, type[ImageFile.ImageFile]]] = {  # these and no others: `Image.open` tries forty
    ImageFormat.PNG: PngImageFile,
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.WEBP: WebPImageFile,
}
_SAVE: Final[dict[ImageFormat, dict[str, Any]]] = {
    ImageFormat.PNG: {"compress_level": 4},
    ImageFormat.JPEG: {"quality": 90},
    ImageFormat.WEBP: {"quality": 85, "method": 2},
}


class Picture:
    """A decoded image: its pixels tile by tile, the way the kernels take them."""

    def __init__(self, image: Image.Image, depth: int) -> None:
        self._image = image
        self.width, self.height = image.size
        self.has_alpha = image.has_transparency_data
        self._transparent_value = _rescale_transparency(image, depth)

    def tiles(self, max_pixels: int) -> Iterator[tuple[tuple[int, int, int, int], bytes]]:
        """Each tile's box (left, upper, right, lower) and its pixels, of four bytes each."""
        width = min(self.width, max_pixels)
        height = max(1, max_pixels // width)
        for upper in range(0, self.height, height):
            for left in range(0, self.width, width):
                box = left, upper, min(left + width, self.width), min(upper + height, self.height)
                yield box, self._rgba(self._image.crop(box))

    def _rgba(self, tile: Image.Image) -> bytes:
        if tile.mode == "RGB" and "transparency" not in tile.info:
            return tile.tobytes("raw", "RGBX")  # what it looks like in memory: no conversion, and nobody reads X
        if tile.mode == "I;16":
            tile = self._from_16_bits(tile)
        return tile.convert("RGBA").tobytes()

    def _from_16_bits(self, tile: Image.Image) -> Image.Image:
        """The high byte of each value (Pillow's own conversion clips at 255), with what is transparent made so."""
        values = tile.tobytes()
        low, high = (Image.frombytes("L", tile.size, values[part::2]) for part in (0, 1))
        if self._transparent_value is None:
            return high
        key_high, key_low = divmod(self._transparent_value, 256)
        is_key = ImageChops.darker(_where(high, key_high), _where(low, key_low))
        return Image.merge("LA", (high, ImageChops.invert(is_key)))


class GreyPicture:
    """A picture in the making, from tiles of pixels whose red, green and blue are equal."""

    def __init__(self, width: int, height: int, *, alpha: bool) -> None:
        self._grey = Image.new("L", (width, height))
        self._alpha = Image.new("L", (width, height)) if alpha else None

    def paste(self, box: tuple[int, int, int, int], rgba: memoryview) -> None:
        """Copies the tile: `rgba` is not needed any more when it returns."""
        left, upper, right, lower = box
        size = right - left, lower - upper
        tile = Image.frombuffer("RGBA", size, rgba, "raw", "RGBA", 0, 1)  # type: ignore[arg-type]  # any buffer will do
        self._grey.paste(tile.getchannel("R"), box)
        if self._alpha is not None:
            self._alpha.paste(tile.getchannel("A"), box)

    def encode(self, format: ImageFormat, contents: Contents) -> bytes:  # noqa: A002 - the word for it
        """A file of `format`, shown as the original was: same orientation, and where that had an RGB profile the same,
        which only fits an image with three channels. Any other profile belongs to channels that are gone."""
        options = dict(_SAVE[format])
        if contents.orientation != 1:
            options["exif"] = exif_with(contents.orientation)
        coloured = is_rgb_profile(contents.profile)
        if coloured:
            options["icc_profile"] = contents.profile
        if format is ImageFormat.WEBP:
            options |= {"lossless": True, "exact": True} if contents.lossless else {}
        out = BytesIO()
        self._image(coloured=coloured).save(out, format.value, **options)
        return out.getvalue()

    def _image(self, *, coloured: bool) -> Image.Image:
        bands = [self._grey] * (3 if coloured else 1) + ([self._alpha] if self._alpha is not None else [])
        mode = ("RGB" if coloured else "L") + ("A" if self._alpha is not None else "")
        return self._grey if mode == "L" else Image.merge(mode, bands)


def decode(contents: Contents, header: Header) -> Picture:
    """Raises UnreadableImage."""
    try:
        image = _READERS[header.format](BytesIO(contents.pixels))
        if image.size != (header.width, header.height):
            raise UnreadableImage("an image whose header says two things about its size")
        image.load()
    except _BROKEN as error:
        raise UnreadableImage(f"a broken {header.format.value}: it cannot be decoded") from error
    return Picture(image, contents.depth)


def _rescale_transparency(image: Image.Image, depth: int) -> int | None:
    """PNG names its transparent value in the file's bit depth. Pillow spreads pixels of 2 and 4 bits over 8 and cuts
    those of three 16-bit channels to 8, but leaves that value alone. For `I;16`, which keeps its bits: the value."""
    value = image.info.get("transparency")
    if image.mode == "L" and isinstance(value, int) and depth < 8:
        image.info["transparency"] = value * 255 // ((1 << depth) - 1)
    elif image.mode == "RGB" and isinstance(value, tuple) and depth == 16:
        image.info["transparency"] = tuple(each >> 8 for each in value)
    elif image.mode == "I;16" and isinstance(value, int):
        return value
    return None


def _where(image: Image.Image, value: int) -> Image.Image:
    """255 where `image` has `value`, 0 elsewhere."""
    return image.point([255 if each == value else 0 for each in range(256)])
