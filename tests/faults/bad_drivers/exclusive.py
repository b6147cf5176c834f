#!/usr/bin/env python3
"""The example driver as one process for both roles. It keeps a journal of its lives and of what it is asked, notes calls
that overlap although it allows one at a time, and does to a role what the file "fault" in its folder says."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../plugins/examples/folder"))
import folder  # noqa: E402

open_calls = set()
good = dict(folder.METHODS)
answer = folder.answer


def fault():
    try:
        with open(os.path.join(folder.root, "fault")) as file:
            return file.read().strip()
    except OSError:
        return ""


def note(line):
    with open(os.path.join(folder.root, "journal"), "a") as journal:
        journal.write("%d %s\n" % (os.getpid(), line))


def initialize(call, params):
    result = good["initialize"](call, params)
    note("initialize %s %s %s" % (params["role"], params["device"], params["stateDir"] + "|" + params["spoolDir"]))
    if fault() == "refuse:" + params["role"]:
        raise folder.Failure("invalid_config", "Cannot be a " + params["role"], pointer="/dir")
    if fault() == "fail:" + params["role"]:
        raise folder.Failure("failed", "Not as a " + params["role"])
    result["deviceId"] = "card-1"
    result["capabilities"]["callsMax"] = 3 if fault() == "wide" and params["role"] == "source" else 1
    return result


def stat(call, params):
    if fault() == "held":
        folder.send({"method": "$/state", "params": {"held": True, "reason": "armed", "deviceId": "card-2"}})
    if fault() == "crash":
        os._exit(9)
    return good["stat"](call, params)


def list_(call, params):
    """Leaves the names of this test out."""
    send = folder.send

    def filtered(message):
        if message.get("method") == "$/entries":
            entries = message["params"]["entries"]
            message["params"]["entries"] = [e for e in entries if e["path"] not in ("journal", "fault")]
        send(message)

    folder.send = filtered
    try:
        return good["list"](call, params)
    finally:
        folder.send = send


class Counted(folder.queue.Queue):
    """Calls that have arrived and are not answered."""

    def put(self, call, *more, **options):
        if call["method"] not in ("initialize", "shutdown"):
            if open_calls:
                note("overlap " + call["method"])
            open_calls.add(call["id"])
        super().put(call, *more, **options)


def counted(call):
    if call["method"] not in ("initialize", "shutdown"):
        note(call["method"])
    try:
        return answer(call)
    finally:
        open_calls.discard(call["id"])


folder.METHODS.update(initialize=initialize, stat=stat, list=list_)
folder.answer = counted
folder.calls = Counted()
folder.main()
