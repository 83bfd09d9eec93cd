"""Which cases are run, and which of them a limit has to end."""

# How many the suite has.
ALL = 517
CORE = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
# Messages of 64 KiB to 16 MiB, whole and in pieces.
LONG = ["9.*"]
SOME_LONG = ["9.1.3", "9.1.4", "9.2.3", "9.2.4", "9.3.5", "9.5.1", "9.7.6"]
# permessage-deflate: a thousand messages each.
COMPRESSED = ["12.*", "13.*"]
SOME_COMPRESSED = ["12.1.1", "12.1.2", "12.1.5", "12.2.5", "12.3.1", "12.4.5", "13.1.1", "13.3.1", "13.5.1"]

MESSAGE_LIMIT, FRAME_LIMIT = 'max_message_size = "1MiB"', 'max_frame_size = "1k"'
BYTES = {MESSAGE_LIMIT: 1 << 20, FRAME_LIMIT: 1 << 10}
# The code of the Close that says so.
TOO_BIG = 1009


def compressed(case):
    return case.startswith(("12.", "13."))


def longest(limit, sizes):
    """What counts of a case's sizes (see sizes.py): an echo may be one frame whatever it was."""
    frame, message, whole = sizes
    return message if limit == MESSAGE_LIMIT else max(frame, whole)


def exceeds(limit, sizes):
    return longest(limit, sizes) > BYTES[limit]


def certain(limit, case, sizes):
    """Whether it is certain if a case exceeds: what is compressed may be longer or shorter as an echo."""
    return not compressed(case) or not BYTES[limit] / 2 < longest(limit, sizes) < BYTES[limit] * 2


def order(case):
    return [int(part) for part in case.split(".")]
