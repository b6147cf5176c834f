#!/usr/bin/env python3
"""The files behind an index page of HTTP as a source: a camera, a dashcam, a web server with directory listings."""
import base64
import http.client
import json
import os
import queue
import signal
import socket
import ssl
import sys
import threading
import time
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from urllib.parse import quote, unquote_to_bytes, urlsplit

VERSION = "1.0.0"
CHUNK = 64 * 1024
OVERLAP = 64 * 1024
BATCH = 500
PAGE_MAX = 64 << 20  # bytes of one index page
DEPTH_MAX = 64  # folders in folders: more is a server that leads round in a circle
TIMEOUT = 20  # seconds for a connection, or for the next bytes
OLD = 120  # seconds: a file that was older than this when it was asked for has no second change in its minute
GIVE_UP = 1.5  # seconds after $/cancel until it is answered, even if the network does not let go

calls = queue.Queue()
cancelled = set()
limits = {}
answered = threading.Lock()
open_calls = set()
told = 0.0


class Failure(Exception):
    """What went wrong: the code decides what FileSync does, the message is for people."""

    def __init__(self, code, message, **more):
        super().__init__(message)
        self.data = {"code": code, **more}


# --- the pipe


def send(message):
    with answered:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def reply(call_id, message):
    """The first answer counts: a cancelled call is answered although the network still holds its thread."""
    with answered:
        if call_id not in open_calls:
            return
        open_calls.discard(call_id)
    send({"id": call_id, **message})


def error(code, message, **more):
    return {"error": {"code": -32000, "message": message, "data": {"code": code, **more}}}


def read_stdin():
    """In a thread of its own, so that a cancellation is heard while a call is under way."""
    for line in sys.stdin:
        message = json.loads(line)
        params = message.get("params") or {}
        if message.get("method") == "$/cancel":
            cancelled.add(params["id"])
            if params["id"] in open_calls:
                site.interrupt()
                late = threading.Timer(GIVE_UP, reply, (params["id"], error("cancelled", "Call is cancelled")))
                late.daemon = True
                late.start()
        elif message.get("method") == "$/limit":
            limits[params["id"]] = params.get("maxBytesPerSecond") or 0
        elif "id" in message:
            open_calls.add(message["id"])
            calls.put(message)
    os._exit(0)  # FileSync is gone


def check_cancel(call):
    if call["id"] in cancelled:
        raise Failure("cancelled", "Call is cancelled")


def progress(call, done):
    """At most five times a second."""
    global told
    if time.monotonic() - told >= 0.2:
        told = time.monotonic()
        send({"method": "$/progress", "params": {"id": call["id"], "doneBytes": done}})


def throttle(call, count, clock):
    """Waits until `count` more bytes are within the call's limit, which may change meanwhile."""
    rate = limits.get(call["id"], 0)
    clock[0] = max(clock[0], time.monotonic()) + (count / rate if rate else 0)
    while (wait := clock[0] - time.monotonic()) > 0 and limits.get(call["id"], 0) == rate:
        check_cancel(call)
        time.sleep(min(wait, 0.1))


# --- HTTP


class Site:
    """One server, one connection that is kept."""

    def __init__(self, args):
        parts = urlsplit(args["url"])
        self.scheme, self.host, self.port = parts.scheme, parts.hostname, parts.port
        self.root = parts.path if parts.path.endswith("/") else parts.path + "/"
        self.headers = {"Accept-Encoding": "identity", "User-Agent": "filesync-http-index/" + VERSION}
        if args.get("user"):
            word = "%s:%s" % (args["user"], args.get("passwd", ""))
            self.headers["Authorization"] = "Basic " + base64.b64encode(word.encode()).decode()
        self.tls = ssl.create_default_context(cafile=args.get("ca")) if self.scheme == "https" else None
        self.connection = None

    def place(self, path):
        return self.root + quote(path, safe="/")

    def interrupt(self):
        """Called from another thread: whoever waits for this connection stops waiting."""
        connection = self.connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, call, method, place, headers=None):
        """The response; its body is read by the caller. A kept connection that died meanwhile is opened once more."""
        for attempt in (1, 2):
            check_cancel(call)
            is_kept = self.connection is not None
            try:
                if not is_kept:
                    self.connection = self.connect()
                self.connection.request(method, place, headers={**self.headers, **(headers or {})})
                return self.connection.getresponse()
            except ssl.SSLCertVerificationError as failure:
                self.close()
                raise Failure("denied", "Certificate of %s is not trusted: %s" % (self.host, failure.verify_message),
                              hint='Name the authority that signed it with "ca"')
            except (OSError, http.client.HTTPException) as failure:
                self.close()
                check_cancel(call)
                if not is_kept or attempt == 2:
                    raise away(failure)

    def connect(self):
        if self.tls is not None:
            return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)


