"""Bodies of answers, unpacked where they are packed, and never beyond a bound."""

import zlib
from collections.abc import AsyncIterator

import aiohttp

from fetch_kit.errors import AnswerError, TooLargeError

ENCODINGS = "gzip, deflate"
"""What may be asked for with Accept-Encoding, as `read_body` can unpack it."""

_CHUNK = 64 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


async def read_body(answer: aiohttp.ClientResponse, max_bytes: int, *, packed: bool) -> bytes:
    """Reads a body of at most `max_bytes`, counted after unpacking.

    Args:
        answer: Its body has not been read.
        max_bytes: The bound. No more memory than that and a chunk is ever used.
        packed: Whether an encoded answer was asked for; if not, one is refused.

    Raises:
        TooLargeError: It has more bytes.
        AnswerError: Its encoding was not asked for, or it is broken.
    """
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        if (length := answer.content_length) is not None and length > max_bytes:
            raise TooLargeError(max_bytes)
        chunks: AsyncIterator[bytes] = answer.content.iter_chunked(_CHUNK)
    elif packed and encoding in ("gzip", "x-gzip", "deflate"):
        chunks = _unpacked(answer, max_bytes)
    else:
        raise AnswerError("answered with an encoding that was not asked for")
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > max_bytes:
            raise TooLargeError(max_bytes)
    return bytes(data)


async def _unpacked(answer: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    received = 0
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK):
            received += len(chunk)
            if received > max_bytes:
                raise TooLargeError(max_bytes)
            while chunk and not unpacking.eof:
                yield unpacking.decompress(chunk, _CHUNK)
                chunk = unpacking.unconsumed_tail
    except zlib.error as error:
        raise AnswerError("answered with a broken encoding") from error
    if not unpacking.eof:
        raise AnswerError("answered with a broken encoding")
