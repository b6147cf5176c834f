#!/usr/bin/env python3
"""Any remote of rclone as a source and a target, through the rclone that is there.

A download is `rclone cat --offset`, appended to the spool file: it resumes wherever the remote can read from an offset.
An upload is `rclone rcat` under a temporary name, compared by a hash that the remote has, then `rclone moveto`.
"""
import hashlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone

CHUNK = 64 * 1024
OVERLAP = 64 * 1024
calls = queue.Queue()
cancelled = set()
limits = {}
told = 0.0
root = ""
base = []


class Failure(Exception):
    """What went wrong: the code decides what FileSync does, the message is for people."""

    def __init__(self, code, message, **more):
        super().__init__(message)
        self.data = {"code": code, **more}


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def read_stdin():
    """In a thread of its own, so that a cancellation is heard while a call is under way."""
    for line in sys.stdin:
        message = json.loads(line)
        params = message.get("params") or {}
        if message.get("method") == "$/cancel":
            cancelled.add(params.get("id"))
        elif message.get("method") == "$/limit":
            limits[params.get("id")] = params.get("maxBytesPerSecond")
        elif "id" in message:
            calls.put(message)
    os._exit(0)  # FileSync is gone; what was started ends with its pipes


def check_cancel(call):
    if call["id"] in cancelled:
        raise Failure("cancelled", "Call is cancelled")


class Mover:
    """Progress, at most five times a second, and the call's rate limit."""

    def __init__(self, call, done):
        self.call, self.done, self.debt, self.since = call, done, 0.0, time.monotonic()
        limits.setdefault(call["id"], call["params"].get("maxBytesPerSecond"))

    def moved(self, count):
        global told
        self.done += count
        if time.monotonic() - told >= 0.2:
            told = time.monotonic()
            send({"method": "$/progress", "params": {"id": self.call["id"], "doneBytes": self.done}})
        limit = limits.get(self.call["id"])
        now = time.monotonic()
        self.debt = max(0.0, self.debt - (now - self.since) * (limit or 0)) + (count if limit else 0)
        self.since = now
        end = now + (self.debt / limit if limit else 0)
        while time.monotonic() < end:
            check_cancel(self.call)
            time.sleep(min(0.05, max(0.0, end - time.monotonic())))
        check_cancel(self.call)


class Rclone:
    """One run of rclone, ended when the call ends."""

    def __init__(self, call, *args, feed=False):
        self.call, self.words = call, tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                [*base, *args], stdin=subprocess.PIPE if feed else subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=self.words)
        except OSError as error:
            raise Failure("unsupported", "Cannot start rclone: %s" % error, hint="Install rclone, or name it in \"rclone\"")

    def __enter__(self):
        threading.Thread(target=self.watch, daemon=True).start()
        return self

    def watch(self):
        """Nothing may be waited for that a cancellation does not end."""
        while self.process.poll() is None:
            if self.call["id"] in cancelled:
                self.process.kill()
            time.sleep(0.05)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.words):
            if stream and not stream.closed:
                try:
                    stream.close()
                except OSError:
                    pass  # it holds what a dead rclone did not read

    def finish(self, what):
        """Waits for the end; a failure is told by rclone's exit code, or else by its words."""
        code = self.process.wait()
        check_cancel(self.call)
        if code != 0:
            self.words.seek(0)
            raise failure_of(code, self.words.read().decode("utf-8", "replace"), what)


WORDS = [
    ("no_space", r"no space left|quota|insufficient storage|storagefull"),
    ("unsupported", r"didn't find section in config|unknown flag|couldn't decrypt|not supported by"),
    ("denied", r"permission denied|access ?denied|unauthori[sz]ed|forbidden|\b40[13]\b|unable to authenticate"),
    ("unavailable", r"connection|timeout|timed out|no such host|network|dial tcp|unreachable|broken pipe|\b50[0-9]\b"),
]


