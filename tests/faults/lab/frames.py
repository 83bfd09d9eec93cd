"""WebSocket on the wire (RFC 6455), as little of it as the faults need."""

import base64
import hashlib
import os

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def header(opcode, length, mask=b""):
    """A final frame's header; a key of four bytes masks it."""
    bit = 0x80 if mask else 0
    if length < 126:
        return bytes([0x80 | opcode, bit | length]) + mask
    if length < 65536:
        return bytes([0x80 | opcode, bit | 126]) + length.to_bytes(2, "big") + mask
    return bytes([0x80 | opcode, bit | 127]) + length.to_bytes(8, "big") + mask


def xor(payload, key):
    """Masks or unmasks."""
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def frame(opcode, payload=b"", mask=False):
    if not mask:
        return header(opcode, len(payload)) + payload
    key = os.urandom(4)
    return header(opcode, len(payload), key) + xor(payload, key)


def close(code, mask=False):
    return frame(CLOSE, code.to_bytes(2, "big"), mask)


def take(data):
    """The first frame of a bytearray, taken out: (opcode, payload), or None when it is not whole."""
    if len(data) < 2:
        return None
    length, at = data[1] & 0x7F, 2
    if length == 126:
        length, at = int.from_bytes(data[2:4], "big"), 4
    elif length == 127:
        length, at = int.from_bytes(data[2:10], "big"), 10
    masked = data[1] & 0x80
    end = at + (4 if masked else 0) + length
    if len(data) < max(at, end):
        return None
    opcode = data[0] & 0x0F
    payload = bytes(data[end - length : end])
    if masked:
        payload = xor(payload, bytes(data[at : at + 4])) if length else b""
    del data[:end]
    return opcode, payload


def request(path, host="faults.test"):
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def switching(head):
    """The answer to a request's head."""
    lines = head.split(b"\r\n")
    key = next(v.strip() for k, _, v in (l.partition(b":") for l in lines) if k.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
