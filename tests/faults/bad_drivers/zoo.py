#!/usr/bin/env python3
"""The example driver, but for the one thing that its argument "fault" names: a hostile or odd third-party driver for the
real program. Each fault is a function named after it; it runs in place of the method that it is declared for."""
import os
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../plugins/examples/folder"))
import folder  # noqa: E402
from folder import Failure, send  # noqa: E402

good = dict(folder.METHODS)
faults = {}


class NoAnswer(Exception):
    """The fault has answered in its own way, or not at all."""


def fault(method):
    """Declares a function as the fault of its name in `method`."""
    def declare(function):
        faults[function.__name__.replace("_", "-")] = (method, function)
        return function
    return declare


def raw(data):
    data = data.encode() if isinstance(data, str) else data
    while data:
        data = data[os.write(1, data):]


def notify(method, **params):
    send({"method": method, "params": params})


def file(path, **fields):
    return {"path": path, "kind": "file", "sizeBytes": 3, "modifiedMs": 1700000000000, **fields}


def entries(call, items):
    notify("$/entries", id=call["id"], entries=items)


def result_of(params):
    return {"sizeBytes": params["expect"]["sizeBytes"], "fingerprint": params["expect"]}


# initialize

@fault("initialize")
def init_null(call, params):
    return None


@fault("initialize")
def init_fails(call, params):
    raise Failure("failed", "Cannot today")


@fault("initialize")
def init_odd_types(call, params):
    return {**good["initialize"](call, params), "deviceId": "../../etc", "capabilities": {
        "callsMax": "4", "resumeDownload": "yes", "recursiveList": True, "modifiedPrecisionMs": 1e300, "checksums": 7}}


@fault("initialize")
def flaps(call, params):
    """Comes, goes and is held a thousand times a second."""
    def flap():
        for n in range(10**9):
            notify("$/state", available=n % 2 == 0, held=n % 3 == 0, reason="flap %d" % n, callsMax=n - 1)
            time.sleep(0.001)
    result = good["initialize"](call, params)
    threading.Thread(target=flap, daemon=True).start()
    return result


@fault("initialize")
def flees(call, params):
    """Leaves a process behind in a session of its own."""
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open(os.path.join(params["args"]["dir"], "../fled"), "w") as note:
        note.write(str(child.pid))
    return good["initialize"](call, params)


@fault("initialize")
def stuffs_state(call, params):
    with open(os.path.join(params["stateDir"], "junk"), "wb") as junk:
        junk.write(b"x" * (65 << 20))
    return good["initialize"](call, params)


# list

@fault("list")
def list_opens_files(call, params):
    """100,000 files, or as many as it may have open."""
    opened = []
    try:
        for _ in range(100_000):
            opened.append(open(os.devnull))
    except OSError:
        pass
    count = len(opened)
    for file in opened:
        file.close()
    raise Failure("failed", "Opened %d files" % count)


@fault("list")
def list_eats_memory(call, params):
    """16 GiB, or as much as it may have."""
    eaten = []
    try:
        for _ in range(1024):
            eaten.append(bytearray(16 << 20))
    except MemoryError:
        pass
    mebibytes = 16 * len(eaten)
    eaten.clear()
    raise Failure("failed", "Ate %d MiB" % mebibytes)


@fault("list")
def list_eats_together(call, params):
    """No process takes much, all of them do."""
    for _ in range(4):
        subprocess.Popen([sys.executable, "-c", "import time\nx = b'x' * (40 << 20)\ntime.sleep(1000)"])
    time.sleep(1000)


@fault("list")
def list_spins(call, params):
    """Keeps a processor busy for as long as it lives, and never answers anything again."""
    notify("$/log", level="info", message="Spins at nice %d" % os.nice(0))
    while True:
        pass


@fault("list")
def list_dies(call, params):
    entries(call, [file("a")])
    os._exit(0)


@fault("list")
def list_garbage(call, params):
    raw(b'\x00\xff garbage\n{\n[]\n{"jsonrpc":"2.0"}\n' + b"z" * (3 << 20) + b"\n")
    return good["list"](call, params)


@fault("list")
def list_new_card(call, params):
    notify("$/state", deviceId="card-%d" % time.time_ns())
    return good["list"](call, params)


@fault("list")
def list_names(call, params):
    entries(call, [file(path) for path in (
        "../evil", "/etc/evil", "a/../../evil", "./x", "x/", "a//b", "", "..", "nul\0x", "line\r\nfeed", "esc\x1b[2J",
        "n" * 4096, "CASE", "case", "$(touch pwned)", "filesync-0123456789abcdef.part")])
    return good["list"](call, params)


@fault("list")
def list_types(call, params):
    entries(call, [{"path": 7, "kind": "file"}, None, "text", [], {"path": "k", "kind": 9},
                   file("s", sizeBytes="12"), file("h", sizeBytes=1e308), file("m", modifiedMs=1e300),
                   file("p", problem={"a": 1}), file("q", problem="x\x1b[2J" * 10000)])
    return good["list"](call, params)


