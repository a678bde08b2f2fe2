"""Routes: an image in, an image out."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from cortex_compute.domain import (
    AnimatedImage,
    EmptyImage,
    ImageFormat,
    ImageTooLarge,
    Operation,
    Overloaded,
    ProcessedImage,
    TooLate,
    UnknownOperation,
    UnreadableImage,
    UnsupportedFormat,
    refuse,
)
from cortex_compute.usecases import UseCases
from cortex_core.asgi import RequestTooLarge
from cortex_core.chassis import ProtectedRoute, problems, requires, use_cases

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
            RequestTooLarge,
            UnsupportedFormat,
            UnreadableImage,
            AnimatedImage,
            UnknownOperation,
            Overloaded,
            TooLate,
        ),
    },
)
async def process_image(request: Request, operation: OperationName, use: UseCasesDep) -> Response:
    """The body is the file itself. What it is is read from its first bytes; the content type sent is not believed."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise refuse("multipart/form-data")
    try:
        image = await _while_connected(request, partial(use.process, operation))
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return Response(image.body, media_type=image.format.media_type)


async def _while_connected(
    request: Request, work: Callable[[Callable[[], Awaitable[bytes]]], Awaitable[ProcessedImage]]
) -> ProcessedImage:
    """What `work` makes of the body. When the client leaves, `work` is cancelled and ClientDisconnect raised."""
    body_read = asyncio.Event()

    async def read_body() -> bytes:
        body = await request.body()
        body_read.set()
        return body

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
