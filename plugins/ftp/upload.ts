/**
 * Spool to TARGET: the bytes are gathered under a temporary name, their size (and hash, where the server computes one) is
 * checked, and one rename publishes them. Every step can be found half done and is then gone on with.
 */
import {
  type Call,
  conflictPath,
  DriverError,
  isSmallFile,
  parentOf,
  type Proof,
  READ_BACK_BYTES,
  type Receipt,
  temporaryPath,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import type { Directories } from "./directories.ts";
import { type Found, foundBy, lookUp, lookUpTogether, mlstOf, publishedPath } from "./entries.ts";
import { ReplyError } from "./errors.ts";
import { formatTime } from "./parse_mlsd.ts";
import { hashOf, proveSame } from "./proof.ts";
import type { Pool } from "./pool.ts";
import { askToPublish, publish, publishRefused } from "./publish.ts";
import { sendFile, settledSize } from "./send.ts";
import type { Session } from "./session.ts";
import { ConnectionLost } from "./stream.ts";

/** Names that `onExisting: "rename"` tries. */
const CONFLICTS_MAX = 1000;

/** Uploads one file; see the contract. */
export async function upload(
  pool: Pool,
  directories: Directories,
  params: UploadParams,
  call: Call,
): Promise<Receipt> {
  const job = new Upload(directories, params, call, await temporaryPath(params.path, params.sha256));
  try {
    const { receipt, refusal } = await pool.use(call.signal, (session) => job.run(session));
    const refused = await refusal;
    if (refused !== undefined) {
      await pool.use(call.signal, (session) => job.publishRefused(session, receipt.path, refused));
    }
    return receipt;
  } catch (error) {
    // The answer to the last byte or to the rename is lost: a new connection can ask how far it came.
    if (!(error instanceof ConnectionLost) || !job.isSent || call.signal.aborted) throw error;
    return await pool.use(call.signal, (session) => job.goOn(session, error));
  }
}

/** Did it land? The receipt of an upload with these parameters, or `null`. */
export async function confirm(pool: Pool, params: UploadParams, call: Call): Promise<Receipt | null> {
  return await pool.use(call.signal, async (session) => {
    const place = await findPlace(session, params, call);
    if (place.proof === undefined) {
      await session.enterRoot();
      return null;
    }
    // Two tries may have overlapped, and what was left of the later one is of no use any more.
    await discard(session, await temporaryPath(params.path, params.sha256));
    return await receiptOf(session, params, place.path, place.proof);
  });
}

interface Place {
  /** The name to publish under, or where the bytes already are. */
  path: string;
  /** Present when the same bytes are already there. */
  proof?: Proof;
  /** Other bytes are there. */
  isTaken: boolean;
}

/**
 * Looks at the final name, and for `rename` at the names after it, as far as they are taken.
 * @param first what is under the final name, where that was just asked
 */
async function findPlace(
  session: Session,
  params: UploadParams,
  call: Call,
  first?: { there: Found | undefined },
): Promise<Place> {
  for (let n = 1; n <= CONFLICTS_MAX; n++) {
    const path = n === 1 ? params.path : conflictPath(params.path, n);
    const found = n === 1 && first !== undefined ? first.there : await lookUp(session, path, false);
    if (found === undefined) return { path, isTaken: false };
    if (found.kind === "file" && found.sizeBytes === params.sizeBytes) {
      const proof = await proveSame(session, path, params, call);
      if (proof !== undefined) return { path, proof, isTaken: true };
    }
    if (params.onExisting !== "rename") {
      if (found.kind === "file") return { path, isTaken: true };
      throw new DriverError("rejected", `A directory has the name "${path}" on the server`);
    }
  }
  throw new DriverError("rejected", `All of ${CONFLICTS_MAX} names beside "${params.path}" are taken on the server`);
}

async function receiptOf(session: Session, params: UploadParams, path: string, proof: Proof): Promise<Receipt> {
  const receipt: Receipt = { path: await publishedPath(session, path), sizeBytes: params.sizeBytes, verified: proof };
  if (proof === "checksum") receipt.checksum = { algorithm: "sha256", value: params.sha256 };
  return receipt;
}

/** Removes a temporary file; one that is gone, or stays, is met by the next look. */
async function discard(session: Session, temporary: string): Promise<void> {
  await session.control.command(`DELE ${session.path(temporary)}`);
}

/** What an upload came to, as far as its session had to tell. */
interface Outcome {
  receipt: Receipt;
  /** The answer to the rename, where it is still to come: why it was refused. */
  refusal?: Promise<ReplyError | undefined>;
}

class Upload {
  readonly #directories: Directories;
  readonly #params: UploadParams;
  readonly #call: Call;
  readonly #temporary: string;
  /** All bytes were written: what is on the server may be whole. */
  isSent = false;
  /** What the server held before this attempt. */
  #heldBytes = 0;

  constructor(directories: Directories, params: UploadParams, call: Call, temporary: string) {
    this.#directories = directories;
    this.#params = params;
    this.#call = call;
    this.#temporary = temporary;
  }

  async run(session: Session): Promise<Outcome> {
    if (this.#goesAtOnce(session)) return await this.#runAtOnce(session);
    const names = [this.#params.path, this.#temporary];
    const [atFinal, atTemporary] = await lookUpTogether(session, names, { careful: false });
    const place = await this.#place(session, { there: atFinal });
    if (place.proof !== undefined) return { receipt: await this.#alreadyThere(session, place.path, place.proof) };
    await this.#directories.ensure(session, parentOf(this.#params.path));
    await this.#send(session, { there: atTemporary });
    return await this.#finish(session, place.path);
  }

  /**
   * Whether the bytes are sent without looking first: a part of them that is there saves nothing, since it would be read
   * back as a whole, and what has the final name already is seen while they move.
   */
  #goesAtOnce(session: Session): boolean {
    const { sizeBytes, path } = this.#params;
    return session.hasMlst && sizeBytes <= READ_BACK_BYTES && this.#directories.has(parentOf(path));
  }

  async #runAtOnce(session: Session): Promise<Outcome> {
    const looking = session.control.ask(mlstOf(session, this.#params.path));
    looking.catch(() => {}); // The transfer on the same connection fails as well.
    await this.#send(session, { there: undefined });
    const found = foundBy(await looking);
    const place = await this.#place(session, found === null ? undefined : { there: found });
    if (place.proof !== undefined) return { receipt: await this.#alreadyThere(session, place.path, place.proof) };
    return await this.#finish(session, place.path);
  }

  /** After a lost answer. */
  async goOn(session: Session, lost: ConnectionLost): Promise<Receipt> {
    const place = await this.#place(session);
    if (place.proof !== undefined) return await this.#alreadyThere(session, place.path, place.proof);
    const sizeBytes = await settledSize(session, this.#temporary, this.#call);
    if (sizeBytes !== this.#params.sizeBytes) throw lost;
    const { receipt, refusal } = await this.#finish(session, place.path);
    const refused = await refusal;
    if (refused !== undefined) await this.publishRefused(session, receipt.path, refused);
    return receipt;
  }

  /** The server does not rename, at least not so. */
  async publishRefused(session: Session, path: string, refusal: ReplyError): Promise<void> {
    const { sizeBytes, onExisting } = this.#params;
    const replaces = onExisting === "replace";
    await this.#unlessRejected(
      session,
      () => publishRefused(session, { temporary: this.#temporary, path, sizeBytes, replaces, refusal }),
    );
  }

  /** A name that will never be taken leaves bytes of no use behind. */
  async #unlessRejected<T>(session: Session, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DriverError && error.code === "rejected") await this.#discard(session);
      throw error;
    }
  }

  /** The name to publish under. Bytes that will never have one are of no use on the server. */
  async #place(session: Session, first?: { there: Found | undefined }): Promise<Place> {
    return await this.#unlessRejected(session, async () => {
      const place = await findPlace(session, this.#params, this.#call, first);
      if (place.isTaken && place.proof === undefined && this.#params.onExisting === "fail") {
        throw new DriverError("rejected", `Other bytes have the name "${place.path}" on the server`);
      }
      return place;
    });
  }

  async #alreadyThere(session: Session, path: string, proof: Proof): Promise<Receipt> {
    // What an earlier attempt left under the temporary name; mostly there is none.
    await discard(session, this.#temporary);
    return await receiptOf(session, this.#params, path, proof);
  }

  async #send(session: Session, found: { there: Found | undefined }): Promise<void> {
    const onSent = () => this.isSent = true;
    try {
      this.#heldBytes = await sendFile(session, this.#temporary, this.#params, this.#call, { onSent, found });
    } catch (error) {
      if (!(error instanceof ReplyError) || error.isNoSpace || (error.code !== 550 && error.code !== 553)) throw error;
      // The directory that was made once may be gone: the temporary name itself is one that every server takes.
      this.#directories.forget(parentOf(this.#params.path));
      await session.enterRoot();
      await this.#directories.ensure(session, parentOf(this.#params.path));
      try {
        this.#heldBytes = await sendFile(session, this.#temporary, this.#params, this.#call, { onSent });
      } catch (again) {
        if (!(again instanceof ReplyError) || again.isNoSpace) throw again;
        throw new DriverError(
          "denied",
          `Cannot write into ${
            parentOf(this.#params.path) === "" ? "the device's root" : `directory "${parentOf(this.#params.path)}"`
          }: ${again.message}`,
          {
            ...(parentOf(this.#params.path) === "" ? {} : { scope: "file" as const }),
            hint: "Give the user the right to write there on the server",
          },
        );
      }
    }
  }

  /** Checks the whole, sets its time, and publishes it. */
  async #finish(session: Session, path: string): Promise<Outcome> {
    const { sizeBytes, sha256, onExisting } = this.#params;
    const replaces = onExisting === "replace";
    const setTime = this.#setTimeCommand(session);
    // The final name too: it may have been taken while the bytes moved.
    const [found, atFinal] = await lookUpTogether(
      session,
      [this.#temporary, ...(replaces ? [] : [this.#params.path])],
      {
        careful: false,
        also: setTime === undefined ? [] : [setTime],
      },
    );
    if (found?.kind !== "file" || found.sizeBytes !== sizeBytes) {
      const actual = found?.kind === "file" ? `${found.sizeBytes} bytes` : "nothing";
      if (found?.kind === "file" && found.sizeBytes! > this.#heldBytes && found.sizeBytes! < sizeBytes) {
        // A data connection that something on the way closed looks to a server like the file's end. What it has is good.
        throw new ConnectionLost(`Data connection was cut: server holds ${actual} of ${sizeBytes}`);
      }
      await this.#discard(session);
      throw new DriverError(
        "corrupt",
        `Server holds ${actual} of "${path}" after the upload: expected ${sizeBytes} bytes`,
      );
    }
    const hash = await hashOf(session, this.#temporary, sizeBytes);
    if (hash !== undefined && hash !== sha256) {
      await this.#discard(session);
      throw new DriverError(
        "corrupt",
        `Server holds other bytes of "${path}": expected SHA-256 ${sha256}, got ${hash}`,
      );
    }
    if (setTime === undefined) await this.#setTimeByMdtm(session);
    if (!replaces) {
      const place = await this.#place(session, { there: atFinal });
      if (place.proof !== undefined) return { receipt: await this.#alreadyThere(session, place.path, place.proof) };
      path = place.path;
    }
    const proof = hash === undefined ? "size" : "checksum";
    // The name that it really gets is asked for afterwards.
    if (!isSmallFile(sizeBytes) || /\s$/.test(path) || session.isRenaming) {
      await this.#unlessRejected(session, () => publish(session, this.#temporary, path, sizeBytes, replaces));
      return { receipt: await receiptOf(session, this.#params, path, proof) };
    }
    const refusal = askToPublish(session, this.#temporary, path);
    refusal.catch(() => {}); // Awaited when the session was given back.
    return { receipt: await receiptOf(session, this.#params, path, proof), refusal };
  }

  async #discard(session: Session): Promise<void> {
    await discard(session, this.#temporary);
    this.isSent = false;
  }

  #setTimeCommand(session: Session): string | undefined {
    const { modifiedMs } = this.#params;
    if (modifiedMs === undefined || !session.has("mfmt")) return undefined;
    return `MFMT ${formatTime(modifiedMs)} ${session.path(this.#temporary)}`;
  }

  /** vsftpd sets the time by MDTM; others take the whole for a name that does not exist. */
  async #setTimeByMdtm(session: Session): Promise<void> {
    const { modifiedMs } = this.#params;
    const { memory } = session.context;
    if (modifiedMs === undefined || memory.has("noSetTime")) return;
    const what = `${formatTime(modifiedMs)} ${session.path(this.#temporary)}`;
    if ((await session.control.command(`MDTM ${what}`)).code >= 500) memory.learn("noSetTime");
  }
}
