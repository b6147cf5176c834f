/** What must outlive this process: that a session is open, what was learned of the autopilot, the time of signing. */
import { DriverError } from "../../lib/driver/mod.ts";

interface Facts {
  /** The session that was opened and not ended. */
  session?: { systemId: number; session: number };
  /** The autopilot that said who it is; never asked again before it is used. */
  uid?: string;
  /** Of signed frames; no secret. */
  signingTime?: number;
}

/** Facts in one small file of the device's `stateDir`. */
export class Journal {
  readonly #file: string;
  #facts: Facts;

  constructor(stateDir: string) {
    this.#file = `${stateDir}/mavftp.json`;
    this.#facts = read(this.#file);
  }

  get session(): Facts["session"] {
    return this.#facts.session;
  }

  get uid(): string | undefined {
    return this.#facts.uid;
  }

  get signingTime(): number | undefined {
    return this.#facts.signingTime;
  }

  /** Notes that a session may be open from now on; `undefined` that none is. */
  setSession(session: Facts["session"]): void {
    if (session === undefined && this.#facts.session === undefined) return;
    this.#write({ ...this.#facts, session });
  }

  setUid(uid: string): void {
    if (uid !== this.#facts.uid) this.#write({ ...this.#facts, uid });
  }

  setSigningTime(signingTime: number): void {
    this.#write({ ...this.#facts, signingTime });
  }

  #write(facts: { [K in keyof Facts]: Facts[K] | undefined }): void {
    this.#facts = JSON.parse(JSON.stringify(facts));
    const temporary = `${this.#file}.new`;
    try {
      Deno.writeTextFileSync(temporary, `${JSON.stringify(this.#facts)}\n`);
      Deno.renameSync(temporary, this.#file);
    } catch (error) {
      throw new DriverError(
        "failed",
        `Cannot write "${this.#file}": ${error instanceof Error ? error.message : error}`,
      );
    }
  }
}

function read(file: string): Facts {
  try {
    const facts: unknown = JSON.parse(Deno.readTextFileSync(file));
    return typeof facts === "object" && facts !== null ? facts as Facts : {};
  } catch {
    // Not there yet, or half written before power was lost: nothing in it is needed.
    return {};
  }
}
