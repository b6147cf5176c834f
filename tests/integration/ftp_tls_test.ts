/** FTPS against real servers, with those that demand that data connections resume the control connection's session. */
import assert from "node:assert/strict";
import { FtpDriver } from "../../plugins/ftp/driver.ts";
import { loadOpenssl } from "../../plugins/ftp/openssl.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { directCall } from "../support/direct_call.ts";
import { type FtpBed, type FtpBedOptions, randomBytes, rejectsWith, withFtp } from "../support/ftp_bed.ts";
import { type FtpServerKind, type FtpServerOptions, hasFtpServer } from "../support/ftp_servers.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";

const HAS_TLS = hasCommand("openssl") && loadOpenssl() !== null;

type Tls = Omit<NonNullable<FtpServerOptions["tls"]>, "certificates">;

async function withTls(
  kind: FtpServerKind,
  tls: Tls,
  run: (bed: FtpBed, certificates: Certificates) => Promise<void>,
  { names, ...options }: FtpBedOptions & { names?: string } = {},
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-tls-" });
  try {
    const certificates = makeCertificates(dir, names);
    const args = { host: "localhost", secure: tls.mode, ca: certificates.caFile, ...options.args };
    await withFtp(kind, (bed) => run(bed, certificates), { ...options, tls: { ...tls, certificates }, args });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Several data connections each way: TLS 1.3 tickets are few and can be used up. */
async function moveFiles(bed: FtpBed): Promise<void> {
  const bytes = randomBytes(3_000_000);
  for (let n = 0; n < 4; n++) {
    const params = await bed.uploadOf(`up/file ${n}.bin`, bytes);
    const receipt = await bed.driver.upload(params, directCall());
    assert.equal(receipt.path, params.path);
    const call = directCall();
    await bed.driver.list({ directory: "up" }, call);
    assert.equal(call.listed.length, n + 1);
    const { path, kind: _, ...expect } = call.listed.find(({ path }) => path === params.path)!;
    const spoolFile = `${bed.local}/down`;
    await Deno.writeFile(spoolFile, bytes.subarray(0, n * 100_000));
    await bed.driver.download({ path, spoolFile, offsetBytes: n * 100_000, expect }, directCall());
    assert.deepEqual(await Deno.readFile(spoolFile), bytes);
  }
}

const CASES: [FtpServerKind, Tls, string][] = [
  ["vsftpd", { mode: "explicit", requiresReuse: true }, "explicit, require_ssl_reuse=YES, TLS 1.3"],
  [
    "vsftpd",
    { mode: "explicit", requiresReuse: true, versionMax: "TLSv1.2" },
    "explicit, require_ssl_reuse=YES, TLS 1.2",
  ],
  ["vsftpd", { mode: "implicit", requiresReuse: true }, "implicit, require_ssl_reuse=YES"],
  ["proftpd", { mode: "explicit" }, "explicit, session reuse required, TLS 1.3"],
  ["proftpd", { mode: "explicit", versionMax: "TLSv1.2" }, "explicit, session reuse required, TLS 1.2"],
  ["proftpd", { mode: "implicit" }, "implicit, session reuse required"],
  ["pure-ftpd", { mode: "explicit" }, "explicit"],
  ["pyftpdlib", { mode: "explicit" }, "explicit"],
];

for (const [kind, tls, name] of CASES) {
  testNeeding(
    `${kind}, openssl and libssl3`,
    `${kind}: files move both ways over TLS (${name})`,
    () => withTls(kind, tls, moveFiles),
    HAS_TLS && hasFtpServer(kind),
  );
}

const needsVsftpd = (name: string, run: () => Promise<void>) =>
  testNeeding("vsftpd, openssl and libssl3", name, run, HAS_TLS && hasFtpServer("vsftpd"));

needsVsftpd(
  "a certificate of an unknown authority, or another than the pinned one, is denied with a hint",
  () =>
    withTls("vsftpd", { mode: "explicit" }, async (bed) => {
      const other = await Deno.makeTempDir({ prefix: "filesync-tls-" });
      for (const args of [{ ca: makeCertificates(other).caFile }, { pin: "0".repeat(64) }]) {
        const opened = await bed.open(args);
        const error = await rejectsWith("denied", () => opened.driver.stat({ path: "" }, directCall()));
        assert.match(error.details.hint ?? "", /"ca"/);
        await opened.close();
      }
      // The certificate names the address too.
      const good = await bed.open({ host: "127.0.0.1" });
      await good.driver.stat({ path: "" }, directCall());
      await good.close();
      await Deno.remove(other, { recursive: true });
    }),
);

needsVsftpd("a certificate for another name is denied", () =>
  withTls("vsftpd", { mode: "explicit" }, async (bed) => {
    for (const host of ["localhost", "127.0.0.1"]) {
      const opened = await bed.open({ host });
      const error = await rejectsWith("denied", () => opened.driver.stat({ path: "" }, directCall()));
      assert.match(error.message, /certificate is for another/);
      await opened.close();
    }
  }, { names: "DNS:ftp.example.org,IP:192.0.2.1" }));

needsVsftpd(
  "a pin trusts exactly that certificate, without authority and name",
  () =>
    withTls("vsftpd", { mode: "explicit" }, async (bed, { sha256 }) => {
      const other = await Deno.makeTempDir({ prefix: "filesync-tls-" });
      const wrongCa = makeCertificates(other).caFile;
      const opened = await bed.open({ pin: sha256.toUpperCase().replace(/(..)(?=.)/g, "$1:"), ca: wrongCa });
      await moveFiles({ ...bed, driver: opened.driver });
      await opened.close();
      await Deno.remove(other, { recursive: true });
    }),
);

needsVsftpd("a server without TLS is denied, never spoken to in clear", () =>
  withFtp("vsftpd", async (bed) => {
    const error = await rejectsWith("denied", () => bed.driver.stat({ path: "" }, directCall()));
    assert.match(error.message, /offers no TLS/);
  }, { args: { secure: true } }));

testNeeding(
  "vsftpd and openssl",
  "without OpenSSL 3 files move where the server asks for no resumption, and the error says what is missing where it does",
  async () => {
    const makeDriver = () => new FtpDriver(() => null);
    await withTls("vsftpd", { mode: "explicit", requiresReuse: false }, moveFiles, { makeDriver });
    await withTls("vsftpd", { mode: "explicit", requiresReuse: true }, async (bed) => {
      const error = await rejectsWith("denied", () => bed.driver.list({ directory: "" }, directCall()));
      assert.match(error.message, /OpenSSL 3/);
    }, { makeDriver });
    await withTls("vsftpd", { mode: "explicit" }, async (bed) => {
      const dir = await Deno.makeTempDir({ prefix: "filesync-tls-" });
      const opened = await bed.open({ ca: makeCertificates(dir).caFile });
      await rejectsWith("denied", () => opened.driver.stat({ path: "" }, directCall()));
      await opened.close();
      await Deno.remove(dir, { recursive: true });
    }, { makeDriver });
    await withTls("vsftpd", { mode: "explicit" }, async (bed, { sha256 }) => {
      const error = await rejectsWith("invalid_config", () => bed.open({ pin: sha256 }));
      assert.equal(error.details.pointer, "/pin");
    }, { makeDriver });
  },
  hasCommand("openssl") && hasFtpServer("vsftpd"),
);

for (
  const [secure, hint] of [
    ["explicit", /^Turn TLS on at the server, or set "secure" to false/],
    ["implicit", /^Server speaks no TLS at once on this port/],
  ] as const
) {
  for (const makeDriver of [() => new FtpDriver(), () => new FtpDriver(() => null)]) {
    const tls = makeDriver.toString().includes("null") ? "Deno's own TLS" : "OpenSSL";
    testNeeding(
      "pyftpdlib",
      `a server without TLS and "secure": "${secure}": the hint says what to set, by ${tls}`,
      () =>
        withFtp("pyftpdlib", async (bed) => {
          const { driver, close } = await bed.open({ host: "localhost", secure });
          await assert.rejects(async () => await driver.stat({ path: "" }, directCall()), (error) => {
            const { code, details } = error as { code: string; details: { hint?: string } };
            assert.equal(code, "denied");
            assert.match(details.hint ?? "", hint);
            return true;
          });
          await close();
        }, { makeDriver }),
      hasFtpServer("pyftpdlib") && HAS_TLS,
    );
  }
}
