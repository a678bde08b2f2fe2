"""An image may come encoded, and is bounded by what it decodes to."""

import gzip
from collections.abc import Callable
from typing import Any

from PIL import Image

Compute = Any  # conftest's


async def test_it_is_processed(
    compute: Compute, encode: Callable[..., bytes], colourful: Callable[..., Image.Image]
) -> None:
    body = encode(colourful(), "PNG")
    plain = await compute.post(body)

    status, _, answer = await compute.post(gzip.compress(body), Content_Encoding="gzip")

    assert (status, answer) == (200, plain[2])


async def test_a_bomb_is_refused(compute: Compute) -> None:
    bomb = gzip.compress(bytes((32 << 20) + 1), 1)

    assert (await compute.problem(bomb, Content_Encoding="gzip"))["code"] == "request.too-large"
