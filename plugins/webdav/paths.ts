/** Between paths of the contract and the addresses of a server, whose answers may spell them in many ways. */

/** The address of `path` below `root`, which ends with a slash. A folder's ends with one too. */
export function urlOf(root: URL, path: string, isFolder = false): URL {
  const url = new URL(root);
  if (path !== "") url.pathname += path.split("/").map(encodeName).join("/") + (isFolder ? "/" : "");
  return url;
}

/** Everything but letters, digits and `-._~` is escaped; a name of dots only would be taken for a step (RFC 3986 5.2.4). */
function encodeName(name: string): string {
  return encodeURIComponent(name).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * The names in an href, absolute or not, escaped in any way. A name with an escaped slash, and one that is no UTF-8, stay
 * what they are: names that nothing can be done with.
 */
export function namesIn(href: string): string[] {
  const path = href.trim().replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "");
  return path.split("/").filter((name) => name !== "").map(decodeName);
}

function decodeName(name: string): string {
  if (!name.includes("%")) return name;
  const bytes: number[] = [];
  const raw = new TextEncoder().encode(name);
  for (let at = 0; at < raw.length; at++) {
    const hex = raw[at] === 0x25
      ? /^[0-9a-f]{2}$/i.exec(String.fromCharCode(raw[at + 1] ?? 0, raw[at + 2] ?? 0))
      : null;
    if (hex === null) {
      bytes.push(raw[at]!);
    } else {
      bytes.push(Number.parseInt(hex[0], 16));
      at += 2;
    }
  }
  // What is no UTF-8 becomes U+FFFD, by which the host knows a name that cannot be represented.
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** The names of `href` below those of `base`: `[]` for the base itself, `undefined` for what is elsewhere. */
export function namesBelow(base: readonly string[], names: readonly string[]): string[] | undefined {
  if (names.length < base.length || base.some((name, at) => names[at] !== name)) return undefined;
  return names.slice(base.length);
}
