import assert from "node:assert/strict";
import { join } from "node:path";
import { previewOf } from "./preview.ts";

/** Writes `bytes` and looks at them. */
async function look(bytes: Uint8Array, name = "file") {
  const dir = Deno.makeTempDirSync();
  try {
    const path = join(dir, "1.spool");
    Deno.writeFileSync(path, bytes);
    return await previewOf({ path, sizeBytes: bytes.length, name });
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

const SMALL = Uint8Array.of(0xff, 0xd8, 1, 2, 3, 0xff, 0xd9);

/** A JPEG of a camera: Exif 2.32 with an IFD1 whose picture is `SMALL`, big or little endian. */
function jpegWithThumbnail(little: boolean, { length = SMALL.length, offset = 62 } = {}): Uint8Array<ArrayBuffer> {
  const tiff = new Uint8Array(62 + SMALL.length);
  const view = new DataView(tiff.buffer);
  view.setUint16(0, little ? 0x4949 : 0x4d4d);
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  // IFD0: one entry, then where IFD1 is.
  view.setUint16(8, 1, little);
  view.setUint32(8 + 14, 26, little);
  view.setUint16(26, 2, little);
  const entry = (at: number, tag: number, value: number) => {
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, 4, little);
    view.setUint32(at + 4, 1, little);
    view.setUint32(at + 8, value, little);
  };
  entry(28, 0x0201, offset);
  entry(40, 0x0202, length);
  tiff.set(SMALL, 62);
  const jpeg = new Uint8Array(2 + 4 + 6 + tiff.length + 2);
  jpeg.set([0xff, 0xd8, 0xff, 0xe1, 0, 2 + 6 + tiff.length, 0x45, 0x78, 0x69, 0x66, 0, 0]);
  jpeg.set(tiff, 12);
  jpeg.set([0xff, 0xda], 12 + tiff.length);
  return jpeg;
}

Deno.test("previewOf() takes the small picture out of a camera's JPEG", async () => {
  for (const little of [true, false]) {
    assert.deepEqual(await look(jpegWithThumbnail(little)), { kind: "bytes", type: "image/jpeg", bytes: SMALL });
  }
});

Deno.test("previewOf() shows a picture as it is when there is no small one in it that makes sense", async () => {
  const pictures = [
    jpegWithThumbnail(true, { length: 0 }),
    jpegWithThumbnail(true, { length: 5000 }),
    jpegWithThumbnail(true, { offset: 60_000 }),
    jpegWithThumbnail(true).slice(0, 40),
    Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 2),
  ];
  for (const picture of pictures) {
    const seen = await look(picture);
    assert.deepEqual({ ...seen, path: "" }, { kind: "file", type: "image/jpeg", path: "" });
  }
});

Deno.test("previewOf() goes by what a file is and not by its name: nothing that could carry a script is a picture", async () => {
  assert.equal(await look(new TextEncoder().encode("<svg onload='alert(1)'/>"), "a.jpg"), undefined);
  assert.equal(await look(new TextEncoder().encode("<html><script>alert(1)</script>"), "a.png"), undefined);
  assert.equal(await look(new Uint8Array(0), "a.ulg"), undefined);
  const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0);
  assert.equal((await look(png, "a.txt"))?.kind, "file");
  const large = new Uint8Array(5 * 1024 * 1024);
  large.set(png);
  assert.equal(await look(large), undefined);
  assert.equal(await previewOf({ path: "/nowhere/1.spool", sizeBytes: 1, name: "a" }), undefined);
});

/** A ULog of PX4: header, flags, what it says of itself, data. */
function ulog(messages: [type: string, body: Uint8Array][]): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(16);
  header.set([0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35, 1]);
  new DataView(header.buffer).setBigUint64(8, 5_000_000n, true);
  const parts = messages.map(([type, body]) => {
    const part = new Uint8Array(3 + body.length);
    new DataView(part.buffer).setUint16(0, body.length, true);
    part[2] = type.charCodeAt(0);
    part.set(body, 3);
    return part;
  });
  const all = new Uint8Array([header, ...parts].reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of [header, ...parts]) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function info(key: string, value: string): [string, Uint8Array] {
  return ["I", new TextEncoder().encode(String.fromCharCode(key.length) + key + value)];
}

function data(us: bigint): [string, Uint8Array] {
  const body = new Uint8Array(40);
  new DataView(body.buffer).setBigUint64(2, us, true);
  return ["D", body];
}

Deno.test("previewOf() tells what a flight log says of itself", async () => {
  const log = ulog([
    info("char[3] sys_name", "PX4"),
    info("char[10] ver_hw", "PX4_FMU_V5"),
    info("uint32_t ver_data_format", "\x01\0\0\0"),
    data(6_000_000n),
    ["O", Uint8Array.of(200, 0)],
    // More than one piece of what is read at once.
    ...Array.from({ length: 20_000 }, (_, index) => data(6_000_000n + BigInt(index) * 10_000n)),
    // Damage: a time of another life.
    data(2n ** 60n),
  ]);
  assert.deepEqual(await look(log), {
    kind: "log",
    summary: {
      format: "ULog",
      sizeBytes: log.length,
      durationMs: 200_990,
      system: "PX4",
      hardware: "PX4_FMU_V5",
      dropoutMs: 200,
    },
  });
  const cut = await look(log.slice(0, 100));
  assert.equal(cut?.kind === "log" ? cut.summary.system : undefined, "PX4");
  assert.equal(await look(log.slice(0, 10)), undefined);
});
