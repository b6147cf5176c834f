/** What a program and the processes that it started hold in memory. */

/** Of a process and all below it. */
export interface TreeMemory {
  /** Pages that several share are counted in each of them, kilobytes. */
  rssKb: number;
  /** Pages that several share are counted once, kilobytes. */
  pssKb: number;
  processes: number;
}

/** Looks at process `pid` and all below it. */
export function memoryOfTree(pid: number): TreeMemory {
  const rollup = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(rollup)?.[1]);
  const sum = { rssKb: of("Rss"), pssKb: of("Pss"), processes: 1 };
  for (const { name: task } of Deno.readDirSync(`/proc/${pid}/task`)) {
    for (const child of Deno.readTextFileSync(`/proc/${pid}/task/${task}/children`).split(" ")) {
      if (child === "") continue;
      const below = memoryOfTree(Number(child));
      sum.rssKb += below.rssKb;
      sum.pssKb += below.pssKb;
      sum.processes += below.processes;
    }
  }
  return sum;
}
