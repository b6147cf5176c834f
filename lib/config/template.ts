/**
 * The template of a file's name on the target, and the names of jobs, targets and devices.
 */
import { didYouMean } from "./explain.ts";

/** What a template may hold, each in braces. */
export const PATH_PLACEHOLDERS: readonly string[] = ["path", "job", "device", "host", "date"];

const PLACEHOLDERS = PATH_PLACEHOLDERS.map((name) => `{${name}}`);

/** Why `template` cannot be the name of files on a target, or `undefined` when it can. */
export function templateProblem(template: string): string | undefined {
  const got = `got ${JSON.stringify(template)}`;
  for (const [, name = ""] of template.matchAll(/\{([^{}]*)\}/g)) {
    if (!PATH_PLACEHOLDERS.includes(name)) {
      return `Unknown placeholder "{${name}}"${didYouMean(`{${name}}`, PLACEHOLDERS)}`;
    }
  }
  const literal = template.replace(/\{[^{}]*\}/g, "x");
  if (/[{}]/.test(literal)) return `Expected every brace in a pair, ${got}`;
  if (template.startsWith("/")) return `Expected a path below the target's directory, ${got}: it starts with "/"`;
  for (const part of literal.split("/")) {
    if (part === "..") return `Expected a path below the target's directory, ${got}: it holds ".."`;
    if (part === "." || part === "") return `Expected a plain path, ${got}: it holds ${part === "" ? '"//"' : '"."'}`;
  }
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(template)) return `Expected a path without control characters, ${got}`;
  if (!template.includes("{path}")) return `Expected "{path}" in the name, ${got}: all files would get the same name`;
  return undefined;
}

/** What to do about a template's problem. */
export const TEMPLATE_HINT = `For example "{job}/{date}/{path}"; the placeholders are ${PLACEHOLDERS.join(" ")}`;

/** Why `name` cannot name a job, a target or a device, or `undefined` when it can. */
export function nameProblem(name: string): string | undefined {
  if (name.trim() === "") return "it is empty";
  if (name === "." || name === "..") return `it is "${name}"`;
  if (name.includes("/")) return 'it holds "/"';
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(name)) return "it holds a control character";
  return name.length > 100 ? "it is longer than 100 characters" : undefined;
}
