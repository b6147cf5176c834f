/** The shell scripts of a release, from their templates: each is one file that needs nothing beside it. */
import check from "./check_system.sh" with { type: "text" };
import installer from "./install.sh" with { type: "text" };

/**
 * A template with `@NAME@` replaced: `@CHECK_SYSTEM@` by what looks at the machine, `@FIRST_LINE@` by the number of the
 * line behind the script, and the rest by `values`.
 * @throws {Error} If a value is missing
 */
export function script(template: string, values: Readonly<Record<string, string>>): string {
  const whole = template.replace("@CHECK_SYSTEM@\n", check);
  const all: Record<string, string> = { ...values, FIRST_LINE: String(whole.split("\n").length) };
  return whole.replace(/@([A-Z_]+)@/g, (_, name: string) => {
    const value = all[name];
    if (value === undefined) throw new Error(`Cannot make a script: there is no value for @${name}@`);
    return value;
  });
}

/** `install.sh`, which puts a release into a system. */
export function installScript(version: string): string {
  return script(installer, { VERSION: version });
}
