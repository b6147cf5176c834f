/** The exchanges that plugins/README.md shows are what the host sends and takes, and can be pasted into a terminal. */
import assert from "node:assert/strict";
import {
  checkConfirmation,
  checkDownloadResult,
  checkEntries,
  checkEntry,
  checkFindings,
  checkInitializeResult,
  checkProgress,
  checkReceipt,
} from "../lib/host/check_answers.ts";
import { configSchema } from "../lib/config/file_schema.ts";
import { parseDescription } from "../lib/conformance/mod.ts";
import { checkManifest } from "../lib/host/manifest.ts";
import { wordsFor } from "../lib/host/words.ts";
import { fromRpcError, parseMessage, type RpcMessage } from "../lib/protocol/messages.ts";
import { type ExampleMessage, exchangesOf } from "./support/contract_examples.ts";
import { testNeeding } from "./support/needs.ts";
import { readProjectFile } from "./support/project_files.ts";

const TEXT = readProjectFile("plugins/README.md");
const WORDS = wordsFor({}, {});

/** What the host makes of the answer to each method; fails when it would refuse it. */
const TAKEN: Record<string, (result: unknown, params: Record<string, unknown>) => unknown> = {
  initialize: (result) => checkInitializeResult(result, WORDS),
  list: (result) => assert.deepEqual(result, { complete: true }),
  stat: (result, { path }) => checkEntry(result, path as string, WORDS),
  download: (result) => checkDownloadResult(result, WORDS),
  upload: (result) => checkReceipt(result, WORDS),
  confirm: (result) => checkConfirmation(result, WORDS),
  remove: (result) => assert.deepEqual(result, {}),
  check: (result) => checkFindings(result, WORDS),
  release: (result) => assert.deepEqual(result, { safe: true }),
  shutdown: (result) => assert.deepEqual(result, {}),
};

function checkNews({ message: { method, params }, params: asked, line }: ExampleMessage): void {
  // News of the device belongs to no call.
  if (method === "$/state") return assert.equal(typeof (params as { reason: unknown }).reason, "string");
  assert.ok(asked !== undefined, `News of a call that was not sent: ${line}`);
  if (method === "$/progress") assert.ok(checkProgress(params as Record<string, unknown>) !== undefined);
  else {
    assert.equal(method, "$/entries");
    const { directory, recursive } = asked as { directory: string; recursive?: boolean };
    const batch = (params as { entries: unknown }).entries;
    const { entries, ignored } = checkEntries(batch, directory, recursive === true, WORDS);
    assert.deepEqual([entries.length > 0, ignored], [true, 0]);
  }
}

Deno.test("plugins/README.md: each example exchange is one that the host would send and take", () => {
  const seen = new Set<string>();
  for (const example of exchangesOf(TEXT).flat()) {
    const { by, line, message, answers, params } = example;
    if (by === "host") {
      assert.ok(message.method !== undefined && TAKEN[message.method] !== undefined, `No method: ${line}`);
      seen.add(message.method);
    } else if (message.method !== undefined) checkNews(example);
    else if (message.error !== undefined) assert.notEqual(fromRpcError(message.error).code, "failed", line);
    else {
      assert.ok(answers !== undefined && params !== undefined, `An answer to nothing: ${line}`);
      TAKEN[answers]!(message.result, params);
    }
  }
  assert.deepEqual([...seen].sort(), Object.keys(TAKEN).sort(), "Every method has an example");
});

Deno.test("plugins/README.md: its manifest, its test description and its configurations are taken", () => {
  const blocks = [...TEXT.matchAll(/^```jsonc?\n([\s\S]*?)^```$/gm)].map(([, text]) => text!);
  const kinds = { manifest: 0, description: 0, plugins: 0 };
  for (const text of blocks) {
    if (text.startsWith('"plugins"')) {
      configSchema.parse({ ...JSON.parse(`{${text}}`), jobs: [] });
      kinds.plugins++;
    } else if (text.includes('"protocol"')) {
      checkManifest(JSON.parse(text));
      kinds.manifest++;
    } else if (text.includes('"serve"')) {
      parseDescription(text);
      kinds.description++;
    }
  }
  assert.deepEqual(kinds, { manifest: 1, description: 1, plugins: 2 });
});

testNeeding(
  "python3",
  "plugins/README.md: what is to be pasted into a terminal is answered by the example driver",
  async () => {
    const block = /^\.\/camera\.py\n((?:\{.*\}\n)+)```$/m.exec(TEXT);
    assert.ok(block !== null);
    const child = new Deno.Command("python3", {
      args: [new URL("../plugins/examples/folder/folder.py", import.meta.url).pathname],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const dir = await Deno.makeTempDir({ prefix: "filesync-example-" });
    try {
      await Deno.writeTextFile(`${dir}/a.log`, "words");
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(block[1]!.replaceAll('"/tmp"', JSON.stringify(dir))));
      const answers: RpcMessage[] = [];
      let text = "";
      for await (
        const part of child.stdout.pipeThrough(
          new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>,
        )
      ) {
        text += part;
        answers.push(...text.split("\n").slice(answers.length, -1).map((line) => parseMessage(line)!));
        // Both requests are answered: Ctrl-D ends it.
        if (answers.some(({ id }) => id === 2)) await writer.close().catch(() => {});
      }
      checkInitializeResult(answers[0]?.result, WORDS);
      assert.match(text, /"a\.log"/);
      assert.deepEqual(answers.at(-1)?.result, { complete: true });
      assert.ok((await child.status).success);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
