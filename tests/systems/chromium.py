"""A headless Chromium, Debian's, driven by Debian's chromedriver.

It trusts one certificate and no other, and knows one name, which is 127.0.0.1's.
"""

import base64
import contextlib
import hashlib
import json
import pathlib
import subprocess

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

NAME = "test.test.net"
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --disable-dev-shm-usage
    --disable-default-apps --no-default-browser-check --window-size=1000,700
    --disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,BackForwardCache
""".split()
SOCKETS = pathlib.Path(__file__).with_name("sockets.js").read_text()


def key_hash(certificate):
    """What --ignore-certificate-errors-spki-list wants."""
    pem = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-pubkey"],
        check=True,
        capture_output=True,
    ).stdout
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"], input=pem, check=True, capture_output=True
    ).stdout
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@contextlib.contextmanager
def chromium(certificate, profile):
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    )
    options.add_argument(f"--ignore-certificate-errors-spki-list={key_hash(certificate)}")
    options.add_argument(f"--user-data-dir={profile}")
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_script_timeout(60)
    driver.set_page_load_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()


def run(driver, body, *arguments):
    """Runs the body of an async function in the page, with sockets.js before it; what it returns."""
    script = f"""
        const done = arguments[arguments.length - 1];
        {SOCKETS}
        (async (...args) => {{ {body} }})(...Array.prototype.slice.call(arguments, 0, -1)).then(
            (value) => done(JSON.stringify({{ value }})),
            (error) => done(JSON.stringify({{ error: String(error) }})));
    """
    answer = json.loads(driver.execute_async_script(script, *arguments))
    assert "error" not in answer, answer["error"]
    return answer.get("value")


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"
    print(f"    {what}: {str(got)[:100]}", flush=True)
