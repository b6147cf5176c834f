/**
 * The suite sees what it is for: the example driver with one fault planted in it fails the cases that are about the
 * fault, and no other of those that are about the same thing.
 */
import assert from "node:assert/strict";
import { casesOf, describedFixture, faultChecksOf, parseDescription } from "../../lib/conformance/mod.ts";
import type { Role } from "../../lib/driver/mod.ts";
import { testNeeding } from "../support/needs.ts";
import { pluginIn } from "./suite.ts";

const FOLDER = new URL("../../plugins/examples/folder/", import.meta.url);

interface Fault {
  /** What its author did. */
  name: string;
  /** What stands in the example, and what was written instead. */
  edits: [right: string, wrong: string][];
  role: Role;
  /** Which cases to run. */
  cases: RegExp;
  /** Those that must fail. */
  failing: string[];
}

const FAULTS: Fault[] = [
  {
    name: "an error swallowed in a listing",
    edits: [[
      '    walk(params["directory"])',
      '    try:\n        walk(params["directory"])\n    except Exception:\n        pass',
    ]],
    role: "source",
    cases: /list\(\) of|unavailable/,
    failing: [
      "list() of a missing directory fails and is never an empty success",
      "a source that is away is unavailable, and works again",
    ],
  },
  {
    name: "print for debugging on stdout",
    edits: [["def stat(call, params):", 'def stat(call, params):\n    print("stat", params)']],
    role: "source",
    cases: /stdout|SIGINT|check\(\)/,
    failing: ["stdout carries nothing but messages"],
  },
  {
    name: "a process that outlives its host",
    edits: [["    os._exit(0)  # FileSync is gone", "    pass"]],
    role: "source",
    cases: /the process/,
    failing: ["the process ends when its stdin ends"],
  },
  {
    name: "SIGINT taken as the end",
    edits: [["    signal.signal(signal.SIGINT, signal.SIG_IGN)", "    signal.signal(signal.SIGINT, signal.SIG_DFL)"]],
    role: "target",
    cases: /the process/,
    failing: ["SIGINT does not end the process"],
  },
  {
    name: "a process that stays after shutdown",
    edits: [['        if call["method"] == "shutdown":', "        if False:"]],
    role: "target",
    cases: /the process/,
    failing: ["the process ends after shutdown()"],
  },
  {
    name: "a crash at an unknown method",
    edits: [['    method = METHODS.get(call["method"])', '    method = METHODS[call["method"]]']],
    role: "source",
    cases: /tolerated|ignores parameters/,
    failing: ["unknown methods, notifications and fields are tolerated"],
  },
  {
    name: "a spool file that is preallocated",
    edits: [[
      "        while chunk := source.read(CHUNK):",
      // So long that the kill comes before the first byte, however busy the machine is.
      '        spool.truncate(params["expect"]["sizeBytes"])\n        time.sleep(3)\n' +
      "        while chunk := source.read(CHUNK):",
    ]],
    role: "source",
    cases: /download\(\) that is killed|stat\(\) of/,
    failing: ["download() that is killed at any moment leaves a true prefix"],
  },
  {
    name: "two versions glued into one",
    edits: [[
      "        if source.read(len(overlap)) != overlap:",
      "        if len(source.read(len(overlap))) != len(overlap):",
    ]],
    role: "source",
    cases: /download\(\) (never glues|resumes|cuts)/,
    failing: ["download() never glues a file to the prefix of another"],
  },
  {
    name: "a deaf transfer",
    edits: [[
      "            check_cancel(call)\n            spool.write(chunk)",
      "            time.sleep(0.3)\n            spool.write(chunk)",
    ]],
    role: "source",
    cases: /that is cancelled is answered|awkward size/,
    failing: ["download() that is cancelled is answered within 2 s"],
  },
  {
    name: "an upload under the final name",
    edits: [
      ['    part = os.path.join(os.path.dirname(target), "filesync-%s.part" % key)', "    part = target"],
      // A copy that takes its time is killed in the middle, however busy the machine is.
      ["                out.write(chunk)", "                out.write(chunk)\n                time.sleep(0.2)"],
    ],
    role: "target",
    cases: /upload\(\) (that is killed|of a spool|with "rename" onto other)/,
    failing: [
      'upload() with "rename" onto other bytes',
      "upload() that is killed at any moment shows no part of the file",
    ],
  },
  {
    name: "a receipt for bytes that nobody compared",
    edits: [['        if digest.hexdigest() != params["sha256"]:', "        if False:"]],
    role: "target",
    cases: /other bytes than|onto a free name/,
    failing: ["upload() of a spool file with other bytes than its SHA-256 publishes nothing"],
  },
  {
    name: "a removal without a look",
    edits: [[
      '        expect_same(params["path"], params["expect"], fingerprint(look(params["path"])))',
      '        look(params["path"])',
    ]],
    role: "source",
    cases: /remove\(\)/,
    failing: ["remove() refuses a file that changed"],
  },
  {
    name: "a device that must be there at the start",
    edits: [["    if not os.path.isabs(root):", "    if not os.path.isdir(root):"]],
    role: "target",
    cases: /initialize/,
    failing: ["initialize() accepts a device that is not there, without looking for it"],
  },
  {
    name: "a capability of the wrong type, which the host would have forgiven",
    edits: [['"repeatable": True', '"repeatable": "yes"']],
    role: "source",
    cases: /initialize\(\) accepts|stdin ends/,
    failing: [
      "initialize() accepts a device that is not there, without looking for it",
      "the process ends when its stdin ends",
    ],
  },
  {
    name: "a time that stat alone tells otherwise",
    edits: [[
      '    found = entry(params["path"], look(params["path"]))\n',
      '    found = entry(params["path"], look(params["path"]))\n    found["modifiedMs"] = found.get("modifiedMs", 0) + 7\n',
    ]],
    role: "source",
    cases: /stat\(\)|list\(\) twice/,
    failing: ["stat() tells a file, a directory and the root"],
  },
];

/** Names of the cases that fail for the driver in `dir`. */
async function failingIn(dir: string, role: Role, cases: RegExp): Promise<string[]> {
  const description = parseDescription(await Deno.readTextFile(`${dir}/filesync-test.json`));
  const fixture = describedFixture(pluginIn(dir), description);
  const checks = [...casesOf(fixture, role), ...faultChecksOf(fixture, role)].filter(({ name }) => cases.test(name));
  assert.ok(checks.length > 1, "A fault is told from what is in order");
  const failing: string[] = [];
  for (const check of checks) await check.run().catch(() => failing.push(check.name));
  return failing;
}

for (const { name, edits, role, cases, failing } of FAULTS) {
  testNeeding("python3", `plugins test finds ${name}`, async () => {
    const dir = await Deno.makeTempDir({ prefix: "filesync-planted-" });
    try {
      for (const file of ["filesync-plugin.json", "filesync-test.json", "folder.py"]) {
        await Deno.copyFile(new URL(file, FOLDER), `${dir}/${file}`);
      }
      let source = await Deno.readTextFile(`${dir}/folder.py`);
      for (const [right, wrong] of edits) {
        assert.equal(source.split(right).length, 2, `The example has not one place with ${right}`);
        source = source.replace(right, () => wrong);
      }
      await Deno.writeTextFile(`${dir}/folder.py`, source);
      assert.deepEqual(await failingIn(dir, role, cases), failing);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}
