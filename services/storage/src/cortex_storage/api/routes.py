"""The five routes. Files come and go as streams: no request's memory grows with its file."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from cortex_core.chassis import ProtectedRoute, problems, requires, respond, use_cases
from cortex_core.chassis.problems import MEDIA_TYPE, Answered
from cortex_core.ipfs import Cid, InvalidCid
from cortex_core.kernel import CortexError, Kind
from cortex_core.kernel.clock import rfc3339
from cortex_storage.api.multipart import FormFile, MalformedForm, NoFileInForm, SeveralFilesInForm
from cortex_storage.api.ranges import RangeNotSatisfiable, matches, requested_range
from cortex_storage.domain import (
    FileDamaged,
    FileNotFound,
    FileTooLarge,
    InvalidCursor,
    StorageUnavailable,
    StoredFile,
    media_type_of,
)
from cortex_storage.usecases import UseCases

router = APIRouter(prefix="/storage/files", tags=["files"], route_class=ProtectedRoute)
UseCasesDep = Annotated[UseCases, Depends(use_cases)]

_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_AS_STORED: Final = {"application/octet-stream": _BINARY, "*/*": _BINARY}  # the type that it came with
_FORM: Final[dict[str, Any]] = {
    "schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
}
_UPLOAD: Final = {  # not required: no body is an empty file
    "required": False,
    "content": {"application/octet-stream": _BINARY, "multipart/form-data": _FORM},
}
_UNSATISFIABLE: Final = {
    "description": "Range Not Satisfiable: `file.range-not-satisfiable`",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class UploadAborted(CortexError):
    """The client left in the middle. Nobody reads this answer; the log does."""

    code, kind = "upload.aborted", Kind.INVALID

    def __init__(self) -> None:
        super().__init__("the upload ended before the file did")


class View(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class StoredView(View):
    """What was stored."""

    cid: str
    size: int


class FileView(StoredView):
    """A file in the list."""

    media_type: str | None
    created_at: Annotated[str, Field(description="RFC 3339, UTC.", json_schema_extra={"format": "date-time"})]

    @classmethod
    def of(cls, file: StoredFile) -> "FileView":
        return cls(cid=str(file.cid), size=file.size, media_type=file.media_type, created_at=rfc3339(file.created_at))


class FilesView(View):
    """A page of files, the newest first. `nextCursor` is null on the last one."""

    files: list[FileView]
    next_cursor: str | None


@router.post(
    "",
    dependencies=[requires("files:write")],
    status_code=201,
    responses=problems(
        MalformedForm, UploadAborted, FileTooLarge, NoFileInForm, SeveralFilesInForm, StorageUnavailable
    ),
    openapi_extra={"requestBody": _UPLOAD},
)
async def store_file(request: Request, use: UseCasesDep, reply: Response) -> StoredView:
    """Stores the body, or the one file of a form. The same bytes get the same CID, and are stored once."""
    _refuse_declared(request, use.store.max_bytes)
    content, content_type = await _content(request)
    file = await use.store(content, media_type_of(content_type))
    reply.headers["Location"] = f"files/{file.cid}"  # relative: right with and without the gateway's /api
    reply.headers["ETag"] = _etag(file)
    return StoredView(cid=str(file.cid), size=file.size)


@router.get("", dependencies=[requires("files:read")], responses=problems(InvalidCursor))
async def list_files(
    use: UseCasesDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Files a page.")] = 20,
    cursor: Annotated[str | None, Query(description="`nextCursor` of the page before.")] = None,
) -> FilesView:
    """The files stored, the newest first. `cursor` is the last page's `nextCursor`."""
    page = await use.listing(limit=limit, after=_cursor(cursor))
    after = None if page.after is None else str(page.after)
    return FilesView(files=[FileView.of(file) for file in page.files], next_cursor=after)


@router.get(
    "/{cid}",
    dependencies=[requires("files:read")],
    response_class=Response,
    responses={
        200: {"description": "The file", "content": _AS_STORED},
        206: {"description": "The range asked for", "content": _AS_STORED},
        304: {"description": "If-None-Match names the file: it cannot have changed"},
        **problems(InvalidCid, FileNotFound, FileDamaged, StorageUnavailable),
        416: _UNSATISFIABLE,
    },
)
async def get_file(cid: str, request: Request, use: UseCasesDep) -> Response:
    """The file's bytes, each block checked before it is sent. Takes the CID in any base, and one byte range."""
    file = await use.find(Cid.parse(cid))
    headers = _headers(file)
    if matches(request.headers.get("if-none-match"), _etag(file)):
        return Response(status_code=304, headers=headers)
    try:
        part = requested_range(_range_header(request, file), file.size)
    except RangeNotSatisfiable:
        message = f"the file has {file.size} bytes; the range begins behind them"
        error = Answered(416, "file.range-not-satisfiable", message, size=file.size)
        return respond(error, request.url.path, {"Content-Range": f"bytes */{file.size}"})
    start, stop = part or (0, file.size)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    headers["Content-Length"] = str(stop - start)
    pieces = await use.read(file, start, stop)
    return StreamingResponse(pieces, status_code=206 if part else 200, headers=headers, media_type=file.served_as)


@router.head(
    "/{cid}",
    dependencies=[requires("files:read")],
    response_class=Response,
    responses=problems(InvalidCid, FileNotFound),
)
async def head_file(cid: str, use: UseCasesDep) -> Response:
    """What GET would say of the file, without reading it."""
    file = await use.find(Cid.parse(cid))
    return Response(headers=_headers(file) | {"Content-Length": str(file.size)}, media_type=file.served_as)


async def _content(request: Request) -> tuple[AsyncIterator[bytes], str | None]:
    """The file's bytes and the Content-Type that goes with them, from either sort of body."""
    content_type = request.headers.get("content-type")
    if not (content_type or "").lower().startswith("multipart/form-data"):
        return _body(request), content_type
    form = FormFile(content_type or "", _body(request))
    await form.open()
    return aiter(form), form.content_type


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for data in request.stream():
            yield data
    except ClientDisconnect as error:
        raise UploadAborted from error


def _refuse_declared(request: Request, limit: int) -> None:
    """A file that is too large by its own account is refused before it is sent; others as they turn out to be."""
    declared = request.headers.get("content-length", "0")
    if int(declared) > limit + FormFile.MAX_BESIDE:
        raise FileTooLarge(limit)


def _range_header(request: Request, file: StoredFile) -> str | None:
    """The Range header, unless it hangs on another version of the file (If-Range)."""
    condition = request.headers.get("if-range")
    return request.headers.get("range") if condition in (None, _etag(file)) else None


def _cursor(text: str | None) -> Cid | None:
    try:
        return Cid.parse(text).to_v1() if text else None
    except InvalidCid as error:
        raise InvalidCursor from error


def _etag(file: StoredFile) -> str:
    return f'"{file.cid}"'


def _headers(file: StoredFile) -> dict[str, str]:
    return {
        "ETag": _etag(file),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",  # private: whose file it is, the URL does not say
        "Content-Disposition": f'attachment; filename="{file.cid}"',
        "X-Content-Type-Options": "nosniff",
    }
