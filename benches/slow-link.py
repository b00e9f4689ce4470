"""A slow line: forwards TCP to a port of this machine, so many bytes a second.

    slow-link.py TARGET_PORT BYTES_PER_SECOND

Prints the port it listens on. The rate is that of the way there, all connections
together, as on one line of an office; the way back is as fast as it can be.
"""

import asyncio
import sys
import time

PIECE = 16 << 10


class Line:
    """The way there: who wants to send waits for his turn."""

    def __init__(self, rate):
        self.rate = rate
        self.free_at = 0.0

    async def carry(self, count):
        begin = max(self.free_at, time.monotonic())
        self.free_at = begin + count / self.rate
        await asyncio.sleep(self.free_at - time.monotonic())


async def pump(reader, writer, line):
    try:
        while data := await reader.read(PIECE):
            if line:
                await line.carry(len(data))
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    target, rate = int(sys.argv[1]), float(sys.argv[2])
    line = Line(rate)

    async def accept(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, back, line), pump(there, writer, None))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
