/**
 * Spool to SERVER: the bytes are gathered under a temporary name, their size (and hash, where the server tells one) is
 * checked, and one MOVE publishes them. Every step can be found half done and is then gone on with. Nextcloud, which takes
 * no such names, has a way of its own.
 */
import {
  type Call,
  DriverError,
  parentOf,
  type Proof,
  type Receipt,
  temporaryPath,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import type { ConnectionLost } from "../http/lost.ts";
import { StatusError } from "./errors.ts";
import { isOpen, lookAgain } from "./lost_answers.ts";
import { uploadToNextcloud } from "./nextcloud.ts";
import { findPlace, type Place, placeFor, receiptOf } from "./place.ts";
import { hashSays } from "./proof.ts";
import { discard, sendFile } from "./send.ts";
import type { Found } from "./server.ts";
import { enterRoot, type Tools } from "./tools.ts";
import { urlOf } from "./paths.ts";

/** A smaller file is sent before it is asked whether it is there: to ask costs as much, bytes. */
const LOOK_FIRST_BYTES_MIN = 1024 * 1024;
/** Lost answers of one upload that are asked for. */
const LOSSES_MAX = 3;
/** Names that may be snatched away between look and MOVE. */
const RACES_MAX = 5;

/** Uploads one file; see the contract. */
export async function upload(tools: Tools, params: UploadParams, call: Call): Promise<Receipt> {
  if (tools.server.config.kind === "nextcloud") return await uploadToNextcloud(tools, params, call);
  const job = new Upload(tools, params, call, await temporaryPath(params.path, params.sha256));
  let lost: unknown;
  // Each step of an upload can have its answer lost.
  for (let losses = 0; losses <= LOSSES_MAX; losses++) {
    try {
      return isOpen(lost) ? await job.goOn(lost) : await job.run();
    } catch (error) {
      if (!isOpen(error) || error === lost || call.signal.aborted) throw error;
      lost = error;
    }
  }
  throw lost;
}

/** Did it land? The receipt of an upload with these parameters, or `null`. */
export async function confirm(tools: Tools, params: UploadParams, call: Call): Promise<Receipt | null> {
  const place = await findPlace(tools.server, params, call);
  if (place.proof !== undefined) {
    // Two tries may have overlapped, and what was left of the later one is of no use any more.
    if (tools.server.config.kind !== "nextcloud") {
      await discard(tools.server, await temporaryPath(params.path, params.sha256), call.signal);
    }
    return receiptOf(params, place.path, place.proof);
  }
  // A server that is there but lost its root has nothing to say.
  await enterRoot(tools, call);
  return null;
}

class Upload {
  readonly #tools: Tools;
  readonly #params: UploadParams;
  readonly #call: Call;
  readonly #temporary: string;

  constructor(tools: Tools, params: UploadParams, call: Call, temporary: string) {
    this.#tools = tools;
    this.#params = params;
    this.#call = call;
    this.#temporary = temporary;
  }

  async run(): Promise<Receipt> {
    const { folders } = this.#tools;
    if (this.#params.sizeBytes >= LOOK_FIRST_BYTES_MIN) {
      const place = await this.#placeOrDiscard();
      if (place.proof !== undefined) return await this.#alreadyThere(place.path, place.proof);
    }
    await folders.ensure(this.#tools, parentOf(this.#params.path), this.#call);
    // The name is looked at as late as possible, since it may be taken while the bytes move: small ones move at once.
    let place: Promise<Place> | undefined;
    const found = await this.#send(() => {
      place ??= placeFor(this.#tools.server, this.#params, this.#call);
      place.catch(() => {});
    });
    return await this.#finish(found, place);
  }

  /** After a lost answer: what it was the answer to may be done, or be done in a while. */
  async goOn(lost: ConnectionLost | StatusError): Promise<Receipt> {
    const { server } = this.#tools;
    const { sizeBytes } = this.#params;
    const state = await lookAgain(this.#call, lost, sizeBytes, async () => {
      const place = await this.#placeOrDiscard();
      if (place.proof !== undefined) return place;
      const found = await server.look(this.#temporary, this.#call.signal);
      return found?.sizeBytes === sizeBytes ? "gathered" as const : undefined;
    });
    if (state === undefined) throw lost;
    if (state === "gathered") return await this.#finish();
    return await this.#alreadyThere(state.path, state.proof!);
  }

  async #alreadyThere(path: string, proof: Proof): Promise<Receipt> {
    // What an earlier attempt left under the temporary name; mostly there is none.
    if (this.#params.sizeBytes >= LOOK_FIRST_BYTES_MIN) {
      await discard(this.#tools.server, this.#temporary, this.#call.signal);
    }
    return receiptOf(this.#params, path, proof);
  }

  async #send(onSent: () => void): Promise<Found | undefined> {
    const { server, memory, folders } = this.#tools;
    try {
      return await sendFile(server, memory, this.#temporary, this.#params, this.#call, onSent);
    } catch (error) {
      if (!(error instanceof StatusError) || ![404, 409].includes(error.status)) throw error;
      // The folder that was made once is gone.
      folders.forget();
      await folders.ensure(this.#tools, parentOf(this.#params.path), this.#call);
      return await sendFile(server, memory, this.#temporary, this.#params, this.#call, onSent);
    }
  }

  /**
   * Checks the whole and publishes it.
   * @param seen what was under the temporary name when all was sent
   * @param asked the look at the name, where it is on its way
   */
  async #finish(seen?: Found, asked?: Promise<Place>): Promise<Receipt> {
    const { server } = this.#tools;
    const { signal } = this.#call;
    let [found, place] = await Promise.all([
      // A look that was too early is none.
      seen?.sizeBytes === this.#params.sizeBytes ? seen : server.look(this.#temporary, signal),
      this.#placeOrDiscard(asked),
    ]);
    if (found === undefined || found.isFolder || found.sizeBytes !== this.#params.sizeBytes) {
      const actual = found === undefined ? "nothing" : `${found.sizeBytes ?? "an unknown number of"} bytes`;
      await discard(server, this.#temporary, signal);
      throw new DriverError(
        "corrupt",
        `Server holds ${actual} of "${this.#params.path}" after the upload: expected ${this.#params.sizeBytes} bytes`,
      );
    }
    const says = hashSays(server, found, this.#params);
    if (says === false) {
      await discard(server, this.#temporary, signal);
      throw new DriverError("corrupt", `Server holds other bytes of "${this.#params.path}" than were sent`);
    }
    for (let races = 0; races < RACES_MAX; races++) {
      if (place.proof !== undefined) {
        await discard(server, this.#temporary, signal);
        return receiptOf(this.#params, place.path, place.proof);
      }
      if (await this.#publish(place)) return receiptOf(this.#params, place.path, says === true ? "checksum" : "size");
      place = await this.#placeOrDiscard();
    }
    throw new DriverError("failed", `Name "${place.path}" is taken again and again by somebody else`);
  }

  /** The place; bytes that will never be published are of no use on the server. */
  async #placeOrDiscard(asked?: Promise<Place>): Promise<Place> {
    const { server } = this.#tools;
    try {
      return await (asked ?? placeFor(server, this.#params, this.#call));
    } catch (error) {
      if (error instanceof DriverError && error.code === "rejected") {
        await discard(server, this.#temporary, this.#call.signal);
      }
      throw error;
    }
  }

  /** The rename that makes the file visible; `false` when the name was taken in the meantime. */
  async #publish({ path }: Place): Promise<boolean> {
    const { server, folders } = this.#tools;
    const { config } = server;
    const headers = {
      Destination: urlOf(config.destination, path).href,
      // Only a file that was seen there is replaced: over a folder this would remove all that is in it.
      Overwrite: this.#params.onExisting === "replace" ? "T" : "F",
    };
    const move = () => server.request({ method: "MOVE", url: server.url(this.#temporary), headers }, this.#call.signal);
    let reply = await move();
    if (reply.status === 409) {
      await reply.discard();
      folders.forget();
      await folders.ensure(this.#tools, parentOf(path), this.#call);
      reply = await move();
    }
    if (reply.status === 201 || reply.status === 204) {
      await reply.discard();
      return true;
    }
    const refusal = await server.refusal("MOVE", reply);
    if (!(refusal instanceof StatusError)) {
      // 200 is no answer to MOVE (RFC 4918 section 9.9.4), but that of every captive portal.
      if (reply.status === 200 && await this.#isPublished(path)) return true;
      throw refusal;
    }
    if (refusal.status === 412) return false;
    if (refusal.status === 404 && await this.#isPublished(path)) return true;
    if (refusal.status === 502 && config.destination.href === config.root.href && !await this.#isPublished(path)) {
      throw new DriverError("unavailable", refusal.message, {
        hint: 'If this stays, the server behind a proxy knows itself by another address: name it in "destination"',
      });
    }
    if (refusal.status === 400 || refusal.status === 403 || refusal.status === 422) {
      await discard(server, this.#temporary, this.#call.signal);
      if (refusal.status !== 403) throw new DriverError("rejected", refusal.message);
    }
    throw refusal;
  }

  /** A MOVE that worked and was asked for twice: nothing has the temporary name, the whole has the final one. */
  async #isPublished(path: string): Promise<boolean> {
    const { server } = this.#tools;
    if (await server.look(this.#temporary, this.#call.signal) !== undefined) return false;
    const found = await server.look(path, this.#call.signal);
    return found !== undefined && !found.isFolder && found.sizeBytes === this.#params.sizeBytes;
  }
}
