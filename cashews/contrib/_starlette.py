"""Streamed responses of Starlette as results of cached functions: written down while they pass, and replayed.

Starlette is imported when the first of them is replayed, by a program that has it. `import cashews` loads this module,
so it loads nothing that a program without streams does not need.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from cashews._log import logger
from cashews.strategies.replay import RECORDERS, Recorder, Tap

if TYPE_CHECKING:
    from cashews.contrib.http.record import StoredResponse

KIND: Final = "starlette.responses.StreamingResponse"
MOST_BYTES: Final = 8 * 2**20
"""The longest body that is written down."""
PIECE: Final = 256 * 2**10
"""The most bytes of a replayed body in one message."""


class StreamRecorder(Recorder):
    """Writes down status, fields and body of a `StreamingResponse`, as its function has returned it."""

    def record(self, result: Any, ended: Callable[[object], Awaitable[None]]) -> StreamTap:
        from cashews.contrib.http.record import StoredResponse  # noqa: PLC0415  see above

        head = StoredResponse(result.status_code, tuple(result.raw_headers), b"", 0.0, 0.0)
        result.body_iterator = tap = StreamTap(result.body_iterator, result.charset, head, ended)
        return tap

    def replay(self, state: StoredResponse) -> Any:
        from starlette.responses import StreamingResponse  # noqa: PLC0415  see above

        response = StreamingResponse(pieces_of(state.body), state.status)
        response.raw_headers = list(state.pairs)
        return response

    def pack(self, state: StoredResponse) -> bytes:
        return state.pack()

    def unpack(self, payload: bytes) -> StoredResponse:
        from cashews.contrib.http.record import StoredResponse, unpack  # noqa: PLC0415  see above

        state = unpack(payload)
        if not isinstance(state, StoredResponse):
            raise ValueError(KIND)  # noqa: TRY004  the bytes are damaged
        return state


class StreamTap(Tap):
    """The body of a response on its way to the one client that reads it."""

    def __init__(
        self,
        body: AsyncIterable[Any],
        charset: str,
        head: StoredResponse,
        ended: Callable[[object], Awaitable[None]],
    ) -> None:
        self._body = aiter(body)
        self._charset = charset
        self._head = head
        self._ended: Callable[[object], Awaitable[None]] | None = ended
        self._pieces: list[bytes] = []
        self._size = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._body)
        except StopAsyncIteration:
            await self._end()
            raise
        except BaseException:
            self._give_up()
            raise
        encoded = piece.encode(self._charset) if isinstance(piece, str) else bytes(piece)
        if self._ended is not None:
            self._write_down(encoded)
        return encoded

    def _write_down(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MOST_BYTES:
            logger.info("a streamed response is not stored: it is longer than %d bytes", MOST_BYTES)
            self._give_up()
        else:
            self._pieces.append(piece)

    async def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            await ended(self._head.with_body(b"".join(self._pieces)))

    def _give_up(self) -> None:
        self._ended = None
        self._pieces.clear()

    async def drain(self) -> None:
        async for _ in self:
            pass


async def pieces_of(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body in pieces of a bounded size."""
    for place in range(0, len(body), PIECE):
        yield body[place : place + PIECE]


RECORDERS[KIND] = StreamRecorder()