def away(failure):
    return Failure("unavailable", "Cannot reach %s: %s" % (site.host, failure or type(failure).__name__))


def refuse(response, path):
    """What a status that is no success means."""
    status = response.status
    what = '"%s"' % path if path else site.root
    words = "%s answers %d %s for %s" % (site.host, status, response.reason, what)
    if status == 401 or (status == 403 and not path):
        raise Failure("denied", words, hint='Check "user" and "passwd"')
    if status == 403:
        raise Failure("denied", words, scope="file")
    if status in (404, 410):
        raise Failure("not_found" if path else "unavailable", words)
    if status in (408, 425, 429) or status >= 500:
        after = response.getheader("Retry-After", "")
        raise Failure("unavailable", words, **({"retryAfterMs": int(after) * 1000} if after.isdigit() else {}))
    raise Failure("failed", words)


def milliseconds(date):
    try:
        return int(parsedate_to_datetime(date).timestamp() * 1000)
    except (TypeError, ValueError):
        return None


def fingerprint(response):
    """Size and time; the entity tag only where there is no time, since many servers make it of the inode."""
    found = {}
    whole = response.getheader("Content-Range", "").rpartition("/")[2] or response.getheader("Content-Length", "")
    if whole.isdigit():
        found["sizeBytes"] = int(whole)
    modified = milliseconds(response.getheader("Last-Modified"))
    if modified is not None:
        found["modifiedMs"] = modified
    elif etag_of(response):
        found["etag"] = etag_of(response)
    return found


def etag_of(response):
    return response.getheader("ETag", "").removeprefix("W/")[:1024]


def probe(call, path):
    """The entry of a name, by its headers alone, and whether it was old then: unchanged for longer than a minute."""
    place = site.place(path)
    response = site.ask(call, "HEAD", place)
    response.read()
    is_mute = response.status == 200 and "sizeBytes" not in fingerprint(response)
    if response.status in (400, 405, 501) or (is_mute and not place.endswith("/")):
        # Some cameras know GET alone, and Apache tells the size of an empty file to nobody who asks for less.
        response = site.ask(call, "GET", place)
        site.close()  # the body may be a whole film
    if response.status in (301, 302, 307, 308):
        if urlsplit(response.getheader("Location", "")).path == place + "/":
            return {"path": path, "kind": "directory"}, False
    if response.status not in (200, 206):
        refuse(response, path)
    if place.endswith("/"):
        return {"path": path, "kind": "directory"}, False
    found = fingerprint(response)
    now = milliseconds(response.getheader("Date"))
    is_old = now is not None and now - found.get("modifiedMs", now) > OLD * 1000
    return {"path": path, "kind": "file", **found}, is_old


# --- index pages


