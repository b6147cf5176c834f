"""pymavlink's own FTP client: pymavlink_client.py CONNECTION_URL STEPS. Steps and outcomes are JSON.

Steps: ["list", dir] ["get", path, local] ["put", local, path] ["crc", path] ["rm", path] ["mkdir", dir] ["rmdir", dir]
["rename", from, to]
"""
import json
import logging
import re
import sys

from pymavlink import mavftp, mavutil

WAIT_S = 60
# A command returns after so much silence of our own.
COMMAND_IDLE_S = 1.2
# While a burst comes in the client sends nothing: ArduPilot's longest here takes almost 3 s.
TRANSFER_IDLE_S = 4


class Crc(logging.Handler):
    """The CRC is only logged."""

    value = None

    def emit(self, record):
        found = re.match(r"crc: .* (0x[0-9a-f]{8})", record.getMessage())
        if found:
            self.value = int(found.group(1), 16)


def run(ftp, crc, step):
    name, *args = step
    ftp.ftp_settings.idle_detection_time = TRANSFER_IDLE_S if name in ("get", "put") else COMMAND_IDLE_S
    if name == "list":
        error = ftp.cmd_list(args).error_code
        entries = sorted([e.name, e.is_dir, e.size_b] for e in ftp.list_result)
        return {"error": int(error), "entries": entries}
    if name == "crc":
        crc.value = None
        error = ftp.cmd_crc(args).error_code
        return {"error": int(error), "crc": crc.value}
    if name in ("get", "put"):
        {"get": ftp.cmd_get, "put": ftp.cmd_put}[name](args)
        return {"error": int(ftp.process_ftp_reply(name, timeout=WAIT_S).error_code)}
    call = {"rm": ftp.cmd_rm, "mkdir": ftp.cmd_mkdir, "rmdir": ftp.cmd_rmdir, "rename": ftp.cmd_rename}[name]
    return {"error": int(call(args).error_code)}


def main(url, steps):
    crc = Crc()
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger().addHandler(crc)
    link = mavutil.mavlink_connection(url, source_system=245, source_component=191)
    # A TCP or waiting server hears nothing before somebody speaks.
    link.mav.heartbeat_send(18, 8, 0, 0, 0)
    if link.wait_heartbeat(timeout=20) is None:
        sys.exit("no heartbeat was heard")
    link.mav.heartbeat_send(18, 8, 0, 0, 0)
    ftp = mavftp.MAVFTP(link, target_system=link.target_system, target_component=1)
    print("OUTCOME " + json.dumps([run(ftp, crc, step) for step in json.loads(steps)]), flush=True)


main(*sys.argv[1:])
