"""A chat in the terminal over WebSocket, with asyncio and the package `websockets`.

    python3 chat.py NAME [ROOM] [URL]

Each line that is typed is said to all in the room; `/msg NAME TEXT` goes to one person only, with quotes around a name that
has spaces. Ctrl-D leaves."""

import asyncio
import json
import random
import re
import secrets
import sys
import threading
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

if len(sys.argv) < 2:
    sys.exit(__doc__)
name, room, url = (sys.argv[1:] + ["1", "http://127.0.0.1:8080"][len(sys.argv[2:]) :])[:3]
room, presence = f"room:{room}", f"presence:room:{room}"
channels = room, presence, "@"  # "@" is one's own inbox
session = secrets.token_hex(16)  # of all attachments of one session the newest is served
at = {}  # channel -> [epoch, offset]: everything up to there was shown; a channel that is not in it starts now
here = set()
unsent = {}  # ref -> command: what was not answered is sent again after a reconnect, with the same key
UNSENT_MAX = 100


class Later(Exception):
    """The gateway asks for a delay, in seconds."""


def tell(*words):
    """Prints a line. What others wrote must not steer the terminal."""
    print("".join(c if c.isprintable() else "\ufffd" for c in " ".join(words)), flush=True)


def ask_who_is_here():
    """Who is here, on all pages, and where to follow what changes from."""
    query, first, users = {"channel": room, "user": name, "limit": 1000}, None, []
    while not first or page["more"]:
        page = json.load(urlopen(f"{url}/v1/presence?{urlencode(query)}", timeout=10))
        first = first or page
        users += [person["user"] for person in page["users"]]
        query["after"] = users[-1] if users else ""
    here.clear()
    here.update(users)
    tell(f"* {first['count']} here:", ", ".join(sorted(here)))
    return first["cursor"]


def move(channel, epoch, offset):
    at[channel] = [epoch, int(offset)]


def show(message):
    data, sender = message.get("data", "(bytes)"), message.get("from", "somebody")
    if message["channel"] == presence:
        came = [person["user"] for person in data["joined"] if person["user"] not in here]
        left = [person["user"] for person in data["left"] if person["user"] in here]
        here.update(came)
        here.difference_update(left)
        for users, what in (came, "came"), (left, "left"):
            if users:
                tell("*", ", ".join(users), what + ",", str(data["users"]), "here")
    else:
        private = " (to you only)" if message["channel"][0] == "@" else ""
        tell(f"{sender}{private}:", data if isinstance(data, str) else json.dumps(data))


def take(told):
    """One object from the gateway. Positions move when it was shown: nothing is missed, and nothing comes twice."""
    match told["type"]:
        case "welcome":
            for place in told["channels"]:
                move(place["channel"], place["epoch"], place["offset"])
        case "message" if told["offset"] > at[told["channel"]][1]:
            show(told)
            at[told["channel"]][1] = told["offset"]
        case "gap":
            tell(f"* {told['lost'] or 'some'} messages of {told['channel']} may be missing: {told['reason']}")
            move(told["channel"], told["epoch"], told["offset"])
            if told["channel"] == presence:
                ask_who_is_here()
        case "error" if "retry_after_ms" in told:
            raise Later(told["retry_after_ms"] / 1000)
        case "published" | "sent" | "error":
            unsent.pop(told.get("ref"), None)
            if told["type"] == "error":
                tell("* not sent:", told["message"])
        case "disconnect" if not told["reconnect"]:
            sys.exit(f"* stopped: {told.get('message', told['code'])}")
        case "disconnect":
            raise Later(told.get("retry_after_ms", 0) / 1000)


def command(line):
    """What a line asks for, with the key that makes it harmless to ask again."""
    ref = secrets.token_hex(8)
    direct = re.fullmatch(r'/msg (?:"([^"]+)"|(\S+)) +(.+)', line)
    to = {"action": "send", "to": direct[1] or direct[2]} if direct else {"action": "publish", "channel": room}
    return to | {"data": direct[3] if direct else line, "key": ref, "ref": ref}


async def say(socket, lines):
    """Sends what is typed, and first what an earlier connection got no answer to. Leaves when there are no more lines."""
    for again in list(unsent.values()):
        await socket.send(json.dumps(again))
    while (line := await lines.get()) is not None:
        told = command(line)
        unsent[told["ref"]] = told
        await socket.send(json.dumps(told))
        while len(unsent) >= UNSENT_MAX:
            await asyncio.sleep(0.05)
    lines.put_nowait(None)  # for the next connection, if this one ends before all is answered
    while unsent:
        await asyncio.sleep(0.05)
    await socket.close()


async def attach(lines):
    """Follows over one connection, until it ends. True if this client closed it."""
    if not at:
        move(presence, *ask_who_is_here().split("."))
    cursor = ",".join(f"{channel}@{epoch}.{offset}" for channel, (epoch, offset) in at.items())
    query = [("channel", channel) for channel in channels] + [("cursor", cursor), ("user", name), ("session", session)]
    async with connect(f"ws{url[4:]}/v1/ws?{urlencode(query)}", max_size=None) as socket:
        saying = asyncio.create_task(say(socket, lines))
        try:
            async for text in socket:
                take(json.loads(text))
            return socket.close_code == 1000
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)


def read(loop, lines):
    for line in sys.stdin:
        if line.strip():
            asyncio.run_coroutine_threadsafe(lines.put(line.strip()), loop).result()
    asyncio.run_coroutine_threadsafe(lines.put(None), loop)


async def chat():
    lines = asyncio.Queue(UNSENT_MAX)
    threading.Thread(target=read, args=(asyncio.get_running_loop(), lines), daemon=True).start()
    delay_s = 1
    while True:
        later_s, before = 0, json.dumps(at)
        try:
            if await attach(lines):
                return
        except Later as later:
            later_s = later.args[0]
        except HTTPError as error:
            if error.code < 500 and error.code != 429:
                sys.exit(f"* refused: {error.read().decode()}")
        except (OSError, WebSocketException) as error:
            tell("* not connected:", str(error))
        # Something was shown: begin with short delays again.
        delay_s = 1 if json.dumps(at) != before else min(delay_s * 2, 30)
        await asyncio.sleep(max(delay_s * random.uniform(0.5, 1), later_s))


asyncio.run(chat())
