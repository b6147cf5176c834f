"""A driver that misbehaves in the way that its argument "fault" names. Without one it is a small good driver."""
import json
import os
import signal
import subprocess
import sys
import time

fault = ""
list_id = None


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def send(message):
    write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def reply(call, result):
    send({"id": call["id"], "result": result})


def fail(call, code, message, **data):
    send({"id": call["id"], "error": {"code": -32000, "message": message, "data": {"code": code, **data}}})


def entries(call, items):
    send({"method": "$/entries", "params": {"id": call["id"], "entries": items}})


def file(path, **fields):
    return {"path": path, "kind": "file", "sizeBytes": 1, **fields}


def hang():
    while True:
        time.sleep(1000)


def next_message():
    line = sys.stdin.readline()
    if line == "":
        sys.exit(0)
    return json.loads(line)


def initialize(call):
    global fault
    fault = call["params"]["args"].get("fault", "")
    if fault == "invalid-config":
        return fail(call, "invalid_config", "Argument \"fault\" is wrong", pointer="/fault")
    if fault == "refuse-start":
        return fail(call, "denied", "No key")
    if fault == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if fault == "orphan":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    capabilities = {"callsMax": 1000 if fault == "greedy" else 4, "recursiveList": True, "confirm": True, "future": {}}
    if fault == "early-state":
        send({"method": "$/state", "params": {"held": True, "reason": "armed"}})
    reply(call, {"name": "bad", "version": "1", "deviceId": "uid:1", "capabilities": capabilities, "more": [1]})


def list_(call):
    if fault == "half":
        write('{"jsonrpc":"2.0","method":"$/entries","params":{"id":%d,"entries":[' % call["id"])
        sys.exit(0)
    if fault == "torn":
        write('{"jsonrpc":"2.0","method":"$/entries","params":{"id":%d,"ent\n' % call["id"])
    if fault == "big-line":
        entries(call, [file("a")])
        write('{"pad":"' + "x" * (2 * 1024 * 1024) + '"}\n')
    if fault == "wrong-id":
        send({"method": "$/entries", "params": {"id": "list", "entries": [file("a")]}})
    if fault == "no-list-of-entries":
        send({"method": "$/entries", "params": {"id": call["id"], "entries": {"path": "a"}}})
        while next_message().get("method") != "$/cancel":
            pass
        return fail(call, "cancelled", "Cancelled")
    if fault == "incomplete":
        return reply(call, {})
    if fault == "chatty":
        write("Connecting to the camera ...\n")
        entries(call, [file("a")])
        write("\x00\xffdone\n")
    if fault == "outside":
        directory = call["params"]["directory"]
        entries(call, [
            file(directory + "/good"), file(directory), file("/etc/passwd"), file("../up"), file(directory + "/../up"),
            file(directory + "/sub/deep"), file(directory + "//x"), file(directory + "x/y"), file("other/z"),
            file(directory + "/line\nfeed"), file(directory + "/" + "n" * 300), file(directory + "/size", sizeBytes=-1),
            file(directory + "/time", modifiedMs=1.6), {"path": 7, "kind": "file"}, {"path": directory + "/k"}, "text",
        ])
    if fault == "million":
        for batch in range(1000):
            entries(call, [file("d%d/f%d" % (batch, at), modifiedMs=at) for at in range(1000)])
    if fault == "batches":
        for batch in range(5):
            entries(call, [file("f%d" % batch)])
    if fault in ("cancellable", "stubborn", "quits-instead"):
        entries(call, [file("a")])
        while next_message().get("method") != "$/cancel":
            pass
        if fault == "stubborn":
            hang()
        if fault == "quits-instead":
            sys.exit(9)
        return fail(call, "failed", "socket was closed", resume={"at": 5})
    reply(call, {"complete": True})


