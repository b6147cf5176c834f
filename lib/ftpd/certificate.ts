/**
 * A certificate that a server makes for itself: X.509 version 3 (RFC 5280), ECDSA on P-256, signed with its own key.
 * Clients trust it by its fingerprint or by a copy of it. A library for this brings twenty packages and changes built-in
 * objects; what a single kind of certificate needs of DER is below.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** A server's identity, both in PEM. */
export interface ServerIdentity {
  cert: string;
  /** PKCS #8, not encrypted. */
  key: string;
}

/** DER tags. */
const TAG = {
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  time: 0x17,
  longTime: 0x18,
  sequence: 0x30,
  set: 0x31,
};
/** Context tags of a SubjectAltName: dNSName and iPAddress. */
const [NAME, ADDRESS] = [0x82, 0x87];

/**
 * Makes a certificate and its key.
 * @param names DNS names that it is for; the first is its subject
 * @param addresses IPv4 and IPv6 addresses that it is for
 */
export function makeIdentity(names: readonly [string, ...string[]], addresses: readonly string[]): ServerIdentity {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
  const subject = sequence(der(TAG.set, sequence(oid("2.5.4.3"), der(TAG.utf8, Buffer.from(names[0].slice(0, 64))))));
  const alternatives = [
    ...names.map((name) => der(NAME, Buffer.from(name))),
    ...addresses.map((address) => der(ADDRESS, bytesOfAddress(address))),
  ];
  const body = sequence(
    der(0xa0, der(TAG.integer, Buffer.of(2))),
    der(TAG.integer, serialNumber()),
    algorithm,
    subject,
    // Trust rests on the fingerprint. A machine without a clock battery lives in 1970 at times, and a device in the
    // field is not visited when a date has passed: the last value means "no end" (section 4.1.2.5).
    sequence(der(TAG.time, Buffer.from("700101000000Z")), der(TAG.longTime, Buffer.from("99991231235959Z"))),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(
      0xa3,
      sequence(
        extension("2.5.29.19", sequence()),
        extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.1"))),
        extension("2.5.29.17", sequence(...alternatives)),
      ),
    ),
  );
  const signature = sign("sha256", body, privateKey);
  const certificate = sequence(body, algorithm, der(TAG.bits, Buffer.concat([Buffer.of(0), signature])));
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${
      certificate.toString("base64").replace(/.{64}(?=.)/g, "$&\n")
    }\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

/** SHA-256 of the first certificate in `cert`, in lower-case hex. */
export function fingerprintOf(cert: string): string {
  const [, base64 = ""] = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(cert) ?? [];
  return createHash("sha256").update(Buffer.from(base64, "base64")).digest("hex");
}

function der(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

function sequence(...parts: Uint8Array[]): Buffer {
  return der(TAG.sequence, Buffer.concat(parts));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const septets = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) septets.unshift((left & 0x7f) | 0x80);
    bytes.push(...septets);
  }
  return der(TAG.oid, Buffer.from(bytes));
}

function extension(id: string, value: Uint8Array): Buffer {
  return sequence(oid(id), der(TAG.octets, value));
}

/** Positive, of the shortest form. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes;
}

function bytesOfAddress(address: string): Buffer {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const words = (text: string) => text.split(":").filter((word) => word !== "").map((word) => parseInt(word, 16));
  const [front, back] = [words(head), words(tail ?? "")];
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}
