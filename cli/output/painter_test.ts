import assert from "node:assert/strict";
import { Painter } from "./painter.ts";

/** The few things of a terminal that the painter uses, with hard line ends and scrolling. */
class Screen {
  readonly columns: number;
  readonly rows: number;
  lines: string[][] = [[]];
  #row = 0;
  #column = 0;
  #wrap = true;
  writes = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  write = (text: string): Promise<void> => {
    this.writes++;
    // deno-lint-ignore no-control-regex
    for (const [token] of text.matchAll(/\x1b\[\??(\d*)([A-Za-z])|[\s\S]/gu)) this.#token(token);
    return Promise.resolve();
  };

  #token(token: string): void {
    if (token === "\r") this.#column = 0;
    else if (token === "\n") {
      this.#row++;
      this.#column = 0; // the terminal driver adds the carriage return
      while (this.lines.length <= this.#row) this.lines.push([]);
    } else if (token === "\x1b[K") {
      this.lines[this.#row]!.length = Math.min(this.#column, this.lines[this.#row]!.length);
    } else if (token === "\x1b[J") {
      this.lines[this.#row]!.length = Math.min(this.#column, this.lines[this.#row]!.length);
      this.lines.length = this.#row + 1;
    } else if (token === "\x1b[?7l") this.#wrap = false;
    else if (token === "\x1b[?7h") this.#wrap = true;
    else if (token.startsWith("\x1b[") && token.endsWith("A")) {
      // Lines that were scrolled away cannot be reached.
      const top = Math.max(0, this.lines.length - this.rows);
      this.#row = Math.max(top, this.#row - Number(token.slice(2, -1)));
    } else {
      assert.ok(!token.startsWith("\x1b"), `unknown sequence ${JSON.stringify(token)}`);
      if (this.#column >= this.columns) {
        if (this.#wrap) this.#token("\n");
        else this.#column = this.columns - 1;
      }
      const line = this.lines[this.#row]!;
      while (line.length < this.#column) line.push(" ");
      line[this.#column++] = token;
    }
  }

  get text(): string[] {
    return this.lines.map((line) => line.join(""));
  }
}

function painted(columns = 40, rows = 10) {
  const screen = new Screen(columns, rows);
  const painter = new Painter({ write: screen.write, size: () => ({ columns, rows }) });
  return { screen, painter, settled: () => new Promise<void>((resolve) => setTimeout(resolve)) };
}

Deno.test("Painter draws in place, more lines and fewer", async () => {
  const { screen, painter, settled } = painted();
  for (const lines of [["one"], ["one", "two", "three"], ["a longer one", "2"], ["x"]]) {
    painter.paint(lines);
    await settled();
    assert.deepEqual(screen.text, lines);
  }
  await painter.end();
  assert.deepEqual(screen.text, [""]);
});

Deno.test("Painter keeps log lines above the live ones, in their order", async () => {
  const { screen, painter, settled } = painted();
  painter.paint(["live 1", "live 2"]);
  painter.above("first\n");
  painter.above("second\n");
  painter.paint(["live 1", "live 2"]);
  await settled();
  assert.deepEqual(screen.text, ["first", "second", "live 1", "live 2"]);
  painter.above(`${"long ".repeat(12)}\n`);
  painter.paint(["live"]);
  await settled();
  assert.deepEqual(screen.text.slice(2), ["long ".repeat(8), "long ".repeat(4), "live"]);
  await painter.end();
  painter.above("last\n");
  await painter.end();
  assert.deepEqual(screen.text.slice(4), ["last", ""]);
});

Deno.test("Painter writes once for each change and nothing for no change", async () => {
  const { screen, painter, settled } = painted();
  painter.paint(["a", "b"]);
  await settled();
  assert.equal(screen.writes, 1);
  painter.paint(["a", "b"]);
  await settled();
  assert.equal(screen.writes, 1);
});

Deno.test("Painter never wraps a line that the terminal finds wider than we do", async () => {
  const { screen, painter, settled } = painted(10, 5);
  painter.paint(["0123456789abcdef", "second"]);
  await settled();
  painter.paint(["0123456789ABCDEF", "third"]);
  await settled();
  assert.equal(screen.text.length, 2);
  assert.equal(screen.text[1], "third");
});

Deno.test("Painter goes back over lines that a narrower terminal has wrapped", async () => {
  let columns = 40;
  let written = "";
  const write = (text: string) => {
    written = text;
    return Promise.resolve();
  };
  const painter = new Painter({ write, size: () => ({ columns, rows: 10 }) });
  painter.paint(["x".repeat(39), "y".repeat(12)]);
  await Promise.resolve();
  await new Promise((resolve) => setTimeout(resolve));
  columns = 20;
  painter.paint(["x".repeat(19), "y".repeat(12)]);
  await new Promise((resolve) => setTimeout(resolve));
  // 39 columns take two rows of 20, so the top is two rows above the last line.
  assert.ok(written.startsWith("\r\x1b[2A"), JSON.stringify(written));
});

Deno.test("Painter shows the last lines when the terminal is too low", async () => {
  const { screen, painter, settled } = painted(40, 4);
  for (let n = 0; n < 3; n++) {
    painter.paint(Array.from({ length: 9 }, (_, line) => `${n}.${line}`));
    await settled();
  }
  assert.deepEqual(screen.text, ["2.6", "2.7", "2.8"]);
});

Deno.test("Painter does not wait for a stopped terminal, and says what it left out", async () => {
  const waiting: (() => void)[] = [];
  let written = "";
  const write = (text: string) => {
    written += text;
    return new Promise<void>((resolve) => waiting.push(resolve));
  };
  const painter = new Painter({ write, size: () => ({ columns: 40, rows: 10 }) });
  painter.paint(["live"]);
  for (let n = 0; n < 10_000; n++) painter.above(`line ${n} ${"x".repeat(60)}\n`);
  assert.equal(waiting.length, 1);
  const end = painter.end();
  while (waiting.length > 0) {
    waiting.pop()!();
    await new Promise((resolve) => setTimeout(resolve));
  }
  await end;
  assert.match(written, /line 0 /);
  assert.match(written, /\(\d+ lines left out: terminal was stopped\)/);
  assert.ok(written.length < 512 * 1024);
});

Deno.test("Painter forgets a terminal that is gone", async () => {
  const painter = new Painter({
    write: () => Promise.reject(new Error("EIO")),
    size: () => ({ columns: 40, rows: 10 }),
  });
  painter.paint(["live"]);
  painter.above("line\n");
  await painter.end();
});
