/**
 * The companion FTP server: what runs at the other end where there is no server yet. Stands alone.
 *
 * @module
 */
export { fingerprintOf, makeIdentity, type ServerIdentity } from "./certificate.ts";
export { FTP_LIMITS, startFtpServer } from "./server.ts";
export type { FtpEvent, FtpLimits, FtpServer, FtpServerOptions, FtpUser } from "./types.ts";
