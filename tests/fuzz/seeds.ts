/** Which seeds a fuzzer runs: `FILESYNC_FUZZ_RUNS` and `FILESYNC_FUZZ_FIRST` choose others than those of each test run. */

/** A number of the environment. @throws {TypeError} so that a slip of the pen is no success without a single run */
function fromEnvironment(name: string, otherwise: number): number {
  const text = Deno.env.get(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`${name} is "${text}": expected a number above 0`);
  return value;
}

/** The seeds from the first one on, `otherwise` of them unless the environment says how many. */
export function seeds(otherwise: number): number[] {
  const first = fromEnvironment("FILESYNC_FUZZ_FIRST", 1);
  return Array.from({ length: fromEnvironment("FILESYNC_FUZZ_RUNS", otherwise) }, (_, n) => first + n);
}
