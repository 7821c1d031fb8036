"""A tour of the gateway with the package `websockets`. Prints what arrives, one JSON object a line.

With asyncio, because the threads of the package's other client read and write one TLS connection at the same time,
which Python's `ssl` does not allow (python/cpython#151508): a handshake in some hundreds is then lost in the client.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

URL = sys.argv[1]  # ws://host:port/v1/ws
WAIT_S = 20


def show(thing):
    print(json.dumps(thing), flush=True)
    return thing


async def receive(ws, count=1):
    for _ in range(count):
        last = show(json.loads(await asyncio.wait_for(ws.recv(), WAIT_S)))
    return last


async def send(ws, **command):
    await ws.send(json.dumps(command))


async def tour():
    # Subscribe, and publish over the same connection: the message comes back, before or after the answer.
    # Pings of the package's own are off, so that ours is the only one.
    async with connect(URL, ping_interval=None) as ws:
        await receive(ws)  # welcome
        await send(ws, action="subscribe", channel="news", ref="a")
        epoch = (await receive(ws))["epoch"]
        await send(ws, action="publish", channel="news", data={"n": 1}, ref="b")
        both = [await receive(ws), await receive(ws)]
        offset = next(each["offset"] for each in both if each["type"] == "message")
        await asyncio.wait_for(await ws.ping(), WAIT_S)
        show({"type": "answered", "ping": True})

    # The connection is gone. Meanwhile somebody publishes.
    async with connect(URL) as ws:
        for n in [2, 3]:
            await send(ws, action="publish", channel="news", data={"n": n})
        await receive(ws, 3)  # welcome, and two answers

    # Come back with a cursor made of what was seen: nothing is missing.
    async with connect(f"{URL}?channel=news&cursor=news@{epoch}.{offset}") as ws:
        await receive(ws, 3)  # welcome, and two messages

    # What cannot be right is refused with a code.
    async with connect(f"{URL}?channel=news&cursor=bogus") as ws:
        try:
            while True:
                await receive(ws)
        except ConnectionClosed as closed:
            show({"type": "closed", "code": closed.rcvd.code, "reason": closed.rcvd.reason})


asyncio.run(tour())
