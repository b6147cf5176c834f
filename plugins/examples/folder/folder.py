#!/usr/bin/env python3
"""A directory of this machine as a source and a target: a whole driver, and the smallest that passes the suite."""
import errno
import hashlib
import json
import os
import queue
import signal
import stat as stat_
import sys
import threading
import time

CHUNK = 256 * 1024
OVERLAP = 64 * 1024
calls = queue.Queue()
cancelled = set()
root = ""
told = 0.0


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
        if message.get("method") == "$/cancel":
            cancelled.add(message["params"]["id"])
        elif "id" in message:
            calls.put(message)
    os._exit(0)  # FileSync is gone


def progress(call, done):
    """At most five times a second."""
    global told
    if time.monotonic() - told >= 0.2:
        told = time.monotonic()
        send({"method": "$/progress", "params": {"id": call["id"], "doneBytes": done}})


def check_cancel(call):
    if call["id"] in cancelled:
        raise Failure("cancelled", "Call is cancelled")


def local(path):
    """The place of a path of the contract, checked again: names are hostile input."""
    if path and (not path.isprintable() or any(part in ("", ".", "..") for part in path.split("/"))):
        raise Failure("failed", "Cannot use the path %s" % json.dumps(path))
    if not os.path.isdir(root):
        raise Failure("unavailable", 'Cannot find "%s": is it mounted?' % root)
    return os.path.join(root, path)


