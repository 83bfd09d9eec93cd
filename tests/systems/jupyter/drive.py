"""Cells run in a Jupyter kernel through Wayhold: drive.py URL CERT WAYHOLD_PID TOKEN"""

import asyncio
import json
import os
import signal
import ssl
import sys
import time
import uuid

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

URL, CERT, PID, TOKEN = sys.argv[1:]
TRUST = ssl.create_default_context(cafile=CERT)
SIGN_IN = {"Authorization": f"token {TOKEN}"}
# The place that a page of this server has.
ORIGIN = "/".join(URL.split("/")[:3])


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {str(got)[:200]}, wanted {str(wanted)[:200]}"
    print(f"    {what}: {str(got)[:100]}", flush=True)


class Channels:
    """The WebSocket that carries all of a kernel's channels."""

    def __init__(self, kernel, cookie):
        self.session = uuid.uuid4().hex
        url = f"{URL.replace('https', 'wss')}/api/kernels/{kernel}/channels"
        self.connecting = connect(
            f"{url}?session_id={self.session}",
            ssl=TRUST,
            additional_headers=cookie,
            origin=ORIGIN,
            max_size=None,
            ping_interval=None,
        )

    async def __aenter__(self):
        self.connection = await self.connecting
        return self

    async def __aexit__(self, *_):
        await self.connection.close()

    async def send(self, channel, kind, content, parent=None):
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "session": self.session,
            "username": "",
            "version": "5.3",
        }
        message = {"channel": channel, "header": header, "parent_header": parent or {}}
        await self.connection.send(json.dumps({**message, "metadata": {}, "content": content}))
        return header

    async def receive(self):
        return json.loads(await asyncio.wait_for(self.connection.recv(), 30))

    async def start(self, code):
        wanted = {"code": code, "silent": False, "store_history": True, "allow_stdin": True}
        return await self.send("shell", "execute_request", wanted)

    async def finish(self, header, answers=()):
        """What the cell printed, its result, and how it ended: when it is idle again and has
        replied."""
        printed, result, status, left, answers = "", None, None, {"reply", "idle"}, list(answers)
        while left:
            message = await self.receive()
            if message["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "execute_result":
                result = content["data"]["text/plain"]
            elif kind == "input_request":
                await self.send("stdin", "input_reply", {"value": answers.pop(0)}, header)
            elif kind == "execute_reply":
                status = content.get("ename", content["status"])
                left.discard("reply")
            elif kind == "status" and content["execution_state"] == "idle":
                left.discard("idle")
        return printed, result, status

    async def run(self, code, answers=()):
        return await self.finish(await self.start(code), answers)


async def cells(channels):
    equal("result", await channels.run("6 * 7"), ("", "42", "ok"))
    equal("print", await channels.run("print('ümlauts')"), ("ümlauts\n", None, "ok"))
    equal("error", (await channels.run("1 / 0"))[2], "ZeroDivisionError")
    asked = await channels.run("'Hello ' + input('who? ')", ["Wayhold"])
    equal("input", asked, ("", "'Hello Wayhold'", "ok"))
    code = "for n in range(50): print(str(n) * 20_000, flush=True)"
    printed, _, status = await channels.run(code)
    wanted = "".join(str(n) * 20_000 + "\n" for n in range(50))
    equal("much output unchanged", (printed == wanted, status), (True, "ok"))


async def interrupted(channels, http, kernel):
    """A request by HTTP interrupts what the WebSocket started."""
    cell = await channels.start("import time; print('begun'); time.sleep(60)")
    while (await channels.receive())["msg_type"] != "stream":
        pass
    began = time.monotonic()
    async with http.post(f"{URL}/api/kernels/{kernel}/interrupt") as answer:
        equal("interrupt", answer.status, 204)
    equal("ended by", (await channels.finish(cell))[2], "KeyboardInterrupt")
    assert time.monotonic() - began < 10


async def reloaded(channels):
    """A cell that is quiet for longer than Wayhold's idle_timeout, with a reload meanwhile."""
    cell = await channels.start("time.sleep(5); print('slept')")
    await asyncio.sleep(1)
    os.kill(int(PID), signal.SIGHUP)
    equal("a quiet cell", await channels.finish(cell), ("slept\n", None, "ok"))


async def returned(kernel, cookie):
    """The kernel outlives its connection."""
    async with Channels(kernel, cookie) as channels:
        equal("state kept for another connection", (await channels.run("kept"))[1], "'here'")


async def died(channels):
    """The kernel ends itself, and Jupyter starts it anew: the connection stays."""
    await channels.start("import os; os._exit(1)")
    states = []
    while "restarting" not in states:
        message = await channels.receive()
        if message["msg_type"] == "status":
            states.append(message["content"]["execution_state"])
    for _ in range(20):
        try:
            await asyncio.wait_for(channels.run("1"), 1)
            break
        except TimeoutError:
            continue
    equal("in a new kernel", (await channels.run("'kept' in globals()"))[1], "False")


async def sign_in():
    """A browser's way: with a cookie instead of the token Jupyter looks at the Origin too."""
    async with aiohttp.request(
        "GET", f"{URL}/login?token={TOKEN}", ssl=TRUST, allow_redirects=False
    ) as answer:
        equal("signed in", (answer.status, len(answer.cookies) > 0), (302, True))
        crumbs = [f"{name}={morsel.value}" for name, morsel in answer.cookies.items()]
        return {"Cookie": "; ".join(crumbs)}


async def refused(kernel, cookie):
    url = f"{URL.replace('https', 'wss')}/api/kernels/{kernel}/channels"
    wrong = {"a stranger's page": (cookie, "https://other.test"), "no cookie": ({}, ORIGIN)}
    for who, (headers, origin) in wrong.items():
        try:
            async with connect(url, ssl=TRUST, additional_headers=headers, origin=origin):
                raise AssertionError(f"{who} was let in")
        except InvalidStatus as error:
            equal(f"{who}, Jupyter's answer", error.response.status_code, 403)


async def main():
    trusting = aiohttp.TCPConnector(ssl=TRUST)
    async with aiohttp.ClientSession(connector=trusting, headers=SIGN_IN) as http:
        async with http.post(f"{URL}/api/kernels", json={"name": "python3"}) as answer:
            equal("kernel started", answer.status, 201)
            kernel = (await answer.json())["id"]
        cookie = await sign_in()
        await refused(kernel, cookie)
        async with Channels(kernel, cookie) as channels:
            await cells(channels)
            await interrupted(channels, http, kernel)
            await reloaded(channels)
            await channels.run("kept = 'here'")
        await returned(kernel, cookie)
        async with Channels(kernel, cookie) as channels:
            await died(channels)
        async with http.delete(f"{URL}/api/kernels/{kernel}") as answer:
            equal("kernel ended", answer.status, 204)


asyncio.run(main())
