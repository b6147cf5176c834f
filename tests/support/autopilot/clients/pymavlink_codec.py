"""pymavlink's codec against the simulator's: reads {"names": [...], "frames": [hex], "key": hex}, and prints what it
knows of the messages, what it reads from the frames, and a heartbeat that it signed itself."""
import json
import sys

from pymavlink.dialects.v20 import common as v2


def messages(names):
    by_name = {kind.msgname: kind for kind in v2.mavlink_map.values()}
    return {name: [by_name[name].id, by_name[name].crc_extra, by_name[name].unpacker.size] for name in names}


def signed(key):
    link = v2.MAVLink(None, srcSystem=7, srcComponent=8)
    link.signing.secret_key = key
    link.signing.sign_outgoing = True
    link.signing.link_id = 2
    link.signing.timestamp = 37_000_000_000_000
    return v2.MAVLink_heartbeat_message(2, 12, 0x51, 0, 3, 3).pack(link).hex()


def read(frames, key):
    link = v2.MAVLink(None)
    link.robust_parsing = True
    link.signing.allow_unsigned_callback = lambda *_: True
    link.signing.secret_key = key
    found = []
    for frame in frames:
        for message in link.parse_buffer(bytes.fromhex(frame)) or []:
            fields = {k: list(v) if isinstance(v, (list, bytearray)) else v for k, v in message.to_dict().items()}
            fields["signed"] = message.get_signed()
            found.append(fields)
    return found


def main():
    asked = json.loads(sys.argv[1])
    key = bytes.fromhex(asked["key"])
    answer = {
        "messages": messages(asked["names"]),
        "read": read(asked["frames"], key),
        "signed": signed(key),
    }
    print("OUTCOME " + json.dumps([answer]))


main()