def fingerprint(info):
    return {"sizeBytes": info.st_size, "modifiedMs": info.st_mtime_ns // 1_000_000}


def entry(path, info):
    if stat_.S_ISDIR(info.st_mode):
        return {"path": path, "kind": "directory"}
    return {"path": path, "kind": "file", **fingerprint(info)} if stat_.S_ISREG(info.st_mode) else None


def look(path):
    try:
        return os.lstat(local(path))
    except (FileNotFoundError, NotADirectoryError):
        raise Failure("not_found", 'Cannot find "%s"' % path)


def expect_same(path, expect, found):
    for field, value in found.items():
        if field in expect and expect[field] != value:
            raise Failure("changed", '"%s" changed: expected %s %s, found %s' % (path, field, expect[field], value))


def initialize(call, params):
    global root
    root = params["args"].get("dir", "")
    if not os.path.isabs(root):
        raise Failure("invalid_config", 'Argument "dir" must be an absolute path', pointer="/dir")
    return {"name": "folder", "version": "1.0.0", "capabilities": {
        "resumeDownload": True, "repeatable": True, "confirm": True, "recursiveList": True, "remove": True,
        "atomicReplace": True, "modifiedPrecisionMs": 1}}


def list_(call, params):
    batch = []

    def walk(path):
        look(path)
        with os.scandir(local(path)) as items:
            for item in items:
                check_cancel(call)
                try:
                    found = entry(path + "/" + item.name if path else item.name, item.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue  # it vanished meanwhile
                if found is None:
                    continue
                if any("\ud800" <= character <= "\udfff" for character in item.name):  # Python's way to show bytes
                    found["path"] = os.fsencode(found["path"]).decode("utf-8", "replace")
                    found["problem"] = "Name is not valid UTF-8: rename the file"
                batch.append(found)
                if len(batch) >= 500:
                    send({"method": "$/entries", "params": {"id": call["id"], "entries": batch}})
                    batch.clear()
                if found["kind"] == "directory" and params.get("recursive"):
                    walk(found["path"])

    walk(params["directory"])
    if batch:
        send({"method": "$/entries", "params": {"id": call["id"], "entries": batch}})
    return {"complete": True}


def stat(call, params):
    found = entry(params["path"], look(params["path"]))
    if found is None:
        raise Failure("not_found", '"%s" is neither a file nor a directory' % params["path"])
    return found


def download(call, params):
    path = params["path"]
    expect_same(path, params["expect"], fingerprint(look(path)))
    start = max(0, params["offsetBytes"] - OVERLAP)
    with open(local(path), "rb") as source, open(params["spoolFile"], "r+b") as spool:
        spool.truncate(params["offsetBytes"])
        source.seek(start)
        spool.seek(start)
        overlap = spool.read()
        if source.read(len(overlap)) != overlap:
            raise Failure("corrupt", '"%s" differs from what was fetched of it before' % path)
        while chunk := source.read(CHUNK):
            check_cancel(call)
            spool.write(chunk)
            spool.flush()
            progress(call, spool.tell())
    found = fingerprint(look(path))
    expect_same(path, params["expect"], found)
    return {"sizeBytes": found["sizeBytes"], "fingerprint": found}


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def landed(name, params):
    """The receipt of what is there already, or None."""
    try:
        info = os.lstat(local(name))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat_.S_ISREG(info.st_mode) or info.st_size != params["sizeBytes"]:
        return None
    return receipt_of(name, params) if sha256(local(name)) == params["sha256"] else None


def receipt_of(name, params):
    return {"path": name, "sizeBytes": params["sizeBytes"], "verified": "checksum",
            "checksum": {"algorithm": "sha256", "value": params["sha256"]}}


def names(path):
    """What "rename" tries: a/log.ulg, a/log~2.ulg, a/log~3.ulg; a long name is shortened to fit."""
    yield path
    directory, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    for n in range(2, 1000):
        tail = "~%d%s" % (n, extension)
        head = stem.encode()[:255 - len(tail.encode())].decode("utf-8", "ignore")
        yield os.path.join(directory, head + tail)


def upload(call, params):
    path = params["path"]
    target = local(path)
    os.makedirs(os.path.dirname(target) or root, exist_ok=True)
    key = hashlib.sha256((path + "\n" + params["sha256"]).encode()).hexdigest()[:16]
    part = os.path.join(os.path.dirname(target), "filesync-%s.part" % key)
    try:
        with open(params["spoolFile"], "rb") as spool, open(part, "wb") as out:
            digest = hashlib.sha256()
            while chunk := spool.read(CHUNK):
                check_cancel(call)
                out.write(chunk)
                digest.update(chunk)
                progress(call, out.tell())
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != params["sha256"]:
            raise Failure("corrupt", 'The spool\'s copy of "%s" is damaged' % path)
        if "modifiedMs" in params:
            os.utime(part, ns=(params["modifiedMs"] * 1_000_000,) * 2)
        return publish(part, params)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def publish(part, params):
    """Gives the whole file its name in one step: two movers may meet here."""
    for name in names(params["path"]):
        receipt = landed(name, params)
        if receipt:
            return receipt
        try:
            if params["onExisting"] == "replace":
                os.replace(part, local(name))
            else:
                os.link(part, local(name))
        except FileExistsError:
            if params["onExisting"] == "fail":
                raise Failure("rejected", 'Name "%s" is taken' % name)
            continue
        sync_directory(os.path.dirname(local(name)))
        return receipt_of(name, params)
    raise Failure("rejected", 'A thousand names beside "%s" are taken' % params["path"])


def sync_directory(directory):
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def confirm(call, params):
    for name in names(params["path"]):
        receipt = landed(name, params)
        if receipt or params["onExisting"] != "rename" or not os.path.lexists(local(name)):
            return {"receipt": receipt}
    return {"receipt": None}


def remove(call, params):
    try:
        expect_same(params["path"], params["expect"], fingerprint(look(params["path"])))
        os.unlink(local(params["path"]))
    except Failure as failure:
        if failure.data["code"] != "not_found":
            raise
    return {}


def check(call, params):
    there = os.path.isdir(root)
    return [{"name": "dir", "ok": there, "detail": root if there else "%s is missing" % root,
             **({} if there else {"code": "unavailable", "remedy": "mkdir %s" % root})}]


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
    except Exception as error:
        return {"error": {"code": -32000, "message": str(error), "data": code_of(error)}}


def code_of(error):
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return {"code": "no_space"}
    if number in (errno.EACCES, errno.EPERM):
        return {"code": "denied", "scope": "file"}
    return {"code": "unavailable" if number == errno.EIO or not os.path.isdir(root) else "failed"}


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=read_stdin, daemon=True).start()
    while True:
        call = calls.get()
        send({"id": call["id"], **answer(call)})
        cancelled.discard(call["id"])
        if call["method"] == "shutdown":
            os._exit(0)


if __name__ == "__main__":
    main()
