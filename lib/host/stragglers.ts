/**
 * What a plugin started ends with it. Its group is signalled; what left the group is known by its environment, which
 * names the `stateDir` that no other plugin has. So is what a plugin left behind whose host was killed.
 */

/** The variable by which a plugin, and all that it starts, is known. */
export const STATE_DIR_VARIABLE = "FILESYNC_STATE_DIR";

/** Ends every process of the plugin with this `stateDir`; without /proc nobody can be found, and nothing happens. */
export function endStragglers(stateDir: string): void {
  const mark = `${STATE_DIR_VARIABLE}=${stateDir}`;
  for (const pid of processes()) {
    try {
      if (!Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").includes(mark)) continue;
      Deno.kill(pid, "SIGKILL");
    } catch {
      // Another user's, or it has ended meanwhile.
    }
  }
}

function processes(): number[] {
  try {
    return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => pid > 1 && pid !== Deno.pid);
  } catch {
    return [];
  }
}
