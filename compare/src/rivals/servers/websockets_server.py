"""The broadcast server of the documentation of `websockets`: who connects to /publish is heard by all others."""

import asyncio
import sys

from websockets.asyncio.server import broadcast, serve

CONNECTIONS = set()


async def handler(websocket):
    if websocket.request.path == "/publish":
        async for message in websocket:
            broadcast(CONNECTIONS, message)
        return
    CONNECTIONS.add(websocket)
    try:
        # So that the load knows that this one is among the connections.
        await websocket.send("ready")
        await websocket.wait_closed()
    finally:
        CONNECTIONS.remove(websocket)


async def main():
    async with serve(handler, "127.0.0.1", int(sys.argv[1]), backlog=4096) as server:
        await server.serve_forever()


asyncio.run(main())
