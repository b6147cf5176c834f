/** A bare FTP client for tests: says exactly what it is told to say. */

/** A reply, all its lines. */
export interface Reply {
  code: number;
  text: string;
}

/** A control connection and, where asked, data connections. */
export class ControlClient {
  #conn: Deno.Conn;
  /** The server's certificate, once TLS is spoken. */
  #caCerts: string[] | undefined;
  readonly #decoder = new TextDecoder();
  #text = "";

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** Connects and takes the greeting. */
  static async connect(port: number): Promise<ControlClient> {
    const client = new ControlClient(await Deno.connect({ hostname: "127.0.0.1", port }));
    await client.reply();
    return client;
  }

  static async login(port: number, passwd = "secret"): Promise<ControlClient> {
    const client = await ControlClient.connect(port);
    await client.say("USER pilot");
    const { code, text } = await client.say(`PASS ${passwd}`);
    if (code !== 230) throw new Error(`Cannot log in: ${text}`);
    return client;
  }

  /** AUTH TLS, with the certificate that the server must show. */
  async secure(cert: string): Promise<void> {
    const { code, text } = await this.say("AUTH TLS");
    if (code !== 234) throw new Error(`Cannot begin TLS: ${text}`);
    this.#caCerts = [cert];
    const options = { hostname: "127.0.0.1", caCerts: this.#caCerts };
    this.#conn = await Deno.startTls(this.#conn as Deno.TcpConn, options);
  }

  /** Logs in over TLS, data connections included. */
  static async loginSecurely(port: number, cert: string): Promise<ControlClient> {
    const client = await ControlClient.connect(port);
    await client.secure(cert);
    for (const line of ["USER pilot", "PASS secret", "PBSZ 0", "PROT P"]) await client.say(line);
    return client;
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  send(text: string): Promise<void> {
    return this.sendBytes(new TextEncoder().encode(text));
  }

  /** The next reply; code 0 when the server closed the connection. */
  async reply(): Promise<Reply> {
    const buffer = new Uint8Array(4096);
    for (;;) {
      const end = /^(\d{3}) .*\r\n/m.exec(this.#text);
      if (end !== null) {
        const length = end.index + end[0].length;
        const text = this.#text.slice(0, length).trimEnd();
        this.#text = this.#text.slice(length);
        return { code: Number(end[1]), text };
      }
      const count = await this.#conn.read(buffer);
      if (count === null) return { code: 0, text: this.#text };
      this.#text += this.#decoder.decode(buffer.subarray(0, count), { stream: true });
    }
  }

  async say(line: string): Promise<Reply> {
    await this.send(`${line}\r\n`);
    return await this.reply();
  }

  /** The code of the reply to `line`. */
  async code(line: string): Promise<number> {
    return (await this.say(line)).code;
  }

  /** The port that EPSV opens. */
  async passivePort(): Promise<number> {
    const { text } = await this.say("EPSV");
    return Number(/\|\|\|(\d+)\|/.exec(text)?.[1]);
  }

  /** Opens a data connection, to `port` in the place of the server's own where something stands between. */
  async openData(port?: number): Promise<Deno.TcpConn | Deno.TlsConn> {
    const address = { hostname: "127.0.0.1", port: port ?? await this.passivePort() };
    if (this.#caCerts === undefined) return await Deno.connect(address);
    return await Deno.connectTls({ ...address, caCerts: this.#caCerts });
  }

  /** Fetches by RETR, LIST or the like; fails with the reply's text when it is no 226. */
  async fetch(line: string): Promise<Uint8Array> {
    const data = await this.openData();
    const opening = await this.say(line);
    if (opening.code !== 150) {
      data.close();
      throw new Error(opening.text);
    }
    const bytes = await new Response(data.readable).bytes();
    const { code, text } = await this.reply();
    if (code !== 226) throw new Error(text);
    return bytes;
  }

  async fetchLines(line: string): Promise<string[]> {
    return new TextDecoder().decode(await this.fetch(line)).split("\r\n").slice(0, -1);
  }

  /** Sends `bytes` by STOR or APPE and returns the last reply. */
  async store(line: string, bytes: Uint8Array): Promise<Reply> {
    const data = await this.openData();
    const opening = await this.say(line);
    if (opening.code === 150) {
      for (let at = 0; at < bytes.length;) at += await data.write(bytes.subarray(at));
      // On TLS nothing else says that this is the end.
      await data.closeWrite();
    }
    data.close();
    return opening.code === 150 ? await this.reply() : opening;
  }

  close(): void {
    this.#conn.close();
  }
}
