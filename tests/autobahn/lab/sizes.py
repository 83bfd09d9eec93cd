"""What Autobahn|Testsuite's cases send, from the cases themselves: each is run against a peer that is
not there, which notes the sizes and echoes every message. Python 2, as the suite is.

    sizes.py [--sizes] PATTERN...

Prints, as JSON, the cases that the suite has for these patterns. With --sizes each has the payloads
of its longest frame, of its longest message, and of its longest whole message, which comes back as
an echo. Compressed ones count compressed, with zlib: another compressor's may differ.
"""

import json
import sys
import zlib

from autobahn.websocket.protocol import WebSocketProtocol
from autobahntestsuite.case import Cases, CaseCategories, CaseSubCategories
from autobahntestsuite.caseset import CaseSet

TEXT, BINARY = 1, 2


class Peer(object):
    """Takes the place of the suite's connection: what a case says to it, it notes."""

    state = WebSocketProtocol.STATE_OPEN
    localCloseReason = None
    trafficStats = None

    def __init__(self, compressed):
        self.factory = self
        self.isServer = False
        self.autoFragmentSize = 0
        self._perMessageCompress = compressed or None
        self.compressed = compressed
        self.frame = self.message = self.whole = 0
        self.partial, self.open = "", None
        self.echoes, self.later = [], []

    def __getattr__(self, name):
        # The codes of Close; and whatever else a case does with its connection changes no size.
        if name.startswith("CLOSE_STATUS_CODE_"):
            return getattr(WebSocketProtocol, name)
        if name in ("closeAfter", "killAfter", "enableWirelog", "sendClose", "sendCloseFrame"):
            return lambda *_, **__: None
        raise AttributeError(name)

    def continueLater(self, delay, action, tag=None):
        self.later.append(action)

    def sendFrame(self, opcode, payload="", fin=True, payload_len=None, **_):
        if payload_len is not None:
            payload = (payload * (payload_len // max(len(payload), 1) + 1))[:payload_len]
        self.frame = max(self.frame, len(payload))
        if opcode >= 8:
            return
        if opcode:
            self.open = opcode
        self.partial += payload
        self.message = max(self.message, len(self.partial))
        if fin:
            self.end()

    def end(self):
        self.whole = max(self.whole, len(self.partial))
        self.echoes.append((self.partial, self.open == BINARY))
        self.partial = ""

    def sendMessage(self, payload, isBinary=False, fragmentSize=None):
        wire = self.deflate(payload) if self.compressed else payload
        size = fragmentSize or self.autoFragmentSize or max(len(wire), 1)
        self.frame = max(self.frame, min(size, len(wire)))
        self.message = max(self.message, len(wire))
        self.whole = max(self.whole, len(wire))
        self.echoes.append((payload, isBinary))

    @staticmethod
    def deflate(payload):
        # gorilla/websocket has each message compressed by itself.
        deflater = zlib.compressobj(-1, zlib.DEFLATED, -15)
        return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def beginMessage(self, isBinary=False):
        self.open = BINARY if isBinary else TEXT

    def beginMessageFrame(self, length):
        self.frame = max(self.frame, length)

    def sendMessageFrameData(self, payload):
        self.partial += payload
        self.message = max(self.message, len(self.partial))

    def endMessage(self):
        self.end()


def sizes(case, compressed):
    peer = Peer(compressed)
    run = case(peer)
    run.onOpen()
    while peer.later or peer.echoes:
        if peer.later:
            peer.later.pop(0)()
        else:
            run.onMessage(*peer.echoes.pop(0))
    return peer.frame, peer.message, peer.whole


def main():
    suite = CaseSet("Case", "Case", Cases, CaseCategories, CaseSubCategories)
    found = suite.parseSpecCases({"cases": [word for word in sys.argv[1:] if word != "--sizes"]})
    if "--sizes" not in sys.argv:
        print(json.dumps(found))
        return
    print(json.dumps({case: sizes(suite.CasesById[case], case.startswith(("12.", "13."))) for case in found}))


main()
