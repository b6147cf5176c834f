"""MAVSDK as an autopilot with its FTP server: mavsdk_server.py DIRECTORY CONNECTION_URL. Ends when stdin does."""
import sys

from mavsdk import ComponentType, Configuration, ConnectionResult, Mavsdk
from mavsdk.plugins.ftp_server import FtpServer


def main(directory, url):
    mavsdk = Mavsdk(Configuration.create_with_component_type(ComponentType.AUTOPILOT))
    server = FtpServer(mavsdk.server_component())
    server.set_root_dir(directory)
    result = mavsdk.add_any_connection(url)
    if result != ConnectionResult.SUCCESS:
        sys.exit(f"{url}: {result}")
    print(f"ready {mavsdk.version()}", flush=True)
    sys.stdin.read()
    server.destroy()
    mavsdk.destroy()


main(*sys.argv[1:])
