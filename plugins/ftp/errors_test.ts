import assert from "node:assert/strict";
import { ReplyError, toDriverError } from "./errors.ts";

function refused(command: string, code: number, text: string): ReplyError {
  return new ReplyError(command, { code, lines: [text] });
}

Deno.test("toDriverError() takes words of rights for denied, and the standard's own words for nothing", () => {
  const cases: [code: number, text: string, told: string][] = [
    [550, "Permission denied.", "denied"],
    [553, "Uploads are not allowed here", "denied"],
    [553, "Prohibited file name: not permitted", "denied"],
    // RFC 959, 4.2.1: a server that says no more than this has an hour's hold for no reason.
    [553, "File name not allowed.", "failed"],
    [553, "Requested action not taken. Filename not allowed", "failed"],
    [550, "Requested action not taken.", "failed"],
  ];
  for (const [code, text, told] of cases) {
    assert.equal(toDriverError(refused("RNFR a.part", code, text), "publish").code, told, text);
  }
});
