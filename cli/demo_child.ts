/** A process of the demo that says lines of JSON on stdout and takes words by the line on stdin, whose end ends it. */

export class DemoChild {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #text = "";

  /** @param args of the Deno that runs the demo */
  constructor(readonly name: string, args: string[]) {
    this.#child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stdin = this.#child.stdin.getWriter();
  }

  /** The next line that it says. @throws when it ended */
  async read<T>(): Promise<T> {
    while (!this.#text.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`${this.name} ended before it answered`);
      this.#text += value;
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return JSON.parse(line) as T;
  }

  async say(words: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${words}\n`));
  }

  async stop(): Promise<void> {
    await this.#stdin.close();
    await this.#lines.cancel();
    await this.#child.status;
  }
}
