/** A file's journey is one trace, at a collector that speaks OTLP over HTTP. */
import assert from "node:assert/strict";
import { filesync, inTempDir } from "../cli/support.ts";

interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: { stringValue?: string; intValue?: string } }[];
  status?: { code?: number; message?: string };
}

/** Runs `use` with a collector; what it was sent. */
async function collected(use: (endpoint: string) => Promise<void>): Promise<{ spans: OtlpSpan[]; logs: string }> {
  const spans: OtlpSpan[] = [];
  let logs = "";
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const text = await request.text();
    if (request.url.endsWith("/v1/traces")) {
      const { resourceSpans } = JSON.parse(text) as {
        resourceSpans: { scopeSpans: { scope: { name: string }; spans: OtlpSpan[] }[] }[];
      };
      for (const { scopeSpans } of resourceSpans) {
        for (const scope of scopeSpans) if (scope.scope.name === "filesync") spans.push(...scope.spans);
      }
    }
    if (request.url.endsWith("/v1/logs")) logs += text;
    return Response.json({});
  });
  try {
    await use(`http://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
  return { spans, logs };
}

function attribute(span: OtlpSpan, key: string): string | undefined {
  return span.attributes.find((candidate) => candidate.key === key)?.value.stringValue;
}

Deno.test("sync tells each file's journey as one trace, and the log, when the environment names a collector", async () => {
  await inTempDir(async (dir) => {
    for (const name of ["in", "out", "second"]) Deno.mkdirSync(`${dir}/${name}`);
    Deno.writeTextFileSync(`${dir}/in/a.ulg`, "first");
    Deno.writeTextFileSync(`${dir}/in/taken.ulg`, "mine");
    Deno.writeTextFileSync(`${dir}/second/taken.ulg`, "somebody's");
    Deno.writeTextFileSync(
      `${dir}/config.json`,
      JSON.stringify({
        spool: { min_free: 0 },
        jobs: [{
          name: "logs",
          source: { driver: "local", args: { dir: "in" } },
          targets: [
            { name: "one", driver: "local", args: { dir: "out" } },
            { name: "two", driver: "local", args: { dir: "second" } },
          ],
          finder: { settle: "0s" },
          on_conflict: "park",
        }],
      }),
    );
    const { spans, logs } = await collected(async (endpoint) => {
      const { code, stderr } = await filesync(dir, ["sync", "--once"], {
        OTEL_DENO: "true",
        OTEL_DENO_CONSOLE: "replace",
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_SERVICE_NAME: "filesync",
      });
      assert.equal(code, 4, stderr);
    });
    const roots = spans.filter(({ name }) => name === "file");
    assert.equal(roots.length, 2);
    assert.equal(new Set(roots.map(({ traceId }) => traceId)).size, 2);
    for (const root of roots) {
      const parts = spans.filter(({ traceId, name }) => traceId === root.traceId && name !== "file");
      assert.deepEqual(parts.map(({ name }) => name).sort(), ["download", "upload", "upload"]);
      assert.ok(parts.every(({ parentSpanId }) => parentSpanId === root.spanId));
      for (const part of parts) {
        assert.ok(BigInt(part.startTimeUnixNano) >= BigInt(root.startTimeUnixNano));
        assert.ok(BigInt(part.endTimeUnixNano) <= BigInt(root.endTimeUnixNano));
      }
      const isTaken = attribute(root, "file.path") === "taken.ulg";
      assert.equal(root.status?.code === 2, isTaken);
      const second = parts.find((part) => attribute(part, "filesync.target") === "two")!;
      assert.equal(second.status?.code === 2, isTaken);
      assert.equal(attribute(second, "filesync.device"), "logs.two");
    }
    assert.match(logs, /Delivered \\"a\.ulg\\" to \\"one\\"/);
  });
});

Deno.test("sync tells nothing to a collector unless it is asked to, and says what is missing", async () => {
  await inTempDir(async (dir) => {
    Deno.writeTextFileSync(`${dir}/config.json`, '{"jobs": []}');
    const { spans } = await collected(async (endpoint) => {
      const { stderr } = await filesync(dir, ["sync", "--once"], { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
      assert.match(stderr, /traces need OTEL_DENO=true/);
    });
    assert.deepEqual(spans, []);
  });
});