@fault("list")
def list_late(call, params):
    send({"id": call["id"], "result": good["list"](call, params)})
    entries(call, [file("late")])
    send({"id": call["id"], "error": {"code": -32000, "message": "no", "data": {"code": "failed"}}})
    send({"id": 99999, "result": {}})
    raise NoAnswer


# download

@fault("download")
def download_dies(call, params):
    print("ValueError: boom", file=sys.stderr, flush=True)
    os._exit(7)


@fault("download")
def download_endless(call, params):
    """Writes until it is killed, and says nothing."""
    with open(params["spoolFile"], "ab", buffering=0) as spool:
        while True:
            spool.write(b"x" * 65536)
            time.sleep(0.001)


@fault("download")
def download_lies_of_size(call, params):
    result = good["download"](call, params)
    return {**result, "sizeBytes": result["sizeBytes"] + 1}


@fault("download")
def download_lies_of_progress(call, params):
    for done in (10**12, 1, -5, "7", 1e300, None):
        notify("$/progress", id=call["id"], doneBytes=done, waitMs="1")
    for done in range(20000):
        notify("$/progress", id=call["id"], doneBytes=done)
    return good["download"](call, params)


@fault("download")
def download_links(call, params):
    os.unlink(params["spoolFile"])
    os.symlink(os.path.join(folder.root, "../canary"), params["spoolFile"])
    return result_of(params)


@fault("download")
def download_hard_links(call, params):
    """The host must not cut what it finds in the place of its file."""
    os.unlink(params["spoolFile"])
    os.link(os.path.join(folder.root, "../canary"), params["spoolFile"])
    raise Failure("failed", "Linked")


@fault("download")
def download_makes_folder(call, params):
    os.unlink(params["spoolFile"])
    os.makedirs(params["spoolFile"] + "/full")
    return result_of(params)


@fault("download")
def download_moves_spool(call, params):
    spool = os.path.dirname(params["spoolFile"])
    os.rename(spool, "%s.%d" % (spool, time.time_ns()))
    os.symlink(os.path.join(folder.root, "../canaries"), spool)
    return result_of(params)


@fault("download")
def download_finds_no_room(call, params):
    raise Failure("no_space", "Full, I say")


@fault("download")
def download_bad_error(call, params):
    send({"id": call["id"], "error": "oops"})
    raise NoAnswer


@fault("download")
def download_odd_error(call, params):
    raise Failure("E_NOPE", "\x1b[2Jall is well\r\n", hint="h" * 100000, retryAfterMs="10", scope=7, resume="r" * 9000)


@fault("download")
def download_deep_resume(call, params):
    deep = "[" * 300000 + "]" * 300000
    raw('{"jsonrpc":"2.0","method":"$/progress","params":{"id":%d,"doneBytes":1,"resume":%s}}\n' % (call["id"], deep))
    return good["download"](call, params)


# upload

@fault("upload")
def upload_dies(call, params):
    os._exit(3)


@fault("upload")
def upload_writes_spool(call, params):
    with open(params["spoolFile"], "r+b") as spool:
        spool.write(b"EVIL")
    return good["upload"](call, params)


@fault("upload")
def upload_takes_and_spoils(call, params):
    with open(params["spoolFile"], "r+b") as spool:
        spool.write(b"EVIL")
    return good["upload"](call, params)


@fault("upload")
def upload_takes_and_fails(call, params):
    taken = os.path.join(folder.root, params["path"])
    os.makedirs(os.path.dirname(taken), exist_ok=True)
    os.rename(params["spoolFile"], taken)
    with open(taken, "r+b") as published:
        published.write(b"EVIL")
    raise Failure("failed", "Spoilt what was taken")


@fault("upload")
def upload_lies(call, params):
    return {**good["upload"](call, params), "path": "../up", "sizeBytes": "1", "verified": "yes"}


def initialize(call, params):
    result = honest_initialize(call, params)
    if params["args"].get("fault", "").startswith("upload-takes"):
        result["capabilities"]["takesSpoolFile"] = True
    return result


honest_initialize = good["initialize"]
good["initialize"] = initialize


def method(name):
    def run(call, params):
        chosen = given or params.get("args", {}).get("fault", "")
        where, function = faults.get(chosen, ("", None))
        return function(call, params) if where == name else good[name](call, params)
    return run


given = ""
answer, code_of, real_send = folder.answer, folder.code_of, folder.send


def answered(call):
    global given
    if call["method"] == "initialize":
        given = call["params"]["args"].get("fault", "")
    return answer(call)


def unless_silent(message):
    error = message.get("error")
    if not (isinstance(error, dict) and error.get("data", {}).get("silent")):
        real_send(message)


folder.send = unless_silent
folder.code_of = lambda error: {"silent": True} if isinstance(error, NoAnswer) else code_of(error)
folder.answer = answered
folder.METHODS = {name: method(name) for name in good}
folder.main()
