"""One long conversation of three users with two devices each, over both encodings and a kill -9."""

import asyncio
import unittest

from client import Client, Json, Protobuf, Refusal, message_id
from gateway import Gateway


class Scenario(unittest.IsolatedAsyncioTestCase):
    """The first device of each user speaks JSON and the second Protobuf, then the reverse."""

    async def asyncSetUp(self):
        # Starting a gateway blocks the loop, which debug mode would complain of.
        asyncio.get_running_loop().set_debug(False)

    async def test_over_both_encodings(self):
        for codecs in ([Json, Protobuf], [Protobuf, Json]):
            with self.subTest(first=codecs[0].subprotocol), Gateway("--shards", "2") as gateway:
                await self.play(gateway, codecs)

    async def play(self, gateway, codecs):
        self.gateway = gateway
        self.devices = {
            (user, device): Client(codec, user, device)
            for user in ("ann", "bob", "cid")
            for device, codec in zip(("phone", "laptop"), codecs)
        }
        for client in self.devices.values():
            welcome = await client.connect(gateway.url)
            self.assertEqual(welcome["sync"], "resync")
        direct = await self.direct_chat()
        group = await self.group_chat()
        await self.away_and_back(group)
        await self.paging(group)
        await self.receipts(group)
        await self.retries(group)
        await self.outsider(direct)
        await self.kill_and_resume(direct, group)
        for client in self.devices.values():
            await client.disconnect()

    def of(self, user):
        return self.devices[user, "phone"], self.devices[user, "laptop"]

    async def everyone_has(self, conv, texts, users):
        for user in users:
            for client in self.of(user):
                await client.ask("ping", {})
                # A device has its own messages by their ack alone: ask the log for the rest.
                await client.pull(conv)
                self.assertEqual(client.texts(conv), texts, (user, client.device))

    async def direct_chat(self):
        ann, bob = self.of("ann")[0], self.of("bob")
        conv = (await ann.say("hello, bob", to="bob"))["conv"]
        for client in bob:
            await client.until(lambda: client.texts(conv) == ["hello, bob"])
        ack = await bob[0].say("hello, ann", to="ann")
        self.assertEqual(ack["conv"], conv)
        await self.everyone_has(conv, ["hello, bob", "hello, ann"], ("ann", "bob"))
        return conv

    async def group_chat(self):
        ann, bob, cid = (self.of(user)[0] for user in ("ann", "bob", "cid"))
        create = {"name": "tea", "members": ["bob", "cid"], "client_msg_id": message_id()}
        conv = (await ann.ask("create_group", create))["ack"]["conv"]
        texts = []
        for number, client in enumerate([ann, bob, cid, cid, bob, ann]):
            texts.append(f"{client.user} {number} ✓ \U0001f375")
            await client.say(texts[-1], conv=conv)
        await self.everyone_has(conv, texts, ("ann", "bob", "cid"))
        logs = [client.logs[conv] for client in self.devices.values()]
        self.assertTrue(all(log == logs[0] for log in logs), "the same events for all devices")
        self.assertEqual([event["seq"] for event in logs[0]], list(range(1, 8)))
        return conv

    async def away_and_back(self, conv):
        bob = self.of("bob")[0]
        await bob.disconnect()
        before = bob.cursor(conv)
        for number in range(4):
            await self.of("ann")[0].say(f"while bob was away {number}", conv=conv)
        welcome = await bob.connect(self.gateway.url)
        self.assertEqual(welcome["sync"], "resumed")
        self.assertIn({"conv": conv, "head": before + 4}, welcome["changes"])
        self.assertEqual(bob.cursor(conv), before + 4)

    async def paging(self, conv):
        for client in self.of("cid"):
            await client.pull(conv)
            for limit in (1, 3, 200):
                self.assertEqual(await client.history(conv, limit), client.logs[conv])

    async def receipts(self, conv):
        ann, bob = self.of("ann")[0], self.of("bob")
        seq = (await ann.say("tick", conv=conv))["seq"]
        await bob[0].until(lambda: bob[0].cursor(conv) == seq)
        unread = await self.unread(bob[1], conv)
        self.assertGreaterEqual(unread, 1)
        await bob[0].ask("delivered", {"conv": conv, "seq": seq})
        await bob[0].ask("read", {"conv": conv, "seq": seq})
        for client in (ann, bob[1]):
            await client.until(lambda: client.receipts.get((conv, "bob"), {}).get("read", 0) >= seq)
        self.assertEqual(await self.unread(bob[1], conv), 0)

    async def unread(self, client, conv):
        (item,) = (item for item in await client.conversations() if item["conv"] == conv)
        return item.get("unread", 0)

    async def retries(self, conv):
        """The same message by the other device, in the other encoding: one seq."""
        phone, laptop = self.of("ann")
        fields = {"conv": conv, "client_msg_id": message_id(), "text": "once", "reply_to": 2}
        first, second = [(await client.ask("send", fields))["ack"] for client in (phone, laptop)]
        self.assertEqual(second, {**first, "duplicate": True})
        with self.assertRaises(Refusal) as refused:
            await laptop.ask("send", {**fields, "text": "twice"})
        self.assertEqual(refused.exception.code, "id_reused")
        data = {"conv": conv, "client_msg_id": message_id(), "kind": "sticker", "data": "AAEC/w=="}
        first, second = [(await client.ask("send", data))["ack"] for client in (phone, laptop)]
        self.assertEqual(second, {**first, "duplicate": True})

    async def outsider(self, direct):
        for client in self.of("cid"):
            for op, fields in (("history", {"conv": direct}), ("send", {"conv": direct, "text": "x"})):
                with self.assertRaises(Refusal) as refused:
                    await client.ask(op, fields)
                self.assertEqual(refused.exception.code, "forbidden")

    async def kill_and_resume(self, direct, group):
        ann, bob = self.of("ann")[0], self.of("bob")[0]
        heads = {conv: (await ann.say("before the kill", conv=conv))["seq"] for conv in (direct, group)}
        self.gateway.kill_and_restart()
        await asyncio.gather(*(client.reader for client in self.devices.values()))
        for client in self.devices.values():
            welcome = await client.connect(self.gateway.url)
            self.assertEqual(welcome["sync"], "resumed")
        for conv, head in heads.items():
            self.assertEqual(bob.cursor(conv), head)
            self.assertEqual((await ann.say("after the kill", conv=conv))["seq"], head + 1)
            await bob.until(lambda: bob.cursor(conv) == head + 1)


if __name__ == "__main__":
    unittest.main()
