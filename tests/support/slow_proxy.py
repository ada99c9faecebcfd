"""A way to a server on which all that clients send goes at a given rate."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 1 << 16


@contextmanager
def slow_proxy(port: int, bytes_a_second: float) -> Iterator[int]:
    """Listen on a loopback port, which is given, and relay to ``port``; each connection sends at that rate."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(_listen(port, bytes_a_second))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        server.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def _listen(port: int, rate: float) -> asyncio.Server:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, forth, rate), _copy(back, writer, None), return_exceptions=True)

    return await asyncio.start_server(relay, "127.0.0.1", 0)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, rate: float | None) -> None:
    try:
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
            if rate is not None:
                await asyncio.sleep(len(piece) / rate)
    finally:
        target.close()
