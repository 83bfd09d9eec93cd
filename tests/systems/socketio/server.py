"""One instance of a Socket.IO service: server.py NAME PORT [REDIS_PORT]

`echo` and `blob` are acknowledged with what came, `join` and `leave` change rooms, `say` goes to
everybody in a room, on whatever instance, `ask` calls another client and is acknowledged with its
answer, and `who` tells how this client is connected.
"""

import sys

import socketio
import uvicorn

NAME, PORT, *REDIS = sys.argv[1:]
manager = socketio.AsyncRedisManager(f"redis://127.0.0.1:{REDIS[0]}/0") if REDIS else None
# Often enough for clients to lose one within a test.
server = socketio.AsyncServer(
    async_mode="asgi", client_manager=manager, ping_interval=1, ping_timeout=4
)


@server.event
async def connect(sid, environ, auth):
    await server.enter_room(sid, "all")


@server.event
async def disconnect(sid, reason):
    print("disconnected", server.get_environ(sid)["HTTP_USER_AGENT"], reason, flush=True)


@server.event
async def echo(sid, *values):
    return values


@server.event
async def blob(sid, data):
    return data


@server.event
async def join(sid, room):
    await server.enter_room(sid, room)
    return True


@server.event
async def leave(sid, room):
    await server.leave_room(sid, room)
    return True


@server.event
async def say(sid, room, text):
    await server.emit("said", text, room=room)
    return True


@server.event
async def ask(sid, other, question):
    return await server.call("question", question, to=other, timeout=10)


@server.event
async def who(sid):
    request = server.get_environ(sid)
    names = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_HOST")
    told = {name: request.get(name) for name in names}
    return {"instance": NAME, "transport": server.transport(sid), "sid": sid, **told}


uvicorn.run(socketio.ASGIApp(server), host="127.0.0.1", port=int(PORT), log_level="warning")
