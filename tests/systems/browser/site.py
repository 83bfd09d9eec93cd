"""A site with aiohttp: a page with a script, uploads, and a WebSocket: site.py PORT

The socket echoes, except: `close CODE REASON` and `close` end with a Close frame, with and without
a code; `drop` hangs up. The server pings often and gives up on whoever does not answer.
"""

import sys

from aiohttp import WSMsgType, web

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Echo</title>
<link rel="icon" href="data:,">
<p id="state">loading</p>
<script src="/app.js"></script>
"""
SCRIPT = """
const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
const state = document.getElementById("state");
socket.onopen = () => socket.send("hello from " + location.protocol);
socket.onmessage = ({ data }) => { state.textContent = data; };
socket.onclose = ({ code }) => { state.textContent = "closed " + code; };
"""


async def page(_):
    return web.Response(text=PAGE, content_type="text/html")


async def script(_):
    return web.Response(text=SCRIPT, content_type="text/javascript")


async def upload(request):
    return web.json_response({"bytes": len(await request.read())})


async def closing(socket, text):
    if text == "drop":
        socket._req.transport.close()
    elif text == "close":
        # aiohttp has no Close without a code.
        socket._req.transport.write(b"\x88\x00")
    else:
        _, code, reason = text.split()
        await socket.close(code=int(code), message=reason.encode())


async def sockets(request):
    socket = web.WebSocketResponse(heartbeat=2.0, max_msg_size=0)
    await socket.prepare(request)
    print("opened", request.headers.get("Origin"), flush=True)
    async for message in socket:
        if message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.data == "drop" or message.data.startswith("close"):
            await closing(socket, message.data)
        else:
            await socket.send_str(message.data)
    print("closed", socket.close_code, flush=True)
    return socket


app = web.Application(client_max_size=64 << 20)
app.add_routes(
    [
        web.get("/", page),
        web.get("/app.js", script),
        web.post("/upload", upload),
        web.get("/ws", sockets),
    ]
)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
