"""A shell in WeTTY's page, used as a person would:

drive.py CERT PROFILE WAYHOLD_PID METRICS_PORT CONFIG
"""

import os
import re
import signal
import sys
import time
import urllib.request

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from chromium import NAME, chromium, equal

CERTIFICATE, PROFILE, PID, METRICS, CONFIG = sys.argv[1:]

# What the terminal shows and has shown; lines that it wrapped are one.
SCREEN = """
    const terminal = window.wetty_term;
    if (!terminal) return "";
    const buffer = terminal.buffer.active;
    let text = "";
    for (let at = 0; at < buffer.length; at++) {
        const line = buffer.getLine(at);
        text += (at > 0 && !line.isWrapped ? "\\n" : "") + line.translateToString(true);
    }
    return text.trimEnd();
"""
SIZE = "return [window.wetty_term.rows, window.wetty_term.cols];"


def until(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return value


class Terminal:
    def __init__(self, driver):
        self.driver = driver
        until("a prompt", lambda: "ready>" in self.screen())

    def screen(self):
        return self.driver.execute_script(SCREEN)

    def type(self, text):
        ActionChains(self.driver).send_keys(text).perform()

    def ask(self, command, pattern):
        """Types the command; what the pattern finds in a line of the screen that came after."""
        before = len(re.findall(pattern, self.screen(), re.MULTILINE))
        self.type(command + "\n")

        def found():
            matches = re.findall(pattern, self.screen(), re.MULTILINE)
            return matches[-1] if len(matches) > before else None

        return until(command, found)


def revision():
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics") as page:
        text = page.read().decode()
    return int(re.search(r"^wayhold_config_revision (\d+)$", text, re.MULTILINE)[1])


def reload():
    """Shorter clocks, another header: the tunnel follows the ones, the page shows the other."""
    before = revision()
    with open(CONFIG) as file:
        text = file.read()
    text = text.replace('idle_timeout = "12h"', 'idle_timeout = "1h"')
    with open(CONFIG, "w") as file:
        file.write(text.replace('"first"', '"second"'))
    os.kill(int(PID), signal.SIGHUP)
    until("a reload", lambda: revision() == before + 1)


def header(driver):
    script = "return fetch(location.href).then((page) => page.headers.get('X-Configuration'));"
    return driver.execute_script(script)


def resized(driver, terminal, width, height):
    before = driver.execute_script(SIZE)
    driver.set_window_size(width, height)
    rows, columns = until(
        "another size", lambda: (s := driver.execute_script(SIZE)) != before and s
    )
    # The new size is on its way to the shell.
    for _ in range(20):
        told = terminal.ask("stty size", r"^\d+ \d+$")
        if told == f"{rows} {columns}":
            break
        time.sleep(0.1)
    equal(f"size of a window of {width} by {height}", told, f"{rows} {columns}")


with chromium(CERTIFICATE, PROFILE) as driver:
    driver.get(f"https://{NAME}/terminal")
    shell = Terminal(driver)
    equal("a command", shell.ask("echo $((6 * 7))-answer", r"^\d+-answer$"), "42-answer")
    shell.type("X=kept; sleep 100\n")
    time.sleep(0.5)
    ActionChains(driver).key_down(Keys.CONTROL).send_keys("c").key_up(Keys.CONTROL).perform()
    equal("interrupted", shell.ask("echo code-$?", r"^code-\d+$"), "code-130")
    resized(driver, shell, 700, 500)
    resized(driver, shell, 1100, 900)
    equal("much output", shell.ask("seq 100000; echo all-$?", r"^all-\d$"), "all-0")
    lines = [line for line in shell.screen().splitlines() if line.isdigit()]
    equal("its end", lines[-1], "100000")
    equal("in order", lines == [str(int(lines[0]) + n) for n in range(len(lines))], True)
    equal("the page", header(driver), "first")
    started = shell.ask("echo shell-$$", r"^shell-\d+$")
    reload()
    equal("the page after a reload", header(driver), "second")
    after = shell.ask("echo $X; echo shell-$$", r"^kept\nshell-\d+$")
    equal("the shell after a reload", after.split(), ["kept", started])
    equal("umlauts", shell.ask("echo schön-$((1 + 1))", r"^sch.*n-\d$"), "schön-2")
    driver.get_screenshot_as_file(f"{PROFILE}.png")
    shell.type("exit\n")
    time.sleep(1)
