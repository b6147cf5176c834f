/** A certificate authority of its own and a server certificate for loopback, by the openssl command. */
import { execFileSync } from "node:child_process";

export interface Certificates {
  /** PEM of the authority. */
  caFile: string;
  /** PEM of the server's certificate. */
  certFile: string;
  keyFile: string;
  /** Key and certificate in one file, as vsftpd, pure-ftpd and pyftpdlib want it. */
  bothFile: string;
  /** SHA-256 of the server's certificate, lower-case hex. */
  sha256: string;
}

/**
 * Makes both in `dir`.
 * @param names what the server's certificate is for
 */
export function makeCertificates(dir: string, names = "DNS:localhost,IP:127.0.0.1,IP:::1"): Certificates {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-days",
    "3650",
    "-subj",
    "/CN=FileSync test authority",
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
  );
  openssl("req", ...key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr");
  Deno.writeTextFileSync(
    `${dir}/server.ext`,
    `subjectAltName=${names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`,
  );
  const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
  openssl(
    "x509",
    "-req",
    "-in",
    "server.csr",
    ...signer,
    "-days",
    "3650",
    "-extfile",
    "server.ext",
    "-out",
    "server.pem",
  );
  const certFile = `${dir}/server.pem`;
  const keyFile = `${dir}/server.key`;
  Deno.writeTextFileSync(`${dir}/both.pem`, Deno.readTextFileSync(keyFile) + Deno.readTextFileSync(certFile), {
    mode: 0o600,
  });
  const printed = openssl("x509", "-in", "server.pem", "-noout", "-fingerprint", "-sha256").toString();
  const sha256 = printed.slice(printed.indexOf("=") + 1).trim().replaceAll(":", "").toLowerCase();
  return { caFile: `${dir}/ca.pem`, certFile, keyFile, bothFile: `${dir}/both.pem`, sha256 };
}