def failure_of(code, words, what):
    last = [line for line in words.splitlines() if line.strip()][-1:]
    line = re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "", last[0]) if last else "exit code %d" % code
    if code in (3, 4):
        return Failure("not_found", "Cannot find %s" % what)
    for name, pattern in WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return Failure(name, "Cannot reach %s: %s" % (what, line))
    return Failure("unavailable" if code == 5 else "failed", "rclone failed at %s: %s" % (what, line))


def run(call, *args, what):
    with Rclone(call, *args) as rclone:
        output = rclone.process.stdout.read()
        rclone.finish(what)
        return output


def place(path):
    """The remote's name of a path of the contract, checked again: names are hostile input."""
    if path and (any(ord(c) < 32 or ord(c) == 127 for c in path)
                 or any(part in ("", ".", "..") for part in path.split("/"))):
        raise Failure("failed", "Cannot use the path %s" % json.dumps(path))
    if not path:
        return root
    return root + path if root.endswith((":", "/")) else root + "/" + path


def time_ms(text):
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$", text)
    seconds = datetime.fromisoformat(match[1] + ("+00:00" if match[3] == "Z" else match[3])).timestamp()
    return int(seconds) * 1000 + int((match[2] or "0").ljust(3, "0")[:3])


def entry(path, item):
    if item["IsDir"]:
        return {"path": path, "kind": "directory"}
    found = {"path": path, "kind": "file"}
    if item["Size"] >= 0:  # documents that Drive makes on demand have none
        found["sizeBytes"] = item["Size"]
    if item.get("ModTime"):
        found["modifiedMs"] = time_ms(item["ModTime"])
    if "\ufffd" in path or any("\ud800" <= c <= "\udfff" for c in path):
        found["problem"] = "Name holds bytes that cannot be told: rename the file"
    return found


def look(call, path, *flags):
    """What rclone says of a path, or None."""
    try:
        text = run(call, "lsjson", "--stat", "--no-mimetype", *flags, place(path), what='"%s"' % path)
    except Failure as failure:
        if failure.data["code"] != "not_found":
            raise
        return None
    item = json.loads(text)
    return item if item and (path or item["IsDir"]) else None


def demand_root(call):
    if look(call, "") is None:
        raise Failure("unavailable", 'Cannot find "%s"' % root, hint='rclone mkdir "%s"' % root)


def found_file(call, path, *flags):
    item = look(call, path, *flags)
    if item is None:
        demand_root(call)
        raise Failure("not_found", 'Cannot find "%s"' % path)
    return item


def fingerprint(item):
    return {key: value for key, value in entry("", item).items() if key in ("sizeBytes", "modifiedMs")}


def expect_same(path, expect, found):
    for field, value in found.items():
        if field in expect and expect[field] != value:
            raise Failure("changed", '"%s" changed: expected %s %s, found %s' % (path, field, expect[field], value))


def initialize(call, params):
    global root, base
    args = params["args"]
    root = args.get("remote", "")
    if not isinstance(root, str) or not root or root.startswith("-"):
        raise Failure("invalid_config", 'Argument "remote" must name a remote of rclone', pointer="/remote")
    base = [args.get("rclone", "rclone"), *args.get("flags", []), "--retries", "1", "--low-level-retries", "1"]
    if args.get("config"):
        base += ["--config", args["config"]]
    return {"name": "rclone", "version": "1.0.0", "capabilities": {
        "resumeDownload": True, "repeatable": True, "confirm": True, "recursiveList": True, "remove": True,
        "rateLimit": True, "modifiedPrecisionMs": 1}}


def list_(call, params):
    directory = params["directory"]
    batch = []

    def flush():
        if batch:
            send({"method": "$/entries", "params": {"id": call["id"], "entries": batch}})
            batch.clear()

    flags = ["-R", "--fast-list"] if params.get("recursive") else []
    try:
        with Rclone(call, "lsjson", "--no-mimetype", *flags, place(directory)) as rclone:
            for line in rclone.process.stdout:  # "[", an object a line, "]"
                text = line.strip().rstrip(b",")
                if text in (b"[", b"]", b"[]", b""):
                    continue
                item = json.loads(text)
                batch.append(entry(directory + "/" + item["Path"] if directory else item["Path"], item))
                if len(batch) >= 500:
                    flush()
            rclone.finish('"%s"' % directory)
    except Failure as failure:
        if failure.data["code"] == "not_found":
            demand_root(call)
        raise
    flush()
    return {"complete": True}