class Index(HTMLParser):
    """Links of a page, each with the text that follows it: size and date, as far as the server shows them."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.links = []
        self.text = []

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.links.append([dict(attributes).get("href") or "", ""])

    def handle_data(self, data):
        self.text.append(data)
        if self.links:
            self.links[-1][1] += data


def read_page(call, path):
    place = site.place(path)
    place = place if place.endswith("/") else place + "/"
    response = site.ask(call, "GET", place)
    if response.status != 200:
        response.read()
        if response.status in (301, 302, 303, 307, 308):
            raise Failure("unavailable", '%s leads to "%s" instead of an index page: is it a captive portal?' %
                          (site.host, response.getheader("Location", "")))
        refuse(response, path)
    is_sized = response.getheader("Content-Length") is not None or response.chunked
    page, size = [], 0
    try:
        while piece := response.read(CHUNK):
            check_cancel(call)
            page.append(piece)
            size += len(piece)
            if size > PAGE_MAX:
                site.close()
                raise Failure("failed", 'The index page of "%s" is over %d MiB' % (path, PAGE_MAX >> 20))
    except (OSError, http.client.HTTPException) as failure:
        site.close()
        check_cancel(call)
        raise away(failure)
    text = b"".join(page).decode("utf-8", "replace")
    if not is_sized and "</html>" not in text[-1000:].lower():
        raise Failure("unavailable", 'The index page of "%s" is cut off' % path)
    return place, text


def absolute(place, path):
    """The path of a link on the page at `place`. urljoin() would lose a ";" at its end, and with it the file."""
    parts = []
    for part in (path if path.startswith("/") else place + path).split("/"):
        if part == "..":
            parts[1:] = parts[1:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts) + ("/" if path.endswith(("/.", "/..")) or path in (".", "..") else "")


def names_of(place, text, path):
    """What a page lists: each name directly below it, once, with whether it is a directory and what is said of it."""
    index = Index()
    index.feed(text)
    index.close()
    here = unquote_to_bytes(place)
    found = {}
    is_index = False
    for href, words in index.links:
        try:
            target = urlsplit(href.strip())
        except ValueError:
            continue  # no URL at all
        below = unquote_to_bytes(absolute(place, target.path))
        if here.startswith(below) and below.endswith(b"/"):
            is_index = True  # itself, sorted otherwise, or a folder above it
        # A query is an action: to sort, to show, on some cameras to delete. It is never followed.
        if target.query or (target.netloc and target.hostname != site.host) or not below.startswith(here):
            continue
        if target.scheme not in ("", "http", "https"):
            continue
        raw = below[len(here):]
        is_directory = raw.endswith(b"/")
        raw = raw.rstrip(b"/")
        if raw in (b"", b".", b"..") or b"/" in raw:
            continue
        name = raw.decode("utf-8", "replace")
        is_directory, said = found.get(name, (is_directory, ""))
        found[name] = (is_directory, said + words)
    if not found and not is_index and "index of" not in text.lower() and "directory listing" not in text.lower():
        raise Failure("unavailable", 'The page of "%s" is no index of files' % (path or site.root),
                      hint="Open it in a browser: %s://%s%s" % (site.scheme, site.host, place))
    return found


# --- the methods


site = None
remembered = {}  # path: (what the index said of it, entry), of files that were old then


def initialize(call, params):
    global site
    args = params["args"]
    parts = urlsplit(args.get("url") or "")
    try:
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.username:
        raise Failure("invalid_config", 'Argument "url" must be the http or https URL of an index page', pointer="/url")
    try:
        site = Site(args)
    except OSError as failure:
        raise Failure("invalid_config", 'Cannot read "ca": %s' % failure, pointer="/ca")
    return {"name": "http-index", "version": VERSION, "capabilities": {
        "resumeDownload": True, "recursiveList": True, "rateLimit": True, "modifiedPrecisionMs": 1000}}


def list_(call, params):
    batch = []
    seen = set()

    def tell(entry):
        batch.append(entry)
        if len(batch) >= BATCH:
            send({"method": "$/entries", "params": {"id": call["id"], "entries": batch}})
            batch.clear()

    def walk(path, depth):
        if depth > DEPTH_MAX:
            raise Failure("failed", '"%s" is more than %d folders deep' % (path[:200], DEPTH_MAX))
        place, text = read_page(call, path)
        for name, (is_directory, words) in names_of(place, text, path).items():
            check_cancel(call)
            inner = path + "/" + name if path else name
            entry = {"path": inner, "kind": "directory"} if is_directory else file_entry(inner, words)
            if entry is None:
                continue  # it vanished meanwhile
            seen.add(inner)
            tell(entry)
            if entry["kind"] == "directory" and params.get("recursive"):
                walk(inner, depth + 1)

    def file_entry(path, words):
        if "\ufffd" in path:
            return {"path": path, "kind": "file", "problem": "Name is not valid UTF-8: rename the file"}
        said, entry = remembered.get(path, (None, None))
        if said is not None and said == words:
            return entry
        try:
            entry, is_old = probe(call, path)
        except Failure as failure:
            if failure.data["code"] == "not_found":
                return None
            if failure.data.get("scope") == "file":
                return {"path": path, "kind": "file", "problem": str(failure)}
            raise
        if is_old and any(character.isdigit() for character in words.replace(path.rpartition("/")[2], "")):
            remembered[path] = (words, entry)
        else:
            remembered.pop(path, None)
        return entry

    walk(params["directory"], 0)
    if batch:
        send({"method": "$/entries", "params": {"id": call["id"], "entries": batch}})
    if params.get("recursive") and not params["directory"]:
        for path in remembered.keys() - seen:
            del remembered[path]
    return {"complete": True}


def stat(call, params):
    remembered.pop(params["path"], None)
    return probe(call, params["path"])[0]


def expect_same(path, expect, found):
    for field in ("sizeBytes", "modifiedMs", "etag"):
        if field in expect and field in found and expect[field] != found[field]:
            remembered.pop(path, None)
            raise Failure("changed", '"%s" changed: expected %s %s, found %s' %
                          (path, field, expect[field], found[field]))


def download(call, params):
    path, offset, expect = params["path"], params["offsetBytes"], params["expect"]
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        raise Failure("failed", "Cannot use the path %s" % json.dumps(path))
    limits[call["id"]] = params.get("maxBytesPerSecond") or 0
    start = max(0, offset - OVERLAP)
    response = site.ask(call, "GET", site.place(path), {"Range": "bytes=%d-" % start} if start else {})
    try:
        if response.status == 416:
            remembered.pop(path, None)
            raise Failure("changed", '"%s" is shorter than what was fetched of it' % path)
        if response.status not in (200, 206) or (response.status == 206 and not start):
            refuse(response, path)
        found = fingerprint(response)
        expect_same(path, expect, found)
        if response.status == 206:
            said = response.getheader("Content-Range", "")
            if not said.startswith("bytes %d-" % start):
                raise Failure("failed", '%s sends "%s" when asked for bytes from %d on' % (site.host, said, start))
        else:
            start = 0  # a server that knows no ranges sends everything again
        size = receive(call, params, response, start)
    except BaseException:
        site.close()  # what is left of the body is not wanted
        raise
    if found.setdefault("sizeBytes", size) != size:
        raise Failure("unavailable", '%s hung up after %d of %d bytes of "%s"' %
                      (site.host, size, found["sizeBytes"], path))
    after = probe(call, path)[0]
    expect_same(path, found, after)
    return {"sizeBytes": size, "fingerprint": found}


def receive(call, params, response, start):
    """Appends the body, whose first byte is number `start`, to the spool file; what is there already is compared."""
    clock = [time.monotonic()]
    with open(params["spoolFile"], "r+b") as spool:
        spool.truncate(params["offsetBytes"])
        spool.seek(start)
        at = start
        while True:
            check_cancel(call)
            rate = limits.get(call["id"], 0)
            try:
                piece = response.read1(min(CHUNK, max(1024, int(rate / 8))) if rate else CHUNK)
            except http.client.IncompleteRead:
                return at
            except OSError as failure:
                check_cancel(call)
                raise away(failure)
            if not piece:
                check_cancel(call)  # an interrupted connection ends as one that is done
                return at
            known = spool.read(min(len(piece), max(0, params["offsetBytes"] - at)))
            if piece[:len(known)] != known:
                raise Failure("corrupt", '"%s" differs from what was fetched of it before' % params["path"])
            spool.write(piece[len(known):])
            spool.flush()
            at += len(piece)
            progress(call, at)
            throttle(call, len(piece), clock)


def check(call, params):
    try:
        names = names_of(*read_page(call, ""), "")
    except Failure as failure:
        remedy = failure.data.get("hint") or "Is it switched on, and the URL right? curl -v %s://%s%s" % (
            site.scheme, site.host, site.root)
        return [{"name": "index", "ok": False, "detail": str(failure), "remedy": remedy, "code": failure.data["code"]}]
    return [{"name": "index", "ok": True, "detail": "%d names in %s" % (len(names), site.root)}]


def shutdown(call, params):
    return {}


METHODS = {"initialize": initialize, "list": list_, "stat": stat, "download": download, "check": check,
           "shutdown": shutdown}


def is_away(call):
    """Whether it is the root that is missing: then no file is gone."""
    try:
        probe(call, "")
        return False
    except Failure as failure:
        return failure.data["code"] != "denied"


def answer(call):
    method = METHODS.get(call["method"])
    if method is None:
        return {"error": {"code": -32601, "message": "Method is not supported"}}
    try:
        return {"result": method(call, call["params"])}
    except Failure as failure:
        if failure.data["code"] == "not_found" and is_away(call):
            return error("unavailable", "Cannot find %s on %s: is the card in it?" % (site.root, site.host))
        return {"error": {"code": -32000, "message": str(failure), "data": failure.data}}
    except OSError as failure:
        code = "no_space" if failure.errno in (28, 122) else "failed"
        return error(code, str(failure))
    except Exception as failure:
        return error("failed", "%s: %s" % (type(failure).__name__, failure))


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=read_stdin, daemon=True).start()
    while True:
        call = calls.get()
        reply(call["id"], answer(call))
        cancelled.discard(call["id"])
        limits.pop(call["id"], None)
        if call["method"] == "shutdown":
            os._exit(0)


if __name__ == "__main__":
    main()
