"""Follows an event stream with the packages `requests` and `sseclient-py`, which leave coming back to their caller.
Prints each event as a line of JSON."""

import json
import sys
import time

import requests
import sseclient


def follow(url):
    last_id, retry_ms = None, 1000
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with requests.get(url, headers=headers, stream=True, timeout=60) as response:
                response.raise_for_status()
                for event in sseclient.SSEClient(response).events():
                    last_id = event.id or last_id
                    retry_ms = int(event.retry or retry_ms)
                    yield event
        except requests.RequestException as error:
            print("error:", error, file=sys.stderr, flush=True)
        time.sleep(retry_ms / 1000)


for event in follow(sys.argv[1]):
    print(json.dumps({"type": event.event, "id": event.id, "data": json.loads(event.data)}), flush=True)
