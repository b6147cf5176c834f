/** Processes and what they started, from /proc; elsewhere nobody is known but the process itself. */

/** Most processes that are told: one that forks without end must not hold us up. */
const PROCESSES_MAX = 1000;

/** `pid`, its children and theirs. What was given to another parent is not among them. */
export function withDescendants(pid: number): number[] {
  const pids = [pid];
  for (let at = 0; at < pids.length && pids.length < PROCESSES_MAX; at++) pids.push(...childrenOf(pids[at]!));
  return pids;
}

function childrenOf(pid: number): number[] {
  try {
    const threads = [...Deno.readDirSync(`/proc/${pid}/task`)];
    return threads.flatMap(({ name }) => childrenOfThread(`/proc/${pid}/task/${name}/children`));
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

function childrenOfThread(file: string): number[] {
  try {
    return Deno.readTextFileSync(file).split(" ").filter((text) => text !== "").map(Number);
  } catch {
    return [];
  }
}
