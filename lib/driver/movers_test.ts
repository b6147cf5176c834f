import assert from "node:assert/strict";
import { MoverPlaces, SMALL_FILE_BYTES } from "./movers.ts";

const LARGE = SMALL_FILE_BYTES + 1;

Deno.test("MoverPlaces gives eight small files the place of a large one", () => {
  const places = new MoverPlaces(2);
  const large = places.take(LARGE);
  const small = Array.from({ length: 8 }, () => {
    assert.ok(places.hasPlace(SMALL_FILE_BYTES));
    return places.take(SMALL_FILE_BYTES);
  });
  assert.deepEqual([places.hasPlace(0), places.hasPlace(LARGE)], [false, false]);
  small[0]!();
  small[0]!();
  assert.deepEqual([places.hasPlace(0), places.hasPlace(LARGE)], [true, false], "a place is given back once");
  large();
  assert.ok(places.hasPlace(LARGE));
});

Deno.test("MoverPlaces counts a file of unknown size as large", () => {
  const places = new MoverPlaces(2);
  places.take(undefined);
  places.take(undefined);
  assert.ok(!places.hasPlace(undefined));
});

Deno.test("MoverPlaces of one mover moves one file at a time, whatever its size", () => {
  const places = new MoverPlaces(1);
  const leave = places.take(0);
  assert.deepEqual([places.hasPlace(0), places.hasPlace(LARGE)], [false, false]);
  leave();
  assert.deepEqual([places.hasPlace(0), places.hasPlace(LARGE)], [true, true]);
});
