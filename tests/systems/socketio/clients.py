"""Socket.IO clients in two languages, alike to whoever drives them."""

import asyncio
import json
import pathlib
import random
import ssl

import aiohttp
import socketio

SCRIPT = pathlib.Path(__file__).with_name("client.js")


class Client:
    """What both keep: what they heard, and each connection and its end."""

    def __init__(self):
        self.said, self.ids, self.ends = asyncio.Queue(), [], []

    @property
    def id(self):
        return self.ids[-1] if len(self.ids) > len(self.ends) else None

    async def connected(self):
        async with asyncio.timeout(20):
            while not self.id:
                await asyncio.sleep(0.02)

    async def who(self):
        return await self.ask("who")


class Python(Client):
    """python-socketio's own: of its two the one of asyncio, as the other's threads read and write
    one TLS session at once, and lose it."""

    name = "Python"

    async def start(self, url, way, cert):
        trust = ssl.create_default_context(cafile=cert)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust))
        self.client = socketio.AsyncClient(
            reconnection_delay=0.1,
            reconnection_delay_max=0.3,
            http_session=self.session,
            handle_sigint=False,
        )
        self.client.on("connect", lambda: self.ids.append(self.client.get_sid()))
        self.client.on("disconnect", self.ends.append)
        self.client.on("said", self.said.put)
        self.client.on("question", lambda question: f"Python: {question}")
        headers = {"User-Agent": "Python"}
        await self.client.connect(url, headers, transports=way.split(","), wait_timeout=20)
        await self.connected()

    def transport(self):
        return self.client.transport()

    async def ask(self, event, *values):
        return await self.client.call(event, values or None, timeout=10)

    async def blob(self, size):
        data = random.randbytes(size)
        return await self.client.call("blob", data, timeout=20) == data

    async def end(self):
        await self.client.disconnect()
        await self.session.close()


class JavaScript(Client):
    """socket.io-client, in a process of its own."""

    name = "JavaScript"

    async def start(self, url, way, cert):
        # That it trusts the certificate is in its environment.
        pipe = asyncio.subprocess.PIPE
        command = ["node", SCRIPT, url, way]
        self.process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        self.answers, self.current = asyncio.Queue(), None
        self.reading = asyncio.create_task(self.read())
        await self.connected()

    async def read(self):
        lists = {"connected": self.ids.append, "disconnected": self.ends.append}
        async for line in self.process.stdout:
            ((what, value),) = json.loads(line).items()
            if what == "said":
                self.said.put_nowait(value)
            elif what == "transport":
                self.current = value
            else:
                lists.get(what, self.answers.put_nowait)(value)

    def transport(self):
        return self.current

    async def tell(self, line):
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        return await asyncio.wait_for(self.answers.get(), 30)

    async def ask(self, event, *values):
        return await self.tell({"emit": [event, *values]})

    async def blob(self, size):
        return await self.tell({"blob": size})

    async def end(self):
        self.process.stdin.write(b'{"end": true}\n')
        assert await asyncio.wait_for(self.process.wait(), 10) == 0
        await self.reading
