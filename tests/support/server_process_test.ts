import assert from "node:assert/strict";
import { hasFtpServer, startFtpServer } from "./ftp_servers.ts";
import { testNeeding } from "./needs.ts";

testNeeding("vsftpd", "startFtpServer() never takes another test's server for its own", async () => {
  const roots = [
    await Deno.makeTempDir({ prefix: "filesync-port-" }),
    await Deno.makeTempDir({ prefix: "filesync-port-" }),
  ];
  const random = Math.random;
  let count = 0;
  // Both choose the same port while it is free.
  Math.random = () => count++ < 2 ? 0.75 : random();
  try {
    const servers = await Promise.all(roots.map((root) => startFtpServer("vsftpd", { root })));
    assert.notEqual(servers[0]!.port, servers[1]!.port);
    await Promise.all(servers.map((server) => server.stop()));
  } finally {
    Math.random = random;
    for (const root of roots) await Deno.remove(root, { recursive: true });
  }
}, hasFtpServer("vsftpd"));
