/** What plots and metrics are made of. */
import assert from "node:assert/strict";
import { EventBus, EventTeller, type FilesyncEvent, type StatusReport } from "../observe/mod.ts";
import { PageBed, STATUS } from "./_page_bed.ts";
import { Counters } from "./counters.ts";
import { metricsText } from "./metrics.ts";
import { Throughput } from "./throughput.ts";

const TELLER = new EventTeller([{ job: "logs", device: "drone1" }, { job: "logs", target: "nas", device: "hangar" }]);

/** Events as the program emits them, into `take`. */
function emitter(take: (event: FilesyncEvent) => void): EventBus["emit"] {
  const events = new EventBus();
  events.listen(take);
  return (event) => events.emit(event);
}

const receipt = (sizeBytes: number) => ({ path: "a", sizeBytes, verified: "size" as const });

Deno.test("Throughput counts each byte once, in the step in which it moved", () => {
  const throughput = new Throughput(TELLER);
  const emit = emitter((event) => throughput.apply(event));
  const file = { job: "logs", path: "a" };
  // Goes on at 100: what was moved before is not counted.
  emit({ event: "progress", ...file, doneBytes: 100, sizeBytes: 1000 });
  emit({ event: "progress", ...file, doneBytes: 400, sizeBytes: 1000 });
  throughput.step(5, 10_000);
  emit({ event: "progress", ...file, doneBytes: 700, sizeBytes: 1000 });
  emit({ event: "downloaded", ...file, sizeBytes: 1000, sha256: "", resumedBytes: 100 });
  emit({ event: "delivered", ...file, target: "nas", receipt: receipt(1000) });
  throughput.step(7, 20_000);
  // A small file tells of no progress; one that was resumed tells from where.
  emit({ event: "downloaded", job: "logs", path: "b", sizeBytes: 50, sha256: "", resumedBytes: 20 });
  throughput.step(9, 30_000);
  assert.deepEqual(throughput.hour(), {
    stepMs: 10_000,
    endMs: 30_000,
    spoolBytes: [5, 7, 9],
    devices: { drone1: [300, 600, 30], hangar: [0, 1000, 0] },
  });
});

Deno.test("Throughput sums steps up to a day, and keeps an hour and a day at most", () => {
  const throughput = new Throughput(TELLER);
  const emit = emitter((event) => throughput.apply(event));
  for (let step = 0; step < 30 * 300; step++) {
    emit({ event: "downloaded", job: "logs", path: `f${step}`, sizeBytes: 2, sha256: "", resumedBytes: 0 });
    throughput.step(step, step * 10_000);
  }
  assert.equal(throughput.hour().spoolBytes.length, 360);
  const day = throughput.day();
  assert.equal(day.spoolBytes.length, 288);
  assert.ok(day.devices["drone1"]!.every((bytes) => bytes === 60));
});

Deno.test("metricsText() tells states, ages and counts, with labels that cannot break out", () => {
  const counters = new Counters();
  let nowMs = 1000;
  const emit = emitter((event) => counters.apply(event, nowMs));
  const job = 'l"o\\g\ns';
  emit({ event: "downloaded", job, path: "a", sizeBytes: 10, sha256: "", resumedBytes: 0 });
  emit({ event: "delivered", job, path: "a", target: "nas", receipt: receipt(10) });
  emit({ event: "delivered", job, path: "b", target: "nas", receipt: receipt(5) });
  emit({ event: "parked", job, path: "c", target: "nas", reason: "x", code: "rejected" });
  emit({ event: "device", device: "drone1", role: "source", available: false, code: "broken" });
  nowMs = 3000;
  emit({ event: "device", device: "drone1", role: "source", available: true });
  nowMs = 4000;
  emit({ event: "device", device: "drone1", role: "source", available: true, held: true });
  const status: StatusReport = { ...STATUS, word: "attention", parkedTotal: 1 };
  const text = metricsText({
    version: "1.2.3",
    status,
    queueAges: [{ job: "logs", oldestMs: 60_000 }, { job: "logs", target: "nas", lastDeliveredMs: 90_000 }, {
      job: "new",
    }],
    counters,
    nowMs: 9000,
    dateMs: 100_000,
    startedMs: 50_000,
  });
  const escaped = 'l\\"o\\\\g\\ns';
  for (
    const line of [
      'filesync_info{version="1.2.3"} 1',
      'filesync_status{word="attention"} 1',
      'filesync_status{word="ok"} 0',
      'filesync_files{job="logs",state="done"} 3',
      'filesync_deliveries{job="logs",target="nas",state="delivered"} 3',
      "filesync_needs_person 1",
      `filesync_transferred_files_total{job="${escaped}"} 1`,
      `filesync_transferred_bytes_total{job="${escaped}",target="nas"} 15`,
      `filesync_parked_total{job="${escaped}",target="nas"} 1`,
      'filesync_oldest_waiting_seconds{job="logs"} 40',
      'filesync_oldest_waiting_seconds{job="new"} 0',
      'filesync_last_delivered_timestamp_seconds{job="logs",target="nas"} 90',
      'filesync_device_held_seconds_total{device="drone1",role="source"} 7',
      'filesync_driver_failures_total{device="drone1",role="source"} 1',
      "filesync_spool_used_bytes 5",
      'filesync_resent_bytes_total{direction="download"} 4',
    ]
  ) assert.ok(text.split("\n").includes(line), `${line} in\n${text}`);
  assert.doesNotMatch(text, /last_delivered_timestamp_seconds\{job="logs"\}/);
});

Deno.test("/metrics is text that Prometheus takes: one type and one help for each family, each sample of a known one", async () => {
  await using bed = new PageBed();
  bed.events.emit({ event: "downloaded", job: "logs", path: "a", sizeBytes: 10, sha256: "", resumedBytes: 0 });
  const { headers, text } = await bed.ask("/metrics");
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const families = [...text.matchAll(/^# TYPE (\S+) (counter|gauge)$/gm)].map(([, name]) => name!);
  assert.equal(new Set(families).size, families.length);
  assert.equal([...text.matchAll(/^# HELP /gm)].length, families.length);
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.ok(samples.length > 20);
  for (const line of samples) {
    const [, name] =
      /^([a-z_]+)(?:\{[a-z]+="(?:[^"\\\n]|\\.)*"(?:,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? -?[\d.e+]+$/.exec(line) ?? [];
    assert.ok(name !== undefined && families.includes(name), line);
  }
});

Deno.test("the plot of the spool asks for the spool's bytes, never for the whole status", async () => {
  const { setInterval } = globalThis;
  const steps: (() => void)[] = [];
  globalThis.setInterval = ((step: () => void, ms: number) => {
    if (ms === 10_000) steps.push(step);
    return setInterval(step, ms);
  }) as typeof setInterval;
  let statuses = 0;
  const status = () => {
    statuses++;
    return STATUS;
  };
  let spoolBytes = 12;
  const bed = new PageBed({}, { status, spoolBytes: () => spoolBytes });
  globalThis.setInterval = setInterval;
  await using _ = bed;
  assert.equal(steps.length, 1);
  steps[0]!();
  spoolBytes = 34;
  steps[0]!();
  const { text } = await bed.ask("/api/history");
  assert.deepEqual([JSON.parse(text).hour.spoolBytes, statuses], [[12, 34], 0]);
});