def stat(call):
    path = call["params"]["path"]
    if fault == "stderr-flood":
        line = b"E" * 99 + b"\n"
        for _ in range(100):
            os.write(2, b"\n" * 1000)
            for _ in range(10):
                sys.stderr.buffer.write(line * 1000)
        sys.stderr.buffer.write(b"x" * 5_000_000 + b"\nthe last line\n")
        sys.stderr.buffer.flush()
    if fault == "giant-line":
        for _ in range(1024):
            write("z" * (1 << 20))
        write("\n")
    if fault == "asks":
        send({"id": "mine", "method": "host/secrets", "params": {}})
        return reply(call, file(path, etag=str(next_message()["error"]["code"])))
    if fault == "unknown":
        send({"method": "$/future", "params": {"id": call["id"]}})
        send({"method": "future", "params": [1, 2]})
        send({"id": 9999, "result": "nobody asked"})
        return reply(call, {**file(path), "future": 1})
    if fault == "other-path":
        return reply(call, file("other"))
    if fault == "environment":
        return reply(call, file(path, etag=json.dumps(sorted(os.environ)), problem=os.getcwd()))
    if fault == "fork":
        child = subprocess.Popen(["sleep", "1000"])
        return reply(call, file(path, etag=str(child.pid)))
    if fault == "fork-and-die":
        child = subprocess.Popen(["sleep", "1000"])
        print(child.pid, file=sys.stderr, flush=True)
        os._exit(4)
    if fault == "flee":
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        return reply(call, file(path, etag=str(child.pid)))
    if fault == "cancels-itself":
        return fail(call, "cancelled", "I had enough")
    if fault == "odd-error":
        return fail(call, "no-such-code", "It \x1b[31mbroke\x1b[0m\n with hunter22", hint="say hunter22", retryAfterMs=1e300)
    if fault == "states":
        send({"method": "$/state", "params": {"available": False, "reason": "unplugged", "deviceId": "uid:2",
                                              "callsMax": 0, "held": "yes"}})
    if fault == "state-then-die":
        send({"method": "$/state", "params": {"available": False, "reason": "unplugged"}})
        reply(call, file(path))
        next_message()
        os._exit(1)
    if fault == "closes-stdout":
        os.close(1)
        hang()
    if fault == "closes-stdin":
        os.close(0)
        send({"method": "$/state", "params": {"reason": "deaf"}})
        hang()
    if fault == "kill-9":
        os.kill(os.getpid(), signal.SIGKILL)
    reply(call, file(path))


def download(call):
    params = call["params"]
    if fault == "grows":
        with open(params["spoolFile"], "ab", buffering=0) as spool:
            for _ in range(25):
                time.sleep(0.1)
                spool.write(b"x")
    if fault == "patience":
        send({"method": "$/progress", "params": {"id": call["id"], "doneBytes": 0, "waitMs": 60000}})
        time.sleep(2.5)
    if fault == "unchanged-progress":
        for _ in range(25):
            time.sleep(0.1)
            send({"method": "$/progress", "params": {"id": call["id"], "doneBytes": 1}})
    if fault == "bad-progress":
        for bad in [-1, "1", 1.5, None, 10**17]:
            send({"method": "$/progress", "params": {"id": call["id"], "doneBytes": bad}})
        send({"method": "$/progress", "params": {"id": call["id"], "doneBytes": 3, "resume": "r" * 9000}})
    if fault == "bad-size":
        return reply(call, {"sizeBytes": "1", "fingerprint": {}})
    reply(call, {"sizeBytes": 1, "fingerprint": {"sizeBytes": 1}})


def upload(call):
    params = call["params"]
    if fault == "bad-receipt":
        return reply(call, {"path": "../up", "sizeBytes": 1, "verified": "size"})
    reply(call, {"path": params["path"], "sizeBytes": params["sizeBytes"], "verified": "size", "checksum": {
        "algorithm": "MD5", "value": "D41D8CD98F00B204E9800998ECF8427E"}})


def confirm(call):
    reply(call, {} if fault == "bad-receipt" else {"receipt": None})


def check(call):
    reply(call, [{"name": "reach", "ok": False, "detail": "no route", "remedy": "Plug it in"}])


def shutdown(call):
    if fault in ("stubborn", "orphan"):
        hang()
    reply(call, {})
    sys.exit(0)


METHODS = {"initialize": initialize, "list": list_, "stat": stat, "download": download, "upload": upload,
           "confirm": confirm, "check": check, "shutdown": shutdown, "remove": lambda call: reply(call, {})}

while True:
    call = next_message()
    method = call.get("method", "")
    if "id" not in call:
        continue
    given = fault or call.get("params", {}).get("args", {}).get("fault", "")
    if given == "crash:" + method:
        print("Traceback (most recent call last):\nValueError: boom in " + method, file=sys.stderr, flush=True)
        os._exit(7)
    if given == "hang:" + method:
        hang()
    if method in METHODS:
        METHODS[method](call)
    else:
        send({"id": call["id"], "error": {"code": -32601, "message": "Method is not supported"}})
