"""Routes: an image in, an image out."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cortex_compute.domain import (
    AnimatedImage,
    EmptyImage,
    ImageFormat,
    ImageNeedsTooMuch,
    ImageTooLarge,
    MemoryInUse,
    Operation,
    Overloaded,
    ProcessedImage,
    TooLate,
    UnknownOperation,
    UnreadableImage,
    UnsupportedFormat,
    refuse,
)
from cortex_compute.ports import Room
from cortex_compute.usecases import UseCases
from cortex_core.asgi import RequestTooLarge
from cortex_core.chassis import ProtectedRoute, problems, requires, use_cases

PIECE = 1 << 16  # bytes of an answer that are sent at once
CLIENT_CLOSED_REQUEST = 499  # nginx's number for an answer that nobody read

UseCasesDep = Annotated[UseCases, Depends(use_cases)]
OperationName = Annotated[
    str,
    Query(
        description=f"What to do: {', '.join(Operation)}.",
        examples=["grayscale"],
        json_schema_extra={"enum": [each.value for each in Operation]},
    ),
]

router = APIRouter(prefix="/compute", tags=["images"], route_class=ProtectedRoute)

_BINARY = {each.media_type: {"schema": {"type": "string", "format": "binary"}} for each in ImageFormat}


@router.post(
    "/images",
    dependencies=[requires("images:write")],
    summary="Process an image",
    response_class=Response,
    openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
    responses={
        200: {"description": "The image, in the format it came in", "content": _BINARY},
        **problems(
            EmptyImage,
            ImageTooLarge,
            ImageNeedsTooMuch,
            RequestTooLarge,
            UnsupportedFormat,
            UnreadableImage,
            AnimatedImage,
            UnknownOperation,
            Overloaded,
            MemoryInUse,
            TooLate,
        ),
    },
)
async def process_image(request: Request, operation: OperationName, use: UseCasesDep) -> Response:
    """The body is the file itself. What it is is read from its first bytes; the content type sent is not believed."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise refuse("multipart/form-data")
    room = use.room()
    try:
        image = await _while_connected(request, partial(use.process, operation, length=_length(request), room=room))
    except ClientDisconnect:
        room.release()
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        room.release()
        raise
    return ImageResponse(image, room)


class ImageResponse(Response):
    """The image in pieces, each after the client has taken the one before: its memory is given back when it is sent,
    and not when it is in the server's buffers."""

    def __init__(self, image: ProcessedImage, room: Room) -> None:
        super().__init__(media_type=image.format.media_type, headers={"Content-Length": str(len(image.body))})
        self._image = image
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI calls it
        whole = memoryview(self._image.body)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(whole), PIECE):
                piece = bytes(whole[start : start + PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": start + PIECE < len(whole)})
        finally:
            self._room.release()


def _length(request: Request) -> int | None:
    """What the client says its body has: it was believed before, by the server that reads no more than that."""
    told = request.headers.get("content-length", "")
    return int(told) if told.isdigit() else None


async def _while_connected(
    request: Request, work: Callable[[Callable[[], Awaitable[bytes]]], Awaitable[ProcessedImage]]
) -> ProcessedImage:
    """What `work` makes of the body. When the client leaves, `work` is cancelled and ClientDisconnect raised."""
    body_read = asyncio.Event()

    async def read_body() -> bytes:
        body = io.BytesIO()  # `request.body()` would have it twice, in pieces and whole, and keep it
        async for piece in request.stream():
            body.write(piece)
        body_read.set()
        return body.getvalue()

    async def gone() -> None:
        await body_read.wait()  # until then a client that leaves ends the reading
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def working() -> ProcessedImage:
        return await work(read_body)

    working_task, gone_task = asyncio.create_task(working()), asyncio.create_task(gone())
    try:
        await asyncio.wait({working_task, gone_task}, return_when=asyncio.FIRST_COMPLETED)
        if not working_task.done():
            raise ClientDisconnect
        return working_task.result()
    finally:
        working_task.cancel()
        gone_task.cancel()
        await asyncio.gather(working_task, gone_task, return_exceptions=True)
