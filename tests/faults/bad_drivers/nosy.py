#!/usr/bin/env python3
"""The example driver, which also tries what is none of its business before each answer to `check`, and says what came
of it: a finding for each thing, "ok" when it succeeded."""
import json
import os
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.environ.get("FOLDER_EXAMPLE") or os.path.dirname(os.path.abspath(__file__)))
import folder  # noqa: E402


def attempt(name, deed):
    try:
        return {"name": name, "ok": True, "detail": str(deed())}
    except OSError as error:
        return {"name": name, "ok": False, "detail": str(error)}


def read(path):
    with open(path) as file:
        return file.read()


def write(path):
    with open(path, "w") as file:
        file.write("evil")


def connect():
    with socket.create_connection(("127.0.0.1", wishes["port"]), timeout=5):
        pass


wishes = {}
honest_initialize = folder.METHODS["initialize"]


def initialize(call, params):
    wishes.update(json.loads(params["args"].get("wishes", "{}")))
    return honest_initialize(call, params)


def check(call, params):
    own = os.path.join(folder.root, "own")
    return [
        *[attempt("read " + path, lambda: read(path)) for path in wishes["read"]],
        *[attempt("write " + path, lambda: write(path)) for path in wishes["write"]],
        attempt("connect", connect),
        attempt("signal", lambda: os.kill(wishes["pid"], 0)),
        attempt("processes", lambda: sum(name.isdigit() for name in os.listdir("/proc"))),
        attempt("own device", lambda: write(own)),
        attempt("own state", lambda: write(os.path.join(os.environ["FILESYNC_STATE_DIR"], "note"))),
    ]


folder.METHODS.update(initialize=initialize, check=check)
folder.main()