def stat(call, params):
    return entry(params["path"], found_file(call, params["path"]))


def download(call, params):
    path = params["path"]
    expect_same(path, params["expect"], fingerprint(found_file(call, path)))
    start = max(0, params["offsetBytes"] - OVERLAP)
    with open(params["spoolFile"], "r+b") as spool:
        spool.truncate(params["offsetBytes"])
        spool.seek(start)
        overlap = spool.read()
        mover = Mover(call, params["offsetBytes"])
        with Rclone(call, "cat", "--offset", str(start), place(path)) as rclone:
            theirs = rclone.process.stdout.read(len(overlap))
            if theirs != overlap:
                if len(theirs) < len(overlap):
                    rclone.finish('"%s"' % path)  # it may have ended so early because it failed
                raise Failure("corrupt", '"%s" differs from what was fetched of it before' % path)
            while chunk := rclone.process.stdout.read1(CHUNK):
                spool.write(chunk)
                spool.flush()
                mover.moved(len(chunk))
            rclone.finish('"%s"' % path)
    found = fingerprint(found_file(call, path))
    expect_same(path, params["expect"], found)
    return {"sizeBytes": found.get("sizeBytes", mover.done), "fingerprint": found}


def hashes_of(file):
    """Of the spool's copy: whichever of them the remote has too proves an upload."""
    made = {name: hashlib.new(name) for name in ("md5", "sha1", "sha256")}
    with open(file, "rb") as spool:
        while chunk := spool.read(1024 * 1024):
            for each in made.values():
                each.update(chunk)
    return {name: each.hexdigest() for name, each in made.items()}


def compare(item, params, ours):
    """Whether a file has our bytes: True or False where a hash tells, None where only the size agrees."""
    if item["IsDir"] or item["Size"] not in (-1, params["sizeBytes"]):
        return False
    theirs = {name.replace("-", "").lower(): value for name, value in (item.get("Hashes") or {}).items() if value}
    common = [name for name in theirs if name in ours]
    return all(theirs[name] == ours[name] for name in common) if common else None


def receipt_of(name, params, proven):
    receipt = {"path": name, "sizeBytes": params["sizeBytes"], "verified": "checksum" if proven else "size"}
    if proven:
        receipt["checksum"] = {"algorithm": "sha256", "value": params["sha256"]}
    return receipt


def names(params):
    """What "rename" tries: a/log.ulg, a/log~2.ulg, a/log~3.ulg; a long name is shortened to fit."""
    path = params["path"]
    yield path
    if params["onExisting"] != "rename":
        return
    directory, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    for n in range(2, 1000):
        tail = "~%d%s" % (n, extension)
        head = stem.encode()[:255 - len(tail.encode())].decode("utf-8", "ignore")
        yield os.path.join(directory, head + tail)


def read_back(call, path):
    """SHA-256 of a file on a remote without a hash that we have."""
    digest = hashlib.sha256()
    with Rclone(call, "cat", place(path)) as rclone:
        while chunk := rclone.process.stdout.read1(CHUNK):
            check_cancel(call)
            digest.update(chunk)
        rclone.finish('"%s"' % path)
    return digest.hexdigest()


