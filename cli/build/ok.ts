/**
 * The gate: what must hold before a change is kept. `deno task ok` runs everything, `deno task ok --fast` all but the
 * tests (those of imports and tidiness are run always). The exit code is 1 when anything failed.
 */
import { demandedDocs } from "./doc_lint.ts";

interface Step {
  name: string;
  args: string[];
  /** What of a failed command's output counts; an empty outcome passes the step. */
  judge?: (output: string) => string;
  /** Shown while it runs, because it takes long. */
  live?: boolean;
}

const ORDER_TESTS = ["tests/import_direction_test.ts", "tests/tidy_test.ts"];

/** The contract, the function that serves it, and the door of every folder of lib. */
function publicFiles(): string[] {
  const doors = [...Deno.readDirSync("lib")].map(({ name }) => `lib/${name}/mod.ts`).filter((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
      throw error;
    }
  });
  return ["lib/protocol/serve.ts", ...doors.sort()];
}

function steps(fast: boolean): Step[] {
  const quick: Step[] = [
    { name: "format", args: ["fmt", "--check"] },
    { name: "lint", args: ["lint"] },
    { name: "types", args: ["check", "."] },
    { name: "public documentation", args: ["doc", "--lint", ...publicFiles()], judge: demandedDocs },
    { name: "imports and tidiness", args: ["test", "-A", "--no-prompt", ...ORDER_TESTS] },
  ];
  return fast ? quick : [...quick, { name: "tests", args: ["task", "test"], live: true }];
}

/** Runs one step; returns whether it passed. */
async function run(step: Step): Promise<boolean> {
  const started = performance.now();
  if (step.live === true) console.log(`${step.name}:`);
  const how = step.live === true ? "inherit" : "piped";
  const child = new Deno.Command(Deno.execPath(), { args: step.args, stdin: "null", stdout: how, stderr: how });
  let passed: boolean;
  let words = "";
  if (step.live === true) passed = (await child.spawn().status).success;
  else {
    const output = await child.output();
    const decoder = new TextDecoder();
    words = decoder.decode(output.stdout) + decoder.decode(output.stderr);
    passed = output.success;
    if (!passed && step.judge !== undefined) {
      words = step.judge(words);
      passed = words === "";
    }
  }
  if (!passed && words !== "") console.log(words.trimEnd());
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${passed ? "passed" : "FAILED"}  ${step.name.padEnd(22)} ${seconds.padStart(6)} s`);
  return passed;
}

async function main(args: string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== "--fast");
  if (unknown !== undefined) {
    console.error(`Unknown option "${unknown}": deno task ok [--fast]`);
    return 2;
  }
  Deno.chdir(new URL("../../", import.meta.url));
  const fast = args.includes("--fast");
  const failed: string[] = [];
  let count = 0;
  for (const step of steps(fast)) {
    if (step.live === true && failed.length > 0) {
      console.log(`not run ${step.name}: mend the above first`);
      break;
    }
    count++;
    if (!await run(step)) failed.push(step.name);
  }
  console.log(
    failed.length === 0
      ? `The gate is passed: ${count} steps${fast ? ", without the tests" : ""}`
      : `The gate is shut: ${failed.join(", ")}`,
  );
  return failed.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
