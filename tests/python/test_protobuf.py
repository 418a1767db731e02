"""What a Protobuf connection is told when it sends what is no frame, and that others do not notice."""

import random
import unittest

from client import Client, Json, Protobuf, message_id
from gateway import Gateway
from throng import v1_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

TRUNCATED = v1_pb2.ClientFrame(id=7, send=v1_pb2.Send(to="bob", text="hi")).SerializeToString()[:-1]
MALFORMED = {
    "truncated": TRUNCATED,
    "length beyond the end": b"\x1a\xff\x01abc",
    "a varint of eleven bytes": b"\x08" + b"\xff" * 11,
    "wire type 6": b"\x0e\x00",
    "field number 0": b"\x00\x00",
    "an unclosed group": b"\x0b",
    "the op as a number": b"\x18\x01",
    "text that is not UTF-8": b"\x1a\x04\x2a\x02\xff\xfe",
}


async def raw(gateway, user="eve"):
    """A connection after hello, without the client's conveniences."""
    socket = await connect(gateway.url, subprotocols=["throng.v1.proto"], compression=None)
    await socket.send(Protobuf.encode({"id": 1, "hello": {"user": user, "device": "phone"}}))
    assert "welcome" in Protobuf.decode(await socket.recv())
    return socket


class Malformed(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.gateway = self.enterContext(Gateway())

    async def asyncSetUp(self):
        self.bystander = Client(Json, "bystander", "phone")
        await self.bystander.connect(self.gateway.url)

    async def asyncTearDown(self):
        await self.bystander.ask("ping", {})
        await self.bystander.disconnect()

    async def test_each_fault_is_a_bad_frame_and_the_connection_lives_on(self):
        for name, message in MALFORMED.items():
            with self.subTest(name):
                socket = await raw(self.gateway)
                await socket.send(message)
                answer = Protobuf.decode(await socket.recv())
                self.assertEqual(answer["error"]["code"], "bad_frame", answer)
                await socket.send(Protobuf.encode({"id": 2, "ping": {}}))
                self.assertIn("pong", Protobuf.decode(await socket.recv()))
                await socket.close()

    async def test_a_frame_without_an_op_is_refused(self):
        socket = await raw(self.gateway)
        await socket.send(v1_pb2.ClientFrame(id=9).SerializeToString())
        answer = Protobuf.decode(await socket.recv())
        self.assertIn(answer["error"]["code"], ("bad_frame", "unknown_op"))
        await socket.close()

    async def test_unknown_fields_are_ignored(self):
        socket = await raw(self.gateway)
        later = b"\xf8\x7f\x01" + Protobuf.encode({"id": 3, "ping": {}})
        await socket.send(later)
        self.assertEqual(Protobuf.decode(await socket.recv())["id"], 3)
        await socket.close()

    async def test_text_messages_close_with_1003(self):
        socket = await raw(self.gateway)
        await socket.send('{"id": 2, "ping": {}}')
        with self.assertRaises(ConnectionClosed):
            while True:
                await socket.recv()
        self.assertEqual(socket.close_code, 1003)

    async def test_noise_never_gets_more_than_errors(self):
        seed = random.randrange(1 << 32)
        noise = random.Random(seed)
        for _ in range(40):
            socket = await raw(self.gateway)
            try:
                for _ in range(10):
                    await socket.send(noise.randbytes(noise.randrange(200)))
                await socket.send(Protobuf.encode({"id": 77, "ping": {}}))
                while (answer := Protobuf.decode(await socket.recv())).get("id") != 77:
                    self.assertIn("error", answer, f"seed {seed}")
            except ConnectionClosed:
                self.assertIn(socket.close_code, (4429, 4400), f"seed {seed}")
            await socket.close()

    async def test_one_bit_wrong_never_harms_others(self):
        seed = random.randrange(1 << 32)
        noise = random.Random(seed)
        await self.bystander.say("the start", to="eve")
        for _ in range(100):
            frame = {"id": 5, "send": {"to": "eve", "client_msg_id": message_id(), "text": "note to self"}}
            damaged = bytearray(Protobuf.encode(frame))
            damaged[noise.randrange(len(damaged))] ^= 1 << noise.randrange(8)
            socket = await raw(self.gateway)
            await socket.send(bytes(damaged))
            await socket.send(Protobuf.encode({"id": 6, "ping": {}}))
            try:
                while Protobuf.decode(await socket.recv()).get("id") != 6:
                    pass
            except ConnectionClosed:
                self.assertGreaterEqual(socket.close_code, 4000, f"seed {seed}")
            await socket.close()


if __name__ == "__main__":
    unittest.main()
