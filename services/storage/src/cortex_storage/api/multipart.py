"""One file out of a `multipart/form-data` body (RFC 7578), as it streams by: nothing is spooled.

Owns what is taken: exactly one part with a file name; fields beside it are passed over. Everything outside of the file
is bounded. The parsing itself is python-multipart's.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, ClassVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from cortex_core.kernel import CortexError, Kind

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # exists for type checkers only


class MalformedForm(CortexError):
    """Not a multipart/form-data body, or cut off."""

    code, kind = "upload.malformed-form", Kind.INVALID


class NoFileInForm(CortexError):
    """A form, but no part of it is a file."""

    code, kind = "upload.no-file", Kind.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("the form has no part with a file name (curl: -F file=@PATH)")


class SeveralFilesInForm(CortexError):
    """More files than one. None of them was stored."""

    code, kind = "upload.several-files", Kind.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("the form has more than one file; send one a request")


class FormFile:
    """The file in a form. `await open()` reads as far as its headers; iterating then gives its bytes, to the end."""

    MAX_BESIDE: ClassVar[int] = 1 << 20
    """Bytes of the body that may be none of the file's: headers, other fields, what follows the end."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        """Raises MalformedForm where `content_type` names no usable boundary."""
        _, options = parse_options_header(content_type)
        self._body = body
        self._parts = _Parts()
        self._beside = 0
        try:
            self._parser = MultipartParser(options.get(b"boundary", b""), self._parts.callbacks())
        except FormParserError as error:
            raise MalformedForm(f"the form's boundary: {error}") from error
        if not options.get(b"boundary"):
            raise MalformedForm("the Content-Type names no boundary")

    @property
    def content_type(self) -> str | None:
        """The file part's own, once opened."""
        return self._parts.content_type

    async def open(self) -> None:
        """Raises MalformedForm, NoFileInForm."""
        while not self._parts.found:
            await self._feed()
            if self._parts.ended and not self._parts.found:
                raise NoFileInForm

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The file's bytes. Raises MalformedForm and SeveralFilesInForm, the latter only once it is seen: then what was
        given is not to be kept."""
        while True:
            for data in self._parts.take():
                yield data
            if self._parts.ended:
                break
            await self._feed()
        async for data in self._body:
            self._count_beside(len(data))

    async def _feed(self) -> None:
        data = await anext(self._body, None)
        if data is None:
            raise MalformedForm("the form ends in the middle")
        of_file = self._parts.bytes_of_file
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedForm(f"not a form: {error}") from error
        self._count_beside(len(data) - (self._parts.bytes_of_file - of_file))

    def _count_beside(self, count: int) -> None:
        self._beside += count
        if self._beside > self.MAX_BESIDE:
            raise MalformedForm(f"more than {self.MAX_BESIDE} bytes beside the file")


class _Parts:
    """What the parser saw: the state its callbacks write."""

    def __init__(self) -> None:
        self.found = False  # the headers of the file part have been read
        self.ended = False  # the closing boundary has been read
        self.content_type: str | None = None
        self.bytes_of_file = 0
        self._in_file = False
        self._pieces: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if not options.get(b"filename"):  # a field; or, with an empty name, a file input that nothing was put in
            return
        if self.found:
            raise SeveralFilesInForm
        self.found = self._in_file = True
        content_type = self._headers.get(b"content-type")
        self.content_type = content_type.decode("latin-1") if content_type is not None else None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pieces.append(data[start:end])
            self.bytes_of_file += end - start

    def _part_end(self) -> None:
        self._in_file = False

    def _end(self) -> None:
        self.ended = True
