/** The name that an upload gets, and what is there already. */
import {
  type Call,
  conflictPath,
  DriverError,
  type Proof,
  type Receipt,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import { proveSame } from "./proof.ts";
import type { DavServer } from "./server.ts";

/** Names that `onExisting: "rename"` tries. */
const CONFLICTS_MAX = 1000;

export interface Place {
  /** The name to publish under, or where the bytes already are. */
  path: string;
  /** Present when the same bytes are already there. */
  proof?: Proof;
  /** Other bytes are there. */
  isTaken: boolean;
}

/** Looks at the final name, and for `rename` at the names after it, as far as they are taken. */
export async function findPlace(server: DavServer, params: UploadParams, call: Call): Promise<Place> {
  for (let n = 1; n <= CONFLICTS_MAX; n++) {
    const path = n === 1 ? params.path : conflictPath(params.path, n);
    const found = await server.look(path, call.signal);
    if (found === undefined) return { path, isTaken: false };
    if (!found.isFolder && found.sizeBytes === params.sizeBytes) {
      const proof = await proveSame(server, path, found, params, call);
      if (proof !== undefined) return { path, proof, isTaken: true };
    }
    if (params.onExisting !== "rename") {
      if (!found.isFolder) return { path, isTaken: true };
      throw new DriverError("rejected", `A folder has the name "${path}" on the server`);
    }
  }
  throw new DriverError("rejected", `All of ${CONFLICTS_MAX} names beside "${params.path}" are taken on the server`);
}

/** {@linkcode findPlace} for an upload: other bytes under the name may forbid it. */
export async function placeFor(server: DavServer, params: UploadParams, call: Call): Promise<Place> {
  const place = await findPlace(server, params, call);
  if (place.isTaken && place.proof === undefined && params.onExisting === "fail") {
    throw new DriverError("rejected", `Other bytes have the name "${place.path}" on the server`);
  }
  return place;
}

export function receiptOf({ sizeBytes, sha256 }: UploadParams, path: string, proof: Proof): Receipt {
  const receipt: Receipt = { path, sizeBytes, verified: proof };
  // The server's own hash may be another one; what it proves is that these are the bytes.
  if (proof === "checksum") receipt.checksum = { algorithm: "sha256", value: sha256 };
  return receipt;
}
