"""
A proxy in front of Redis that holds back what passes through it: slow_redis.py LISTEN TO FILE.

FILE has two numbers, read anew for each piece: milliseconds to wait, and the most bytes to pass on at
a time. An empty FILE: as fast as it can.
"""

import asyncio
import sys


def pace(path):
    try:
        with open(path, encoding="ascii") as f:
            ms, most = f.read().split()
            return int(ms) / 1000, int(most)
    except (OSError, ValueError):
        return 0, 1 << 16


async def pass_on(reader, writer, path):
    try:
        while True:
            wait, most = pace(path)
            piece = await reader.read(most)
            if not piece:
                break
            if wait:
                await asyncio.sleep(wait)
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(listen, to, path):
    async def connected(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, far_writer, path), pass_on(far_reader, writer, path))

    server = await asyncio.start_server(connected, "0.0.0.0", listen)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
