"""A desktop in noVNC's page: drive.py CERT PROFILE HTTPS_PORT DISPLAY WAYHOLD_PID XEV_LOG"""

import os
import pathlib
import signal
import subprocess
import sys
import time

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from chromium import NAME, chromium, equal

CERTIFICATE, PROFILE, HTTPS, DISPLAY, PID, XEV = sys.argv[1:]
PAGE = f"https://{NAME}:{HTTPS}/vnc/vnc_lite.html?path=vnc/websockify"
# Of the picture: its size, and the colours of a corner that nothing covers.
PICTURE = """
    const canvas = document.querySelector("#screen canvas");
    const at = [canvas.width - 10, canvas.height - 10];
    const colour = canvas.getContext("2d").getImageData(...at, 1, 1).data;
    return [canvas.width, canvas.height, ...colour.slice(0, 3)];
"""


def until(what, function, wanted, seconds=15):
    end = time.monotonic() + seconds
    while (got := function()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    equal(what, got, wanted)


def paint(colour):
    subprocess.run(["xsetroot", "-display", DISPLAY, "-solid", colour], check=True)


def keys():
    """The keys that were pressed in the window on the desktop."""
    lines = pathlib.Path(XEV).read_text().splitlines()
    pressed = [lines[n + 2] for n, line in enumerate(lines[:-2]) if line.startswith("KeyPress")]
    return "".join(line.split("keysym 0x")[1].split(", ")[1].split(")")[0] for line in pressed)


with chromium(CERTIFICATE, PROFILE) as driver:
    driver.get(PAGE)
    status = driver.find_element(By.ID, "status")
    until("status", lambda: status.text.startswith("Connected"), True)
    picture = lambda: driver.execute_script(PICTURE)
    for name, colour in (("#ff0000", [255, 0, 0]), ("#00ff80", [0, 255, 128])):
        paint(name)
        until(f"picture painted {name}", picture, [800, 600, *colour])
    os.kill(int(PID), signal.SIGHUP)
    time.sleep(0.5)
    canvas = driver.find_element(By.CSS_SELECTOR, "#screen canvas")
    # The window is in the upper left corner, and has the keys while the pointer is in it.
    left, top = (-(canvas.size[side] // 2) + 60 for side in ("width", "height"))
    chain = ActionChains(driver)
    chain.move_to_element_with_offset(canvas, left, top).click().send_keys("wayhold").perform()
    until("keys", keys, "wayhold")
    paint("#0000ff")
    until("picture after a reload", picture, [800, 600, 0, 0, 255])
    driver.get_screenshot_as_file(f"{PROFILE}.png")
