/** The status page of the real program, in a real browser. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { filesync, Running } from "../cli/support.ts";
import { accessibilityProblems, hasBrowser, LOOKS, withBrowser } from "../support/browser.ts";
import { testNeeding } from "../support/needs.ts";

const LARGE_BYTES = 3_000_000;

/** The program with its page, in a directory of its own. */
class Served implements AsyncDisposable {
  readonly dir: string;
  readonly program: Running;
  url = "";

  private constructor(dir: string, program: Running) {
    this.dir = dir;
    this.program = program;
  }

  /** A job that has delivered ten pictures, parked one file for its name that is taken, and cannot reach a server. */
  static async start(listen = "127.0.0.1:0", token = false, minFree: number | string = 0): Promise<Served> {
    const dir = Deno.makeTempDirSync({ prefix: "filesync-page-" });
    for (const name of ["in", "out"]) Deno.mkdirSync(join(dir, name));
    for (let index = 0; index < 10; index++) {
      Deno.writeTextFileSync(join(dir, `in/DCIM_${index}.JPG`), `picture ${index}`);
    }
    Deno.writeTextFileSync(join(dir, "in/taken.ulg"), "mine");
    Deno.writeTextFileSync(join(dir, "out/taken.ulg"), "somebody's");
    Deno.writeTextFileSync(
      join(dir, "config.json"),
      JSON.stringify({
        spool: { min_free: minFree },
        jobs: [{
          name: "camera",
          source: { driver: "local", args: { dir: "in" } },
          targets: [
            { name: "nas", driver: "local", args: { dir: "out" } },
            { name: "hangar", driver: "ftp", args: { host: "127.0.0.1", port: 1, user: "pi", passwd: "x" } },
          ],
          finder: { interval: "500ms", settle: "0s" },
          on_conflict: "park",
          limits: { download: "1MB/s" },
        }],
      }),
    );
    const first = token ? await filesync(dir, ["token", "--json"]) : undefined;
    const program = new Running(dir, ["sync", "--http", listen, "--no-progress"]);
    const served = new Served(dir, program);
    if (first !== undefined) served.token = (JSON.parse(first.stdout) as { token: string }).token;
    await program.stderrMatches(/Status page on http:/);
    const { port } = /Status page on http:\/\/[\d.]+:(?<port>\d+)\//.exec(program.stderr)!.groups!;
    served.url = `http://127.0.0.1:${port}/`;
    return served;
  }

  token = "";

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.program.child.kill("SIGTERM");
    } catch {
      // It has ended by itself, which the test tells.
    }
    await this.program.ended();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

function section(page: Page, title: string) {
  return page.locator("section", { has: page.getByRole("heading", { name: title, exact: true }) });
}

/** Waits until so many files are in the list. */
async function shownFiles(page: Page, count: number): Promise<void> {
  await page.waitForFunction(`document.querySelectorAll(".files > li").length === ${count}`);
}

testNeeding("chromium", "the page tells what needs a person, and its button tries it again", async () => {
  await using served = await Served.start();
  await withBrowser(async (open) => {
    const page = await open(served.url);
    await page.locator(".banner.attention").waitFor();
    const parked = section(page, "Needs you");
    await parked.getByText("taken.ulg").first().waitFor();
    assert.match(await parked.textContent() ?? "", /"taken\.ulg"/);
    // The person clears the name, as the page says.
    Deno.removeSync(join(served.dir, "out/taken.ulg"));
    await page.getByRole("button", { name: "Retry taken.ulg" }).click();
    await page.locator(".banner.waiting").waitFor();
    assert.equal(Deno.readTextFileSync(join(served.dir, "out/taken.ulg")), "mine");
    assert.match(await page.locator(".banner").textContent() ?? "", /Waiting for camera\.hangar/);
    assert.match(await page.title(), /^waiting · FileSync/);
  });
}, hasBrowser);

testNeeding("chromium", "the page says that downloads wait for the spool, and why", async () => {
  await using served = await Served.start("127.0.0.1:0", false, "1000TiB");
  await withBrowser(async (open) => {
    const page = await open(served.url);
    await page.locator(".banner.waiting").waitFor();
    await page.getByText("Downloads wait: Disk of the spool").first().waitFor();
    assert.match(
      await section(page, "Spool").textContent() ?? "",
      /Downloads wait: Disk of the spool .*spool\.min_free/,
    );
  });
}, hasBrowser);

