/**
 * The demo's FTP server, a process of its own. Takes the directory to serve and a file with the password, says
 * `{"port": …}` on stdout, and ends when its stdin does, so that it never outlives the demo.
 */
import { startFtpServer } from "../lib/ftpd/mod.ts";

const [root, user, passwdFile] = Deno.args;
if (root === undefined || user === undefined || passwdFile === undefined) {
  console.error("Usage: demo_server.ts ROOT USER PASSWD_FILE");
  Deno.exit(2);
}
const server = await startFtpServer({ root, user, passwd: (await Deno.readTextFile(passwdFile)).trim() });
console.log(JSON.stringify({ port: server.port }));
for await (const _ of Deno.stdin.readable) {
  // Nothing is said to it: the end of stdin is the message.
}
await server.stop();
