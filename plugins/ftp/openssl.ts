/**
 * The part of OpenSSL that FTPS needs, through FFI: a TLS client over memory BIOs whose session can be resumed.
 *
 * Why not the TLS of Deno: vsftpd and ProFTPD accept a data connection only when it resumes the control connection's
 * TLS session. Deno 2.9.5 makes a certificate verifier for each connection, in `Deno.startTls` and in `node:tls`, and
 * rustls resumes no session under another verifier. Only buffers cross the border, no pointer of ours, so that
 * permission for this one library is enough.
 */

/** Where distributions keep OpenSSL 3; Deno asks for whole paths where the permission names files. */
export const LIBRARY_PATHS = [
  `/usr/lib/${Deno.build.arch}-linux-gnu/libssl.so.3`,
  "/usr/lib64/libssl.so.3",
  "/usr/lib/libssl.so.3",
  "libssl.so.3",
];

const SYMBOLS = {
  TLS_client_method: { parameters: [], result: "pointer" },
  SSL_CTX_new: { parameters: ["pointer"], result: "pointer" },
  SSL_CTX_free: { parameters: ["pointer"], result: "void" },
  SSL_CTX_ctrl: { parameters: ["pointer", "i32", "i64", "pointer"], result: "i64" },
  SSL_CTX_set_verify: { parameters: ["pointer", "i32", "pointer"], result: "void" },
  SSL_CTX_set_default_verify_paths: { parameters: ["pointer"], result: "i32" },
  SSL_CTX_load_verify_file: { parameters: ["pointer", "buffer"], result: "i32" },
  SSL_new: { parameters: ["pointer"], result: "pointer" },
  SSL_free: { parameters: ["pointer"], result: "void" },
  SSL_set_bio: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
  SSL_set_connect_state: { parameters: ["pointer"], result: "void" },
  SSL_set1_host: { parameters: ["pointer", "buffer"], result: "i32" },
  SSL_set_server_name: { name: "SSL_ctrl", parameters: ["pointer", "i32", "i64", "buffer"], result: "i64" },
  SSL_get0_param: { parameters: ["pointer"], result: "pointer" },
  X509_VERIFY_PARAM_set1_ip_asc: { parameters: ["pointer", "buffer"], result: "i32" },
  SSL_do_handshake: { parameters: ["pointer"], result: "i32" },
  SSL_read: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  SSL_write: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  SSL_shutdown: { parameters: ["pointer"], result: "i32" },
  SSL_set_shutdown: { parameters: ["pointer", "i32"], result: "void" },
  SSL_get_error: { parameters: ["pointer", "i32"], result: "i32" },
  SSL_get1_session: { parameters: ["pointer"], result: "pointer" },
  SSL_set_session: { parameters: ["pointer", "pointer"], result: "i32" },
  SSL_SESSION_free: { parameters: ["pointer"], result: "void" },
  SSL_session_reused: { parameters: ["pointer"], result: "i32" },
  SSL_get_verify_result: { parameters: ["pointer"], result: "i64" },
  SSL_get1_peer_certificate: { parameters: ["pointer"], result: "pointer" },
  X509_digest: { parameters: ["pointer", "pointer", "buffer", "buffer"], result: "i32" },
  X509_free: { parameters: ["pointer"], result: "void" },
  EVP_sha256: { parameters: [], result: "pointer" },
  BIO_s_mem: { parameters: [], result: "pointer" },
  BIO_new: { parameters: ["pointer"], result: "pointer" },
  BIO_read: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  BIO_write: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  BIO_ctrl_pending: { parameters: ["pointer"], result: "usize" },
  ERR_clear_error: { parameters: [], result: "void" },
  ERR_get_error: { parameters: [], result: "u64" },
  ERR_error_string_n: { parameters: ["u64", "buffer", "usize"], result: "void" },
} as const;

/** The library's functions. */
export type Openssl = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let loaded: Openssl | null | undefined;

/** OpenSSL 3 of this machine, or `null` when there is none. It stays loaded: unloading it is not safe. */
export function loadOpenssl(): Openssl | null {
  if (loaded !== undefined) return loaded;
  for (const path of LIBRARY_PATHS) {
    try {
      return loaded = Deno.dlopen(path, SYMBOLS).symbols;
    } catch {
      // Not there, not allowed, or older than 3.0: the next place may have it.
    }
  }
  return loaded = null;
}

/** A C string. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** The oldest error in OpenSSL's queue, in its words. */
export function opensslError(ssl: Openssl): string {
  const text = new Uint8Array(256);
  ssl.ERR_error_string_n(ssl.ERR_get_error(), text, 256n);
  // "error:0A000086:SSL routines::certificate verify failed": only the last part is for people.
  return new TextDecoder().decode(text.subarray(0, text.indexOf(0))).split(":").at(-1) || "unknown error";
}

/** Words for the results of a certificate's verification that operators meet (openssl-verification-options(1)). */
export function verifyProblem(code: number): string {
  switch (code) {
    case 9:
      return "its certificate is not valid yet; or the clock is wrong";
    case 10:
      return "its certificate has expired; or the clock is wrong";
    case 18:
    case 19:
    case 20:
    case 21:
      return "its certificate is not signed by a known authority";
    case 62:
      return "its certificate is for another name";
    case 64:
      return "its certificate is for another address";
    default:
      return `its certificate does not verify (OpenSSL code ${code})`;
  }
}
