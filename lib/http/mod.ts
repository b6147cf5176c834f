/**
 * The status page, its HTTP interface and its metrics. Stands alone: what it shows is given to it.
 *
 * @module
 */
export { HttpError, type HttpServer, startHttpServer } from "./server.ts";
export { type HttpSettings, isLocal, type ListenAddress, showAddress } from "./settings.ts";
export type { LocalCopy, RetryRequest, Site } from "./site.ts";
export { hasToken, makeToken, removeToken } from "./token.ts";
