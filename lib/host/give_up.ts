/** What a built-in driver of the compiled program gives up, since the whole program has every permission there. */
import { BUILT_IN_MANIFESTS } from "./builtin.ts";
import type { Manifest } from "./manifest.ts";

const CATEGORIES = ["net", "read", "write", "run", "ffi", "sys", "env", "import"] as const;

/** Revokes, for good, every category of Deno's permissions that the manifest of driver `name` does not ask for. */
export function giveUpPermissions(name: string): void {
  const manifest = BUILT_IN_MANIFESTS.find((one) => (one as Manifest).name === name) as Manifest | undefined;
  for (const category of CATEGORIES) {
    const wanted = category === "import" ? undefined : manifest?.permissions?.[category];
    if (wanted === undefined || wanted === false || (Array.isArray(wanted) && wanted.length === 0)) {
      Deno.permissions.revokeSync({ name: category });
    }
  }
}
