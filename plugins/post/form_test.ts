import assert from "node:assert/strict";
import { parseForm } from "../../tests/support/flight_review.ts";
import { envelopeFor, fileName } from "./form.ts";

const encoder = new TextEncoder();

Deno.test("envelopeFor() makes a body that a strict reader takes apart into the same fields and bytes", () => {
  const values = new Map([["description", "flight 3\nof 5 ☂"], ["email", ""], ["public", "false"]]);
  const bytes = encoder.encode("--\r\n--filesync-\r\n\r\nbytes\r\n");
  const { head, tail } = envelopeFor({ values, field: "filearg", path: "2026/log 1.ulg" });
  const parts = parseForm(new Uint8Array([...head, ...bytes, ...tail]));
  assert.deepEqual(parts.map(({ name, fileName }) => [name, fileName]), [
    ["description", undefined],
    ["email", undefined],
    ["public", undefined],
    ["filearg", "log 1.ulg"],
  ]);
  assert.equal(new TextDecoder().decode(parts[0]!.bytes), "flight 3\nof 5 ☂");
  assert.deepEqual(parts[3]!.bytes, bytes);
});

Deno.test("envelopeFor() of an empty file is a whole form", () => {
  const { head, tail } = envelopeFor({ values: new Map(), field: "file", path: "empty" });
  assert.deepEqual(parseForm(new Uint8Array([...head, ...tail])), [
    { name: "file", fileName: "empty", bytes: new Uint8Array(0) },
  ]);
});

Deno.test("fileName() is the last name in letters that hand-made readers take", () => {
  assert.equal(fileName("2026-06-01/12_00_00.ulg"), "12_00_00.ulg");
  assert.equal(fileName('a "quoted"; back\\slash 100%.ulg'), "a _quoted__ back_slash 100_.ulg");
  assert.equal(fileName("Größe ☂.ulg"), "Gr__e _.ulg");
  assert.equal(fileName("emoji \u{1f680}.ulg"), "emoji _.ulg");
});
