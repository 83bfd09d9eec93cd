"""Chromium through Wayhold: drive.py CERT PROFILE HTTP_PORT HTTPS_PORT WAYHOLD_PID METRICS_PORT"""

import os
import re
import signal
import sys
import time
import urllib.request

from selenium.webdriver.common.by import By

from chromium import NAME, chromium, equal, run

CERTIFICATE, PROFILE, HTTP, HTTPS, PID, METRICS = sys.argv[1:]
PAGE = f"https://{NAME}:{HTTPS}/"
WSS = f"wss://{NAME}:{HTTPS}/ws"
TABS, SOCKETS = 3, 50

OPEN_MANY = """
    window.many = await Promise.all(Array.from({ length: args[1] }, () => dial(args[0])));
    const talk = async (socket, name) => {
        for (let i = 0; i < 20; i++) {
            const message = `${name} ${i}`;
            if ((await socket.ask(message)) !== message) throw new Error("another message");
        }
    };
    await Promise.all(window.many.map((socket, at) => talk(socket, at)));
    return window.many.length;
"""
CODES = """
    const seen = [];
    for (const command of args[1]) {
        const socket = await dial(args[0]);
        socket.socket.send(command);
        const { code, reason, wasClean } = await socket.closed;
        seen.push([command, code, reason, wasClean]);
    }
    return seen;
"""
QUIET = """
    const socket = await dial(args[0]);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const events = socket.messages.length;
    const alive = (await socket.ask("still here")) === "still here";
    await socket.close(4005, "quiet");
    return [events, alive];
"""
BOTH = """
    const socket = await dial(args[0]);
    const answers = [];
    for (let i = 0; i < 30; i++) {
        const message = socket.ask(`m${i}`);
        const page = await (await fetch("/app.js?" + i, { cache: "no-store" })).text();
        answers.push(page.includes("WebSocket") && (await message) === `m${i}`);
    }
    const bytes = noise(900000);
    const upload = await (await fetch("/upload", { method: "POST", body: bytes })).json();
    await socket.close(1000, "");
    return [answers.every(Boolean), upload.bytes];
"""
REFUSED = """
    const dialled = new Dialled(args[0]);
    return [await dialled.opened, (await dialled.closed).code];
"""
# A sandboxed frame has no origin.
SANDBOXED = """
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    frame.srcdoc = `<script>
        const socket = new WebSocket(${JSON.stringify(args[0])});
        socket.onopen = () => parent.postMessage("opened", "*");
        socket.onclose = ({ code }) => parent.postMessage([origin, code], "*");
    </` + "script>";
    const answer = new Promise((resolve) => addEventListener("message", (e) => resolve(e.data)));
    document.body.append(frame);
    return answer;
"""
CLOSED = "return Promise.all(window.many.map((socket) => socket.closed));"


def metric(name):
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics") as page:
        text = page.read().decode()
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.]+)$", text, re.MULTILINE)
    return int(sum(map(float, values)))


def until(what, function, wanted, seconds=10):
    end = time.monotonic() + seconds
    while function() != wanted and time.monotonic() < end:
        time.sleep(0.05)
    equal(what, function(), wanted)


def pages(driver):
    for url in (PAGE, f"http://{NAME}:{HTTP}/"):
        driver.get(url)
        equal("title", driver.title, "Echo")
        state = driver.find_element(By.ID, "state")
        until("page", lambda: state.text, "hello from " + url.split("/")[0])


def codes(driver):
    commands = ["close 1000 fine", "close 1001 away", "close 1008 policy", "close 1011 broken"]
    commands += ["close 3000 library", "close 4999 application"]
    wanted = [[c, int(c.split()[1]), c.split()[2], True] for c in commands]
    # Without a code nothing is made up; a server that hangs up is told as 1011.
    wanted += [["close", 1005, "", True], ["drop", 1011, "", True]]
    for got, want in zip(run(driver, CODES, WSS, commands + ["close", "drop"]), wanted):
        equal(f"onclose after '{want[0]}'", got, want)


def origins(driver):
    equal("a frame without an origin", run(driver, SANDBOXED, WSS), ["null", 1006])
    driver.get(f"http://127.0.0.1:{HTTP}/")
    equal("another Origin", run(driver, REFUSED, WSS), [False, 1006])


def many(driver):
    tabs = [driver.current_window_handle]
    for _ in range(TABS - 1):
        driver.switch_to.new_window("tab")
        tabs.append(driver.current_window_handle)
    for tab in tabs:
        driver.switch_to.window(tab)
        # The page has a socket of its own.
        driver.get(PAGE)
        equal("sockets of a tab", run(driver, OPEN_MANY, WSS, SOCKETS), SOCKETS)
    until("tunnels", lambda: metric("wayhold_ws_tunnels_active"), TABS * (SOCKETS + 1))
    return tabs


def drain(driver, tabs):
    os.kill(int(PID), signal.SIGTERM)
    for tab in tabs:
        driver.switch_to.window(tab)
        closed = run(driver, CLOSED)
        seen = {(each["code"], each["wasClean"]) for each in closed}
        equal("onclose of a tab's sockets after TERM", seen, {(1012, True)})
        state = driver.find_element(By.ID, "state")
        until("the page's own", lambda: state.text, "closed 1012")


with chromium(CERTIFICATE, PROFILE) as driver:
    pages(driver)
    driver.get(PAGE)
    before = metric("wayhold_connections_accepted_total")
    equal("pages and messages at once", run(driver, BOTH, WSS), [True, 900000])
    # One for the socket, and at most one more for 31 requests; one is this metric's own page.
    connections = metric("wayhold_connections_accepted_total") - before
    equal("few connections", connections <= 4, True)
    equal("pings are not seen", run(driver, QUIET, WSS), [0, True])
    codes(driver)
    origins(driver)
    drain(driver, many(driver))
