/** The records of a client's TLS stream (RFC 8446 section 5.1), as far as anybody on the way can see them. */

const APPLICATION_DATA = 23;
const HEADER_BYTES = 5;

/**
 * Tells when a client has sent its first protected data: in TLS 1.3 the end of its handshake, in 1.2 what follows its
 * end. The server has nothing more to say for the handshake then.
 */
export class TlsRecords {
  /** Whether a record of protected data has begun. */
  haveData = false;
  readonly #header: number[] = [];
  #left = 0;

  /** Takes the next bytes. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.haveData;) {
      if (this.#left > 0) {
        const count = Math.min(this.#left, bytes.length - at);
        this.#left -= count;
        at += count;
        continue;
      }
      this.#header.push(bytes[at++]!);
      this.haveData = this.#header[0] === APPLICATION_DATA;
      if (this.#header.length === HEADER_BYTES) {
        const [, , , high = 0, low = 0] = this.#header.splice(0);
        this.#left = high * 256 + low;
      }
    }
  }
}
