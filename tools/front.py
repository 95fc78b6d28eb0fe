"""One address for Odoo's two: what a reverse proxy does in production, on this machine's loopback.

Prefork Odoo answers web sockets on a port of its own. A browser opens a connection for each socket, so the
first line of a connection decides where all of it goes. ``front.py PORT HTTP_PORT SOCKET_PORT``
"""

import asyncio
import contextlib
import sys

HOST = "127.0.0.1"
SOCKETS = b"GET /websocket"
CHUNK = 1 << 16
WAIT_SECONDS = 30  # for a browser that opened a connection ahead of need, to say what it wants


async def copy(reader, writer):
    """Pass on what comes, and its end."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


def relay(http_port, socket_port):
    """Give the function that serves one connection."""

    running = set()  # the loop itself keeps no hold on them

    async def serve(reader, writer):
        running.add(asyncio.current_task())
        try:
            first = await asyncio.wait_for(reader.readline(), WAIT_SECONDS)
            port = socket_port if first.startswith(SOCKETS) else http_port
            inner_reader, inner = await asyncio.open_connection(HOST, port)
            inner.write(first)
            await asyncio.gather(copy(reader, inner), copy(inner_reader, writer))
            inner.close()
        except (OSError, ValueError, asyncio.TimeoutError):
            return  # the browser is gone, or Odoo is: closing tells the one that is left
        finally:
            writer.close()
            running.discard(asyncio.current_task())

    return serve


async def main(port, http_port, socket_port):
    server = await asyncio.start_server(relay(http_port, socket_port), HOST, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:])))
