/** The clock of the disk, which gives files their times. */

/** Waits until the disk's clock, which is coarse, has moved on from the file's last change. */
export async function laterThan(path: string): Promise<void> {
  const changedMs = Deno.statSync(path).mtime!.getTime();
  for (const probe = `${path}.probe`;;) {
    Deno.writeTextFileSync(probe, "");
    const isLater = Deno.statSync(probe).mtime!.getTime() > changedMs;
    Deno.removeSync(probe);
    if (isLater) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
