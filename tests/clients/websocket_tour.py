"""A tour of the gateway with the package `websockets`. Prints what arrives, one JSON object a line."""

import json
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

URL = sys.argv[1]  # ws://host:port/v1/ws


def show(thing):
    print(json.dumps(thing), flush=True)
    return thing


def receive(ws):
    return show(json.loads(ws.recv(timeout=20)))


def send(ws, **command):
    ws.send(json.dumps(command))


# Subscribe, and publish over the same connection: the message comes back, before or after the answer.
# Pings of the package's own are off, so that ours is the only one.
with connect(URL, ping_interval=None) as ws:
    receive(ws)  # welcome
    send(ws, action="subscribe", channel="news", ref="a")
    epoch = receive(ws)["epoch"]
    send(ws, action="publish", channel="news", data={"n": 1}, ref="b")
    both = [receive(ws), receive(ws)]
    offset = next(each["offset"] for each in both if each["type"] == "message")
    show({"type": "answered", "ping": ws.ping().wait(timeout=10)})

# The connection is gone. Meanwhile somebody publishes.
with connect(URL) as ws:
    for n in [2, 3]:
        send(ws, action="publish", channel="news", data={"n": n})
    receive(ws), receive(ws), receive(ws)  # welcome, and two answers

# Come back with a cursor made of what was seen: nothing is missing.
with connect(f"{URL}?channel=news&cursor=news@{epoch}.{offset}") as ws:
    receive(ws), receive(ws), receive(ws)  # welcome, and two messages

# What cannot be right is refused with a code.
with connect(f"{URL}?channel=news&cursor=bogus") as ws:
    try:
        while True:
            receive(ws)
    except ConnectionClosed as closed:
        show({"type": "closed", "code": closed.rcvd.code, "reason": closed.rcvd.reason})
