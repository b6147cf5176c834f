"""MAVSDK's own FTP client: mavsdk_client.py CONNECTION_URL LOCAL_DIR STEPS. Steps and outcomes are JSON.

Steps: ["list", dir] ["get", path, use_burst] ["same", local, path] ["put", local, dir] ["remove", path]
["mkdir", dir] ["rmdir", dir] ["rename", from, to]
"""
import json
import sys
import threading

from mavsdk import ComponentType, Configuration, ConnectionResult, Mavsdk
from mavsdk.plugins.ftp import Ftp, FtpResult

WAIT_S = 60


def transfer(start):
    """Runs a transfer and gives its last result."""
    done = threading.Event()
    outcome = []

    def on_result(result, progress, _):
        if result != FtpResult.NEXT:
            outcome.append(result.name)
            done.set()

    start(on_result)
    if not done.wait(WAIT_S):
        return "NO_ANSWER"
    return outcome[0]


def run(ftp, local, step):
    name, *args = step
    try:
        if name == "list":
            entries = ftp.list_directory(args[0]).entries
            return sorted([e.name, e.entry_type.name, e.size_bytes, e.modification_time_s] for e in entries)
        if name == "get":
            return transfer(lambda tell: ftp.download_async(args[0], local, args[1], tell))
        if name == "put":
            return transfer(lambda tell: ftp.upload_async(args[0], args[1], tell))
        if name == "same":
            return ftp.are_files_identical(args[0], args[1])
        call = {
            "remove": ftp.remove_file,
            "mkdir": ftp.create_directory,
            "rmdir": ftp.remove_directory,
            "rename": ftp.rename,
        }[name]
        call(*args)
        return "SUCCESS"
    except Exception as error:  # The result's name is what a test asks for.
        return getattr(getattr(error, "result", None), "name", repr(error))


def main(url, local, steps):
    mavsdk = Mavsdk(Configuration.create_with_component_type(ComponentType.COMPANION_COMPUTER))
    result = mavsdk.add_any_connection(url)
    if result != ConnectionResult.SUCCESS:
        sys.exit(f"{url}: {result}")
    system = mavsdk.first_autopilot(timeout_s=20.0)
    if system is None:
        sys.exit("no autopilot was heard")
    ftp = Ftp(system)
    print("OUTCOME " + json.dumps([run(ftp, local, step) for step in json.loads(steps)]), flush=True)
    ftp.destroy()
    mavsdk.destroy()


main(*sys.argv[1:])
