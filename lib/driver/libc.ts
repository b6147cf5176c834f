/** The C library of this machine, for what Deno has no call for. */

const LIBRARY_PATHS = [
  `/usr/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/usr/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** Its functions of these shapes; `null` where it is not Linux's, not there, or may not be called (`--allow-ffi`). */
export function loadLibc<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] | null {
  if (Deno.build.os !== "linux") return null;
  for (const path of LIBRARY_PATHS) {
    try {
      return Deno.dlopen(path, symbols).symbols;
    } catch {
      // The next place may have it.
    }
  }
  return null;
}
