/** The shells whose Tab key `filesync completions` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof SHELLS)[number];

/** @throws {Error} If `text` is no shell of those */
export function parseShell(text: string): Shell {
  const shell = SHELLS.find((name) => name === text);
  if (shell === undefined) throw new Error(`expected ${SHELLS.join(", ")}, got "${text}"`);
  return shell;
}
