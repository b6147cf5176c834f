/** Who is let in, who is not, and that nobody acts through somebody else's browser. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { PageBed, request } from "./_page_bed.ts";
import { HttpError } from "./server.ts";
import { makeToken, removeToken } from "./token.ts";

const JSON_TYPE = { "content-type": "application/json" };
const ELSEWHERE = { listen: { hostname: "0.0.0.0", port: 0 } };

Deno.test("the page is served on loopback without a token, with a policy that lets nothing in from elsewhere", async () => {
  await using bed = new PageBed();
  const page = await bed.ask("/");
  assert.equal(page.status, 200);
  assert.match(page.text, /<title>FileSync<\/title>/);
  assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'; script-src 'self' 'sha256-/);
  assert.doesNotMatch(page.headers.get("content-security-policy") ?? "", /unsafe/);
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  assert.equal((await bed.ask("/api/status")).status, 200);
  assert.equal((await bed.ask("/", { headers: { "if-none-match": page.headers.get("etag")! } })).status, 304);
});

Deno.test("the page and all that it loads are under 150 kB", async () => {
  await using bed = new PageBed();
  const seen = new Set(["/"]);
  let size = 0;
  for (const path of seen) {
    const { status, text } = await bed.ask(path);
    assert.equal(status, 200, path);
    size += text.length;
    for (const [, to] of text.matchAll(/(?:src|href)="(\/[\w./]+)"|"(?=\/lib\/)/g)) if (to !== undefined) seen.add(to);
    for (const [, to] of text.matchAll(/from "\.(\/\w+\.js)"/g)) seen.add(to!);
    for (const [, to] of text.matchAll(/":"(\/lib\/\w+\.js)"/g)) seen.add(to!);
  }
  assert.ok(seen.size > 10, [...seen].join(" "));
  assert.ok(size < 150_000, `${size} bytes`);
});

Deno.test("a name that is not this machine's is refused, so that nobody's page can be made ours (DNS rebinding)", async () => {
  await using bed = new PageBed({ hosts: ["pi.example"] });
  for (const host of ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "localhost.evil.example"]) {
    assert.equal((await bed.ask("/api/status", { headers: { host } })).status, 421, host);
  }
  for (const host of ["localhost", `localhost:${bed.port}`, "127.0.0.1", "[::1]:80", "PI.example"]) {
    assert.equal((await bed.ask("/api/status", { headers: { host } })).status, 200, host);
  }
});

Deno.test("other machines are served only once there is a token", () => {
  assert.throws(
    () => new PageBed(ELSEWHERE),
    (error) => error instanceof HttpError && error.code === "usage" && /filesync token/.test(error.hint ?? ""),
  );
});

Deno.test("a guarded page shows nothing without the token, which is kept only as its hash", async () => {
  const dir = Deno.makeTempDirSync();
  const tokenFile = join(dir, "token");
  const token = makeToken(tokenFile);
  try {
    await using bed = new PageBed({ ...ELSEWHERE, tokenFile });
    assert.ok(!Deno.readTextFileSync(tokenFile).includes(token));
    assert.equal(Deno.statSync(tokenFile).mode! & 0o777, 0o600);
    const closed = ["status", "files", "history", "log", "events", "why?path=a", "preview?id=1"].map((name) =>
      `/api/${name}`
    );
    for (const path of [...closed, "/metrics"]) assert.equal((await bed.ask(path)).status, 401, path);
    assert.equal(
      (await bed.ask("/api/retry", { method: "POST", headers: JSON_TYPE, body: '{"all":true}' })).status,
      401,
    );
    for (const path of ["/", "/app.js", "/healthz", "/readyz", "/api/openapi.json"]) {
      assert.notEqual((await bed.ask(path)).status, 401, path);
    }
    const bearer = (text: string) => bed.ask("/api/status", { headers: { authorization: `Bearer ${text}` } });
    assert.equal((await bearer("guess")).status, 401);
    assert.equal((await bearer(token)).status, 200);

    const login = await bed.ask("/api/login", { method: "POST", headers: JSON_TYPE, body: JSON.stringify({ token }) });
    assert.equal(login.status, 200);
    const cookie = login.headers.get("set-cookie") ?? "";
    assert.match(cookie, /; HttpOnly; SameSite=Strict;/);
    const asked = await bed.ask("/api/status", { headers: { cookie: `other=1; ${cookie.split(";")[0]}` } });
    assert.equal(asked.status, 200);
    assert.ok(!asked.text.includes(token));
    // Another token takes the place of the first at once, and none is none.
    const second = makeToken(tokenFile);
    assert.equal((await bearer(token)).status, 401);
    assert.equal((await bearer(second)).status, 200);
    removeToken(tokenFile);
    assert.equal((await bearer(second)).status, 401);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("who guesses tokens has to wait, and who knows it does not", async () => {
  const dir = Deno.makeTempDirSync();
  const tokenFile = join(dir, "token");
  const token = makeToken(tokenFile);
  try {
    await using bed = new PageBed({ ...ELSEWHERE, tokenFile });
    const login = (guess: string) =>
      bed.ask("/api/login", { method: "POST", headers: JSON_TYPE, body: JSON.stringify({ token: guess }) });
    const statuses: number[] = [];
    let last = await login("guess");
    for (let guess = 0; guess < 8; guess++) {
      last = await login(`guess${guess}`);
      statuses.push(last.status);
    }
    assert.equal(last.status, 429, statuses.join(" "));
    assert.match(last.headers.get("retry-after") ?? "", /^\d+$/);
    assert.equal((await login(token)).status, 200);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a proxy lets people in by its header, from its own address alone", async () => {
  await using bed = new PageBed({ proxy: { header: "X-Forwarded-User", from: ["127.0.0.1"] } });
  assert.equal((await bed.ask("/api/status")).status, 401);
  assert.equal((await bed.ask("/api/status", { headers: { "x-forwarded-user": "" } })).status, 401);
  assert.equal((await bed.ask("/api/status", { headers: { "x-forwarded-user": "ann" } })).status, 200);
  await using other = new PageBed({ proxy: { header: "X-Forwarded-User", from: ["10.0.0.1"] } });
  assert.equal((await other.ask("/api/status", { headers: { "x-forwarded-user": "ann" } })).status, 401);
});

Deno.test("a change is taken as JSON from our own page, and from no other site", async () => {
  await using bed = new PageBed();
  const retry = (headers: Record<string, string>, body = '{"paths":["a.ulg"]}') =>
    bed.ask("/api/retry", { method: "POST", headers, body });
  const own = `http://127.0.0.1:${bed.port}`;
  const refused: Record<string, string>[] = [
    { "content-type": "text/plain" },
    { "content-type": "application/x-www-form-urlencoded" },
    { ...JSON_TYPE, origin: "https://evil.example" },
    { ...JSON_TYPE, origin: "null" },
    { ...JSON_TYPE, origin: own, "sec-fetch-site": "cross-site" },
    { ...JSON_TYPE, origin: own, "sec-fetch-site": "same-site" },
  ];
  for (const headers of refused) assert.equal((await retry(headers)).status, 403, JSON.stringify(headers));
  assert.deepEqual(bed.retried, []);
  assert.equal((await retry({ ...JSON_TYPE, origin: own, "sec-fetch-site": "same-origin" })).status, 200);
  assert.equal((await retry(JSON_TYPE)).status, 200);
  assert.deepEqual(bed.retried, [{ paths: ["a.ulg"] }, { paths: ["a.ulg"] }]);
  for (const path of ["/api/status", "/api/retry"]) {
    assert.equal((await bed.ask(path, { method: path === "/api/retry" ? "GET" : "POST" })).status, 405, path);
  }
});

Deno.test("a request that asks for what there is not is told what is wrong", async () => {
  await using bed = new PageBed();
  const retry = (body: string) => bed.ask("/api/retry", { method: "POST", headers: JSON_TYPE, body });
  for (const body of ["", "{", "[]", "{}", '{"parked":false}', '{"path":"a"}', '{"paths":[1]}', '{"all":"yes"}']) {
    assert.equal((await retry(body)).status, 400, body);
  }
  assert.equal((await retry(`{"job":"${"x".repeat(100_000)}"}`)).status, 400);
  for (const query of ["limit=0", "limit=1e9", "limit=x", "state=odd", "before=-1", `q=${"x".repeat(2000)}`]) {
    const { status, text } = await bed.ask(`/api/files?${query}`);
    assert.equal(status, 400, query);
    assert.match(text, /"message":"(limit|state|before|q): /);
  }
  assert.equal((await bed.ask("/api/why")).status, 400);
  assert.equal((await bed.ask("/../../etc/passwd")).status, 404);
  assert.deepEqual(bed.retried, []);
});

Deno.test("a page that is read-only changes nothing", async () => {
  await using bed = new PageBed({ readOnly: true });
  const { status, text } = await bed.ask("/api/retry", { method: "POST", headers: JSON_TYPE, body: '{"all":true}' });
  assert.equal(status, 403);
  assert.match(text, /read-only/);
  assert.match((await bed.ask("/api/status")).text, /"readOnly":true/);
});

Deno.test("a flood of requests is slowed, and other addresses are not", async () => {
  await using bed = new PageBed({ listen: { hostname: "::", port: 0 }, proxy: { header: "X-User", from: [] } });
  const statuses = new Set<number>();
  for (let round = 0; round < 40 && !statuses.has(429); round++) {
    const answers = await Promise.all(Array.from({ length: 25 }, () => bed.ask("/healthz")));
    for (const { status } of answers) statuses.add(status);
  }
  assert.deepEqual([...statuses].sort(), [200, 429]);
  const other = await request({ hostname: "::1", port: bed.port }, "/healthz", { headers: { host: "[::1]" } });
  assert.equal(other.status, 200);
});

Deno.test("a page on a Unix socket is closed to others on the machine, and takes over a socket that was left", async () => {
  const dir = Deno.makeTempDirSync();
  const path = join(dir, "page.sock");
  try {
    const left = Deno.listen({ transport: "unix", path });
    left.close();
    {
      await using _bed = new PageBed({ listen: { path } });
      assert.equal(Deno.statSync(path).mode! & 0o007, 0);
      assert.equal((await request({ path }, "/healthz")).text, "ok\n");
    }
    assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
    Deno.writeTextFileSync(path, "a file of somebody");
    assert.throws(() => new PageBed({ listen: { path } }), /is no socket/);
    assert.equal(Deno.readTextFileSync(path), "a file of somebody");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("an address that is taken is told with what to do", async () => {
  await using bed = new PageBed();
  assert.throws(
    () => new PageBed({ listen: { hostname: "127.0.0.1", port: bed.port } }),
    (error) => error instanceof HttpError && error.code === "in_use" && /--http/.test(error.hint ?? ""),
  );
});

Deno.test("readyz tells whether files can move, and why not", async () => {
  await using bed = new PageBed();
  assert.equal((await bed.ask("/readyz")).status, 503);
  bed.events.emit({ event: "start", version: "1", pid: 1, config: "c", jobs: ["logs"] });
  assert.equal((await bed.ask("/readyz")).status, 200);
  bed.site.spoolBytes = () => {
    throw new Error("State store is damaged");
  };
  const { status, text } = await bed.ask("/readyz");
  assert.equal(status, 500);
  assert.match(text, /State store is damaged/);
  assert.equal((await bed.ask("/healthz")).status, 200);
});
