"""Chromium against the recipe: browser.py CERT PROFILE BACKEND…

With one backend, everything that it promises; with several, that sockets are spread over all.
"""

import sys

from chromium import chromium, equal, run

CERTIFICATE, PROFILE = sys.argv[1:3]
BACKENDS = sys.argv[3:]

ECHOES = """
    const socket = await dial(args[0], ["first", "second"]);
    const large = noise(3 << 20);
    const echoed = {
        protocol: ["first", "second"].includes(socket.socket.protocol),
        extensions: socket.socket.extensions,
        text: await socket.ask("text with ümlauts"),
        empty: await socket.ask(""),
        binary: Array.from(new Uint8Array(await socket.ask(Uint8Array.of(0, 1, 255)))),
        large: same(await socket.ask(large), large),
        seen: JSON.parse(await socket.ask("headers")),
    };
    echoed.burst = [];
    for (let i = 0; i < 200; i++) socket.socket.send(`m${i}`);
    for (let i = 0; i < 200; i++) echoed.burst.push(await socket.next());
    echoed.close = await socket.close(4002, "done");
    return echoed;
"""
CLOSED = """
    const socket = await dial(args[0]);
    socket.socket.send("close 4001 because");
    return socket.closed;
"""
SPREAD = """
    const sockets = await Promise.all(Array.from({ length: 12 }, () => dial(args[0])));
    const seen = await Promise.all(sockets.map((socket) => socket.ask("headers")));
    await Promise.all(sockets.map((socket) => socket.close(1000, "")));
    return seen.map((text) => JSON.parse(text).backend);
"""


def one(driver, backend, url):
    got = run(driver, ECHOES, url)
    seen = got.pop("seen")
    burst = got.pop("burst")
    print(f"    {backend}, {url.split(':')[0]}, extensions: {got.pop('extensions') or 'none'}")
    equal(
        f"{backend}, Chromium",
        got,
        {
            "protocol": True,
            "text": "text with ümlauts",
            "empty": "",
            "binary": [0, 1, 255],
            "large": True,
            # gorilla answers a Close without its reason.
            "close": {
                "code": 4002,
                "reason": "" if backend == "gorilla" else "done",
                "wasClean": True,
            },
        },
    )
    equal("burst in order", burst == [f"m{i}" for i in range(200)], True)
    equal("backend", seen["backend"], backend)
    equal("Host", seen["host"], "test.test.net")
    equal("X-Real-IP", seen["x-real-ip"], "127.0.0.1")
    equal("X-Forwarded-For", seen["x-forwarded-for"], "127.0.0.1")
    equal("Origin", seen["origin"], driver.execute_script("return location.origin"))
    equal("Chrome", "Chrome/" in seen["user-agent"], True)
    closed = run(driver, CLOSED, url)
    equal("onclose", closed, {"code": 4001, "reason": "because", "wasClean": True})


with chromium(CERTIFICATE, PROFILE) as driver:
    driver.get("https://test.test.net/")
    if len(BACKENDS) == 1:
        one(driver, BACKENDS[0], "wss://test.test.net/ws")
        driver.get("http://test.test.net/")
        one(driver, BACKENDS[0], "ws://test.test.net/ws")
    else:
        backends = run(driver, SPREAD, "wss://test.test.net/ws")
        counts = {name: backends.count(name) for name in BACKENDS}
        equal("sockets of the browser", counts, dict.fromkeys(BACKENDS, 12 // len(BACKENDS)))
