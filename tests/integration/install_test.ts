/** `install.sh` of a release, in systems of its own: one with busybox and glibc alone, and a small Debian. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync } from "node:fs";
import { basename, join } from "node:path";
import { VERSION } from "../../cli/version.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { programOf, sharedRelease } from "../support/release.ts";
import { busyboxRoot, canEnterRoots, debianRoot, type SmallRoot, smallRoot } from "../support/small_root.ts";
import { canBoot, withSystemd } from "../support/systemd_bed.ts";

const NAME = `filesync-${VERSION}-${Deno.build.arch}`;

interface Bed {
  root: SmallRoot;
  /** The release, to be damaged at will. */
  release: string;
}

async function withRoot(make: (dir: string) => Promise<void>, use: (bed: Bed) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-install-" });
  try {
    const [root, release] = [join(dir, "root"), join(dir, "release")];
    Deno.mkdirSync(root, { mode: 0o755 });
    cpSync(await sharedRelease(), release, { recursive: true });
    await make(root);
    await use({ root: smallRoot(root, release), release });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The same program as another version: its header says so, and its checksum is its own. */
function renew(release: string): void {
  const path = programOf(release, Deno.build.arch);
  const bytes = Deno.readFileSync(path);
  const head = new TextDecoder().decode(bytes.subarray(0, 100));
  const at = head.indexOf(`# FileSync ${VERSION} `) + "# FileSync ".length;
  bytes.set(new TextEncoder().encode("9"), at);
  Deno.writeFileSync(path, bytes);
  sum(release);
}

function sum(release: string): void {
  const path = programOf(release, Deno.build.arch);
  const hash = createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
  Deno.writeTextFileSync(join(release, "SHA256SUMS"), `${hash}  ${basename(path)}\n`);
}

async function must({ sh }: SmallRoot, script: string): Promise<string> {
  const { code, text } = await sh(script);
  assert.equal(code, 0, `${script}: ${text}`);
  return text;
}

async function installs({ root, release }: Bed): Promise<void> {
  const dry = await must(root, "sh /release/install.sh --dry-run");
  assert.match(dry, /^would {2}put filesync .* at \/usr\/local\/bin\/filesync$/m);
  assert.equal((await root.sh("test -e /usr/local/bin/filesync")).code, 1);

  assert.match(await must(root, "sh /release/install.sh"), /^done {3}\/usr\/local\/bin\/filesync is filesync \d/m);
  assert.match(await must(root, "/usr/local/bin/filesync version"), /^filesync \d/);
  assert.equal(await must(root, "stat -c '%a %u' /usr/local/bin/filesync"), "755 0\n");
  assert.match(await must(root, "cat /usr/local/share/man/man1/filesync.1"), /^\.TH FILESYNC 1/);
  assert.match(await must(root, "cat /usr/local/share/bash-completion/completions/filesync"), /complete .* filesync$/m);
  assert.match(await must(root, "sh /release/install.sh"), /^as is {2}\/usr\/local\/bin\/filesync is/m);

  renew(release);
  assert.match(await must(root, "cd /release && sh install.sh"), /^done {3}\/usr\/local\/bin\/filesync is/m);
  assert.match(await must(root, "head -n 2 /usr/local/bin/filesync"), /^# FileSync 9/m);
  // Nothing is left of the way there.
  assert.equal(await must(root, "ls -A /usr/local/bin"), "filesync\n");
}

testNeeding(
  "root, unshare, npm and busybox-static",
  "install.sh: puts the program into a system of busybox and glibc, and a newer one in its place",
  () => withRoot(busyboxRoot, installs),
  canEnterRoots() && hasCommand("busybox"),
);

testNeeding(
  "root, unshare, npm and mmdebstrap",
  "install.sh: puts the program into a fresh Debian, and a newer one in its place",
  () => withRoot(debianRoot, installs),
  canEnterRoots() && hasCommand("mmdebstrap"),
);

testNeeding(
  "root, unshare, npm and busybox-static",
  "install.sh: what is damaged, foreign or does not start never takes the place of what is there",
  () =>
    withRoot(busyboxRoot, async ({ root, release }) => {
      await must(root, "mkdir -p /usr/local/bin && echo before > /usr/local/bin/filesync");
      const refused = async (told: RegExp, script = "sh /release/install.sh", code = 1) => {
        const answer = await root.sh(script);
        assert.equal(answer.code, code, answer.text);
        assert.match(answer.text, told);
        assert.equal(await must(root, "cat /usr/local/bin/filesync && ls -A /usr/local/bin"), "before\nfilesync\n");
      };
      const program = join(release, NAME);
      const whole = Deno.readFileSync(program);

      const flipped = whole.slice();
      flipped[flipped.length - 1000]! ^= 1;
      Deno.writeFileSync(program, flipped);
      await refused(/is damaged: its checksum is [0-9a-f]{64}, and [0-9a-f]{64} was expected\. Download it again/);
      Deno.writeFileSync(program, whole.subarray(0, whole.length / 2));
      await refused(/is damaged/);
      // The checksum is right, but the program is not: what unpacks looks, too.
      sum(release);
      await refused(/does not start here: filesync: .* is damaged/);

      Deno.writeTextFileSync(join(release, "SHA256SUMS"), `${"0".repeat(64)}  filesync-1-sparc\n`);
      await refused(/There is no program for \S+ in the SHA256SUMS/);
      Deno.writeTextFileSync(
        join(release, "SHA256SUMS"),
        `${"0".repeat(64)}  ${NAME}\n${"1".repeat(64)}  filesync-9-${Deno.build.arch}\n`,
      );
      await refused(/There are several programs for/);
      await refused(/Cannot read \/nowhere\/SHA256SUMS/, "sh /release/install.sh --from /nowhere");
      await refused(/Cannot write to \/proc\/x\/bin: start this with sudo/, "sh /release/install.sh --prefix /proc/x");
      await refused(/Expected a whole path/, "sh /release/install.sh --prefix here", 2);
      await refused(/Cannot understand "--purge"/, "sh /release/install.sh --purge", 2);
    }),
  canEnterRoots() && hasCommand("busybox"),
);

testNeeding(
  "root, unshare, npm and busybox-static",
  "install.sh: a machine that cannot run the program is told why, and what to do",
  () =>
    withRoot(busyboxRoot, async ({ root }) => {
      const cases: [machine: string, facts: Record<string, string>, told: RegExp][] = [
        [
          "aarch64",
          { PAGESIZE: "16384" },
          /pages of 16384 bytes.*Pi 5 put "kernel=kernel8\.img" into \/boot\/firmware\/config\.txt and restart/,
        ],
        ["aarch64", { LONG_BIT: "32" }, /32-bit on a 64-bit kernel.*install the 64-bit Raspberry Pi OS/],
        ["armv7l", { LONG_BIT: "32" }, /is 32-bit \(armv7l\)\. A 64-bit system is needed/],
        ["x86_64", { LONG_BIT: "32" }, /is 32-bit \(x86_64\)/],
        ["x86_64", { GNU_LIBC_VERSION: "glibc 2.24" }, /has glibc 2\.24, and 2\.27 or newer is needed/],
        ["x86_64", { GNU_LIBC_VERSION: "" }, /has no glibc \(Alpine and OpenWrt have musl\)/],
        ["riscv64", {}, /no program for riscv64/],
      ];
      for (const [machine, facts, told] of cases) {
        const all = { LONG_BIT: "64", GNU_LIBC_VERSION: "glibc 2.36", PAGESIZE: "4096", ...facts };
        const answers = Object.entries(all).map(([name, value]) => `${name}) ${value ? `echo ${value}` : "exit 1"} ;;`);
        const bin = join(root.dir, "odd");
        Deno.mkdirSync(bin, { recursive: true });
        Deno.writeTextFileSync(join(bin, "uname"), `#!/bin/sh\necho ${machine}\n`, { mode: 0o755 });
        const getconf = `#!/bin/sh\ncase $1 in\n${answers.join("\n")}\nesac\n`;
        Deno.writeTextFileSync(join(bin, "getconf"), getconf, { mode: 0o755 });
        const { code, text } = await root.sh("PATH=/odd:/bin dash /release/install.sh");
        assert.equal(code, 1, `${machine} ${JSON.stringify(facts)}: ${text}`);
        assert.match(text, told);
        assert.equal((await root.sh("test -e /usr/local/bin/filesync")).code, 1);
      }
    }),
  canEnterRoots() && hasCommand("busybox"),
);

testNeeding("npm", "install.sh: from an address, without root, into a folder of one's own", async () => {
  const release = await sharedRelease();
  const dir = await Deno.makeTempDir({ prefix: "filesync-install-url-" });
  const asked: string[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const name = basename(new URL(request.url).pathname);
    asked.push(name);
    try {
      return new Response((await Deno.open(join(release, name))).readable);
    } catch {
      return new Response("", { status: 404 });
    }
  });
  try {
    const script = Deno.readTextFileSync(join(release, "install.sh"));
    const from = (path: string) => ["-s", "--", "--from", `http://127.0.0.1:${server.addr.port}${path}`];
    const install = async (path: string) => {
      const child = new Deno.Command("sh", {
        args: [...from(path), "--prefix", join(dir, "own")],
        clearEnv: true,
        env: { PATH: Deno.env.get("PATH") ?? "", HOME: dir },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(script));
      await writer.close();
      const { code, stdout, stderr } = await child.output();
      return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    };
    const missing = await install("/empty");
    assert.equal(missing.code, 0, missing.text);
    assert.deepEqual(asked, ["SHA256SUMS", NAME]);
    assert(Deno.statSync(join(dir, "own/bin/filesync")).isFile);
    assert.match(missing.text, /^Not on PATH: .*own\/bin$/m);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

testNeeding(
  "root, systemd, overlayfs and npm",
  "install.sh: an update restarts the service that runs the program, and an unsound one leaves it alone",
  async () => {
    await withSystemd(async (bed) => {
      const release = join(bed.share, "release");
      cpSync(await sharedRelease(), release, { recursive: true });
      const config = {
        jobs: [{
          name: "j",
          source: { driver: "local", args: { dir: "/srv/in" } },
          target: { driver: "local", args: { dir: "/srv/out" } },
        }],
      };
      Deno.writeTextFileSync(join(bed.share, "config.json"), JSON.stringify(config));
      const must = async (script: string) => {
        const { code, text } = await bed.sh(script);
        assert.equal(code, 0, `${script}: ${text}`);
        return text.trim();
      };
      await must("mkdir -p /etc/filesync /srv/in && install -m 644 /share/config.json /etc/filesync/config.json");
      await must("sh /share/release/install.sh && filesync service install");
      const pid = () => must("systemctl show filesync -p MainPID --value");
      const first = await pid();

      const program = join(release, NAME);
      const whole = Deno.readFileSync(program);
      Deno.writeFileSync(program, whole.subarray(0, whole.length / 2));
      sum(release);
      assert.equal((await bed.sh("sh /share/release/install.sh")).code, 1);
      assert.equal(await pid(), first);

      Deno.writeFileSync(program, whole);
      renew(release);
      assert.match(await must("sh /share/release/install.sh"), /^done {3}filesync\.service runs it$/m);
      assert.notEqual(await pid(), first);
      await must("systemctl is-active filesync");
      assert.match(await must("head -n 2 /usr/local/bin/filesync"), /^# FileSync 9/m);
      // What has not changed restarts nothing.
      const second = await pid();
      await must("sh /share/release/install.sh");
      assert.equal(await pid(), second);
    });
  },
  canBoot(),
);
