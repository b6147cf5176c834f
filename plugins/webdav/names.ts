/** Names of no value on the server. */

/** A name of our own unfinished uploads, so that nobody takes what a failure leaves for a file. */
export function temporaryName(): string {
  return `filesync-${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}.part`;
}