testNeeding(
  "chromium",
  "the page finds files by a part of their path and by their state, and tells all of one",
  async () => {
    await using served = await Served.start();
    await withBrowser(async (open) => {
      const page = await open(served.url);
      const files = page.locator(".files > li");
      await shownFiles(page, 11);
      // By the keyboard alone.
      await page.getByLabel("Search").focus();
      await page.keyboard.type("dcim_3");
      await shownFiles(page, 1);
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      const details = files.first().locator(".details");
      await details.getByText("On nas").waitFor();
      assert.match(await details.textContent() ?? "", /SHA-256[0-9a-f]{64}/);
      await page.getByLabel("Search").fill("");
      await shownFiles(page, 11);
      await page.getByLabel("Show").selectOption("parked");
      await shownFiles(page, 1);
      assert.match(await files.first().textContent() ?? "", /taken\.ulg/);
      await page.getByLabel("Search").fill("no such file");
      await page.getByText("Nothing found").waitFor();
    });
  },
  hasBrowser,
);

testNeeding("chromium", "the page shows a file move, and that it has arrived", async () => {
  await using served = await Served.start();
  await withBrowser(async (open) => {
    const page = await open(served.url);
    await page.getByText("Nothing moves.").waitFor();
    Deno.writeFileSync(join(served.dir, "in/large.ulg"), new Uint8Array(LARGE_BYTES));
    const bar = section(page, "Moving now").locator("progress").first();
    await bar.waitFor();
    assert.equal(await bar.getAttribute("max"), String(LARGE_BYTES));
    await page.getByText("Nothing moves.").waitFor();
    await page.locator(".files > li", { hasText: "large.ulg" }).first().waitFor();
    await page.waitForFunction(`/Delivered "large.ulg" to "nas"/.test(document.querySelector(".log").textContent)`);
    await page.locator("canvas").first().waitFor();
  });
}, hasBrowser);

testNeeding("chromium", "the page can be used by everyone, on a phone and a desk, by day and night", async () => {
  await using served = await Served.start();
  const keep = Deno.env.get("FILESYNC_SCREENSHOTS");
  await withBrowser(async (open) => {
    for (const [name, look] of Object.entries(LOOKS)) {
      const page = await open(served.url, look);
      await page.locator(".banner.attention").waitFor();
      await page.locator(".file").first().click();
      await page.locator(".details dl").first().waitFor();
      await page.locator("summary", { hasText: "line" }).click();
      assert.deepEqual(await accessibilityProblems(page), [], name);
      // Nothing sticks out: a phone is never scrolled sideways.
      assert.ok(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name);
      if (keep !== undefined) await page.screenshot({ path: join(keep, `${name}.png`), fullPage: true });
      await page.close();
    }
  });
}, hasBrowser);

testNeeding("chromium", "the page asks a visitor from elsewhere for the token, once", async () => {
  await using served = await Served.start("0.0.0.0:0", true);
  await withBrowser(async (open) => {
    const page = await open(served.url);
    await page.getByLabel("Token").fill("wrong");
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByText("The token is not right").waitFor();
    assert.deepEqual(await accessibilityProblems(page), []);
    await page.getByLabel("Token").fill(served.token);
    await page.getByRole("button", { name: "Show" }).click();
    await page.locator(".banner").waitFor();
    await page.reload();
    await page.locator(".banner").waitFor();
    assert.doesNotMatch(await page.content(), new RegExp(served.token));
  });
}, hasBrowser);

testNeeding(
  "chromium",
  "the page says that what it shows is old when the program has ended, and goes on with the next one",
  async () => {
    await using served = await Served.start();
    await withBrowser(async (open) => {
      const page = await open(served.url);
      await page.locator(".banner.attention").waitFor();
      served.program.child.kill("SIGTERM");
      await served.program.ended();
      await page.locator(".banner.stale").waitFor();
      assert.match(await page.locator(".banner").textContent() ?? "", /no answer.*Below is what was known/);
      const again = new Running(served.dir, ["sync", "--http", new URL(served.url).host, "--no-progress"]);
      try {
        await page.locator(".banner.attention").waitFor();
        Deno.writeTextFileSync(join(served.dir, "in/after.ulg"), "after");
        await page.locator(".files > li", { hasText: "after.ulg" }).waitFor();
      } finally {
        again.child.kill("SIGTERM");
        await again.ended();
      }
    });
  },
  hasBrowser,
);
