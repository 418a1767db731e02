"""A small client written from docs/protocol.md, over `websockets` and two codecs that are not ours.

Frames are dicts in the shape of the JSON mapping, whichever codec carries them.
"""

import asyncio
import json
import os
import time
import uuid

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet
from throng import v1_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

ANSWER_S = 15


def message_id(time_ms=None):
    """A UUIDv7 (RFC 9562 section 5.7)."""
    time_ms = int(time.time() * 1000) if time_ms is None else time_ms
    value = (time_ms << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(3 << 62) | 2 << 62))


class Json:
    """`throng.v1.json`: text messages."""

    subprotocol = "throng.v1.json"

    @staticmethod
    def encode(frame):
        return json.dumps(frame)

    @staticmethod
    def decode(message):
        assert isinstance(message, str), "a JSON connection gets text messages"
        return json.loads(message)


class Protobuf:
    """`throng.v1.proto`: binary messages, by Google's own codec."""

    subprotocol = "throng.v1.proto"

    @staticmethod
    def encode(frame):
        return json_format.ParseDict(frame, v1_pb2.ClientFrame()).SerializeToString()

    @staticmethod
    def decode(message):
        assert isinstance(message, bytes), "a Protobuf connection gets binary messages"
        return as_dict(v1_pb2.ServerFrame.FromString(message))


def as_dict(message):
    """A Protobuf message in the shape of our JSON: only what is set, numbers as numbers."""

    def value_of(field, value):
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            return as_dict(value)
        return value

    assert not unknown_fields(message), f"fields that are not in the schema: {message}"
    return {
        field.name: [value_of(field, item) for item in value] if field.is_repeated else value_of(field, value)
        for field, value in message.ListFields()
    }


def unknown_fields(message):
    return len(UnknownFieldSet(message))


class Refusal(Exception):
    """An `error` as the answer to a request."""

    def __init__(self, error):
        super().__init__(error)
        self.code = error["code"]


class Client:
    """One connection of a device: requests with answers, and logs kept by the rules of the protocol."""

    def __init__(self, codec, user, device):
        self.codec, self.user, self.device = codec, user, device
        self.resume = ""
        self.logs = {}
        self.receipts = {}
        self.socket = None

    async def connect(self, url):
        """Says hello and catches up; gives the welcome."""
        self.waiting, self.next_id = {}, 1
        self.changed = asyncio.Event()
        self.socket = await connect(url, subprotocols=[self.codec.subprotocol], compression=None)
        assert self.socket.subprotocol == self.codec.subprotocol
        self.reader = asyncio.create_task(self.read())
        hello = {"user": self.user, "device": self.device, "agent": "python"}
        if self.resume:
            hello["cursor"] = self.resume
        welcome = (await self.ask("hello", hello))["welcome"]
        if welcome["sync"] == "resumed":
            heads = {item["conv"]: item["head"] for item in welcome.get("changes", [])}
        else:
            heads = {item["conv"]: item["head"] for item in await self.conversations()}
        for conv, head in heads.items():
            if head > self.cursor(conv):
                await self.pull(conv)
        self.resume = welcome["cursor"]
        return welcome

    async def disconnect(self):
        await self.socket.close()
        await self.reader

    def cursor(self, conv):
        log = self.logs.get(conv)
        return log[-1]["seq"] if log else 0

    async def read(self):
        try:
            async for message in self.socket:
                frame = self.codec.decode(message)
                if "id" in frame:
                    self.waiting.pop(frame["id"]).set_result(frame)
                elif "event" in frame:
                    await self.take(frame["event"])
                elif "receipt" in frame:
                    receipt = frame["receipt"]
                    self.receipts[receipt["conv"], receipt["user"]] = receipt
                self.changed.set()
        except ConnectionClosed:
            pass
        finally:
            for future in self.waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("closed"))

    async def take(self, event):
        """The rules of "Staying in step"."""
        cursor = self.cursor(event["conv"])
        if event["seq"] == cursor + 1:
            self.logs.setdefault(event["conv"], []).append(event)
        elif event["seq"] > cursor + 1:
            asyncio.create_task(self.pull(event["conv"]))

    async def request(self, op, fields):
        frame = {"id": self.next_id, op: fields}
        future = asyncio.get_running_loop().create_future()
        self.waiting[self.next_id] = future
        self.next_id += 1
        await self.socket.send(self.codec.encode(frame))
        return future

    async def ask(self, op, fields):
        """The answering frame; an error is raised."""
        answer = await asyncio.wait_for(await self.request(op, fields), ANSWER_S)
        if "error" in answer:
            raise Refusal(answer["error"])
        return answer

    async def say(self, text, **where):
        fields = {"client_msg_id": message_id(), "text": text, **where}
        return (await self.ask("send", fields))["ack"]

    async def conversations(self):
        items, after = [], ""
        while True:
            page = (await self.ask("conversations", {"after": after, "limit": 2}))["conversations"]
            items += page.get("items", [])
            after = page.get("next", "")
            if not after:
                return items

    async def pull(self, conv):
        while True:
            position = {"conv": conv, "after": self.cursor(conv)}
            page = (await self.ask("sync", {"convs": [position], "limit": 3}))["sync"]["convs"][0]
            for event in page.get("events", []):
                if event["seq"] > self.cursor(conv):
                    self.logs.setdefault(conv, []).append(event)
            if not page.get("has_more"):
                return

    async def history(self, conv, limit):
        """The whole conversation, read from its head in pages of `limit`."""
        events, before = [], 0
        while True:
            page = (await self.ask("history", {"conv": conv, "before": before, "limit": limit}))["history"]
            found = page.get("events", [])
            assert len(found) <= limit
            events = found + events
            if not page.get("has_more"):
                return events
            before = found[0]["seq"]

    async def until(self, condition):
        """Waits until what the server pushed makes `condition` true."""
        async def wait():
            while not condition():
                self.changed.clear()
                try:
                    await asyncio.wait_for(self.changed.wait(), 0.2)
                except TimeoutError:
                    pass
        await asyncio.wait_for(wait(), ANSWER_S)

    def texts(self, conv):
        return [event["message"]["text"] for event in self.logs.get(conv, []) if "message" in event]
