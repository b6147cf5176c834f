import assert from "node:assert/strict";
import { fileCrc, frameCrc } from "./crc.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("fileCrc() is that of PX4, ArduPilot and MAVSDK", () => {
  assert.equal(fileCrc(bytes("123456789")), 0x2dfd2d88);
  assert.equal(fileCrc(bytes("a")), 0x3ab551ce);
  assert.equal(fileCrc(new Uint8Array(1000)), 0);
  assert.equal(fileCrc(bytes("\0\x00123456789")), 0x2dfd2d88, "leading zeros do not show");
});

Deno.test("fileCrc() goes on from where it was", () => {
  assert.equal(fileCrc(bytes("56789"), fileCrc(bytes("1234"))), 0x2dfd2d88);
});

Deno.test("frameCrc() is CRC-16/MCRF4XX over the bytes and the CRC_EXTRA", () => {
  // Check value of the catalogue of checksums: 0x6f91 for "123456789".
  assert.equal(frameCrc(bytes("12345678"), 0, 8, "9".charCodeAt(0)), 0x6f91);
});
