import assert from "node:assert/strict";
import type { RouteMap } from "@stricli/core";
import { testNeeding } from "../../tests/support/needs.ts";
import type { Context } from "../context.ts";
import { routes } from "../routes.ts";
import { manPage } from "./man_page.ts";

const PAGE = manPage(routes, "1.2.3");

function namesOf(map: RouteMap<Context>, prefix = "filesync"): [command: string, flags: string[]][] {
  return map.getAllEntries().flatMap(({ name, target }): [string, string[]][] => {
    const whole = `${prefix} ${name["convert-camel-to-kebab"]}`;
    return "getAllEntries" in target ? namesOf(target, whole) : [[whole, Object.keys(target.parameters.flags ?? {})]];
  });
}

Deno.test("manPage() has every command with every option", () => {
  const sections = PAGE.split("\n.SS ").slice(1);
  const all = namesOf(routes);
  assert.equal(sections.length, all.length);
  for (const [n, [command, flags]] of all.entries()) {
    const text = sections[n]!.replaceAll("\\-", "-");
    assert(text.startsWith(command), `${command}: ${text.slice(0, 60)}`);
    for (const flag of flags) {
      const long = flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      assert.match(text, new RegExp(`^\\.B .*--(\\[no-\\])?${long}( |$)`, "m"), `${command} --${long}`);
    }
  }
  assert(all.length > 20);
});

Deno.test("manPage() leaves nothing of a text for roff to read", () => {
  assert.doesNotMatch(PAGE, /(?<!\\)-(?!$)/m, "a hyphen would not be found as an option");
  const odd = manPage({ ...routes, fullDescription: ".PP of 'a'\n'b' \\fB" }, "1");
  assert.match(odd, /^\\&\.PP of \\\(aqa\\\(aq$/m);
  assert.match(odd, /^\\&\\\(aqb\\\(aq \\efB$/m);
});

testNeeding("mandoc", "manPage() is a page that mandoc takes without a word", async () => {
  const path = await Deno.makeTempFile({ suffix: ".1" });
  try {
    await Deno.writeTextFile(path, PAGE);
    const { stdout, stderr } = await new Deno.Command("mandoc", { args: ["-T", "lint", path], stdin: "null" }).output();
    const words = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    // Lines are as long as those of --help. The same commit gives the same page, so it has no date.
    const wrong = words.split("\n").filter((line) => line !== "" && !/longer than 80 bytes|missing date/.test(line));
    assert.deepEqual(wrong, []);
  } finally {
    await Deno.remove(path);
  }
});
