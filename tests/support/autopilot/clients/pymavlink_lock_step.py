"""Reads a file with one ReadFile at a time, as the oldest clients do, over pymavlink's link: pymavlink_lock_step.py
CONNECTION_URL PATH SECONDS. Prints how many bytes came in how many seconds."""
import json
import struct
import sys
import time

from pymavlink import mavutil

OPEN_RO, TERMINATE, READ, ACK = 4, 1, 5, 128
TIMEOUT_S = 0.5
DATA_MAX = 239


class Reader:
    """One request, one answer."""

    def __init__(self, link):
        self.link = link
        self.seq = 0

    def ask(self, opcode, session=0, size=0, offset=0, data=b""):
        while True:
            head = struct.pack("<HBBBBBBI", self.seq, session, opcode, size, 0, 0, 0, offset)
            payload = bytearray(head + data).ljust(251, b"\0")
            self.link.mav.file_transfer_protocol_send(0, self.link.target_system, 1, payload)
            wanted = (self.seq + 1) & 0xFFFF
            self.seq = (self.seq + 2) & 0xFFFF
            end = time.monotonic() + TIMEOUT_S
            while (left := end - time.monotonic()) > 0:
                message = self.link.recv_match(type="FILE_TRANSFER_PROTOCOL", blocking=True, timeout=left)
                if message is None:
                    break
                reply = bytes(message.payload)
                if reply[0] | reply[1] << 8 == wanted:
                    return reply[3] == ACK, reply[2], reply[12 : 12 + reply[4]]


def main(url, path, seconds):
    link = mavutil.mavlink_connection(url, source_system=245, source_component=191)
    link.mav.heartbeat_send(18, 8, 0, 0, 0)
    if link.wait_heartbeat(timeout=20) is None:
        sys.exit("no heartbeat was heard")
    link.mav.heartbeat_send(18, 8, 0, 0, 0)
    reader = Reader(link)
    isOpen, session, _ = reader.ask(OPEN_RO, size=len(path), data=path.encode())
    if not isOpen:
        sys.exit("the file was not opened")
    start = time.monotonic()
    count = 0
    while time.monotonic() - start < float(seconds):
        isThere, _, data = reader.ask(READ, session, DATA_MAX, count)
        if not isThere:
            break
        count += len(data)
    took = time.monotonic() - start
    reader.ask(TERMINATE, session)
    print("OUTCOME " + json.dumps([{"bytes": count, "seconds": took}]), flush=True)


main(*sys.argv[1:])
