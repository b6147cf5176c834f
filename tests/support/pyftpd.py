"""pyftpdlib as a server for tests: pyftpd.py JSON, see startFtpServer in ftp_servers.ts."""
import json
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

options = json.loads(sys.argv[1])
handler = FTPHandler
if options.get("cert"):
    from pyftpdlib.handlers import TLS_FTPHandler

    handler = TLS_FTPHandler
    handler.certfile = options["cert"]
    handler.tls_control_required = True
    handler.tls_data_required = True
authorizer = DummyAuthorizer()
authorizer.add_user(options["user"], options["passwd"], options["root"], perm="elradfmwMT")
handler.authorizer = authorizer
handler.auth_failed_timeout = 0
handler.masquerade_address = options.get("masquerade")
for command in options.get("without", []):
    handler.proto_cmds.pop(command, None)
server = FTPServer((options["host"], options["port"]), handler)
if options.get("max_per_host"):
    server.max_cons_per_ip = options["max_per_host"]
server.serve_forever()