def upload(call, params):
    path, target = params["path"], place(params["path"])
    if not path:
        raise Failure("failed", "Cannot upload to the root itself")
    demand_root(call)
    ours = hashes_of(params["spoolFile"])
    if ours["sha256"] != params["sha256"]:
        raise Failure("corrupt", 'The spool\'s copy of "%s" is damaged' % path)
    name = None
    for candidate in names(params):
        item = look(call, candidate, "--hash")
        if item is None:
            name = candidate
            break
        same = compare(item, params, ours)
        if same is None:
            same = read_back(call, candidate) == params["sha256"]
        if same:
            return receipt_of(candidate, params, True)
        if params["onExisting"] == "replace" and not item["IsDir"]:
            name = candidate
            break
    if name is None:
        raise Failure("rejected", 'Name "%s" is taken' % path)
    key = hashlib.sha256((path + "\n" + params["sha256"]).encode()).hexdigest()[:16]
    directory = os.path.dirname(path)
    part = (directory + "/" if directory else "") + "filesync-%s.part" % key
    try:
        with open(params["spoolFile"], "rb") as spool, \
                Rclone(call, "rcat", "--size", str(params["sizeBytes"]), place(part), feed=True) as rclone:
            mover = Mover(call, 0)
            try:
                while chunk := spool.read(CHUNK):
                    rclone.process.stdin.write(chunk)
                    rclone.process.stdin.flush()
                    mover.moved(len(chunk))
                rclone.process.stdin.close()
            except BrokenPipeError:
                pass  # its exit code says why
            rclone.finish('"%s"' % path)
        same = compare(found_file(call, part, "--hash"), params, ours)
        if same is False:
            raise Failure("corrupt", '"%s" arrived damaged' % path)
        keep_time(call, part, params)
        run(call, "moveto", "--ignore-times", place(part), place(name), what='"%s"' % name)
        return receipt_of(name, params, same)
    finally:
        clean(part)


def keep_time(call, part, params):
    if "modifiedMs" not in params:
        return
    stamp = datetime.fromtimestamp(params["modifiedMs"] / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    try:
        run(call, "touch", "--no-create", "--timestamp", stamp, place(part), what="the time")
    except Failure as failure:
        if failure.data["code"] in ("cancelled", "unavailable"):
            raise  # else the remote keeps no times


def clean(part):
    """What is left under the temporary name, also of a call that was cancelled."""
    subprocess.run([*base, "deletefile", place(part)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60, check=False)


def confirm(call, params):
    demand_root(call)
    ours = {"sha256": params["sha256"]}
    if os.path.exists(params["spoolFile"]):
        held = hashes_of(params["spoolFile"])
        # Asked for an older content, before that is replaced, the spool holds the newer one.
        if held["sha256"] == params["sha256"]:
            ours = held
    for name in names(params):
        item = look(call, name, "--hash")
        if item is None:
            return {"receipt": None}
        same = compare(item, params, ours)
        if same is None:
            raise Failure("uncertain", '"%s" has the right size, and the remote has no hash to compare' % name)
        if same:
            return {"receipt": receipt_of(name, params, True)}
    return {"receipt": None}


def remove(call, params):
    path = params["path"]
    item = look(call, path)
    if item is None:
        demand_root(call)
        return {}
    expect_same(path, params["expect"], fingerprint(item))
    run(call, "deletefile", place(path), what='"%s"' % path)
    return {}


def check(call, params):
    try:
        demand_root(call)
        return [{"name": "remote", "ok": True, "detail": root}]
    except Failure as failure:
        return [{"name": "remote", "ok": False, "detail": str(failure), "code": failure.data["code"],
                 "remedy": failure.data.get("hint", 'rclone lsd "%s" shows more' % root)}]


def shutdown(call, params):
    return {}


METHODS = {"initialize": initialize, "list": list_, "stat": stat, "download": download, "upload": upload,
           "confirm": confirm, "remove": remove, "check": check, "shutdown": shutdown}


def answer(call):
    method = METHODS.get(call["method"])
    if method is None:
        return {"error": {"code": -32601, "message": "Method is not supported"}}
    try:
        return {"result": method(call, call["params"])}
    except Failure as failure:
        return {"error": {"code": -32000, "message": str(failure), "data": failure.data}}
    except Exception as error:  # one bad file must not end the process
        code = "no_space" if getattr(error, "errno", None) in (28, 122) else "failed"
        return {"error": {"code": -32000, "message": str(error), "data": {"code": code}}}


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=read_stdin, daemon=True).start()
    while True:
        call = calls.get()
        send({"id": call["id"], **answer(call)})
        cancelled.discard(call["id"])
        limits.pop(call["id"], None)
        if call["method"] == "shutdown":
            os._exit(0)


if __name__ == "__main__":
    main()
