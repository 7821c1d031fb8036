"""Listens with the package `websockets`, which answers pings by itself. Prints what arrives, one JSON object a line."""

import sys

from websockets.sync.client import connect

with connect(sys.argv[1]) as ws:
    for text in ws:
        print(text, flush=True)
