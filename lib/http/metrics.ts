/**
 * `/metrics` in the text format of Prometheus (exposition format 0.0.4). States and queues are read from the store; what
 * happened since the start is counted.
 */
import type { QueueAge, StatusReport, Tally } from "../observe/mod.ts";
import type { Counters } from "./counters.ts";

/** What is told. */
export interface MetricFacts {
  version: string;
  status: StatusReport;
  queueAges: QueueAge[];
  counters: Counters;
  /** Monotonic milliseconds, as the counters have them. */
  nowMs: number;
  /** Milliseconds since 1970 UTC. */
  dateMs: number;
  startedMs: number;
}

type Labels = Record<string, string | undefined>;
type Sample = [labels: Labels, value: number];

const WORDS: readonly StatusReport["word"][] = ["ok", "working", "waiting", "attention"];

/** The whole answer. */
export function metricsText(facts: MetricFacts): string {
  const { status, counters, queueAges, nowMs, dateMs } = facts;
  const families = [
    family("filesync_info", "gauge", "The version that runs", [[{ version: facts.version }, 1]]),
    family("process_start_time_seconds", "gauge", "When the process was started", [[{}, facts.startedMs / 1000]]),
    family(
      "filesync_status",
      "gauge",
      "1 for the word of filesync status, 0 for the others",
      WORDS.map((word): Sample => [{ word }, word === status.word ? 1 : 0]),
    ),
    family("filesync_files", "gauge", "Known files by state", fileSamples(status, "count")),
    family("filesync_file_bytes", "gauge", "Bytes of known files by state", fileSamples(status, "bytes")),
    family("filesync_deliveries", "gauge", "Deliveries by state", deliverySamples(status, "count")),
    family("filesync_delivery_bytes", "gauge", "Bytes of deliveries by state", deliverySamples(status, "bytes")),
    family(
      "filesync_needs_person",
      "gauge",
      "Files and deliveries that are parked, uncertain or denied",
      [[{}, status.parkedTotal]],
    ),
    family(
      "filesync_transferred_files_total",
      "counter",
      "Files that arrived since the start: in the spool (no target) and on targets",
      counters.journeys().map(({ job, target, files }): Sample => [{ job, target }, files]),
    ),
    family(
      "filesync_transferred_bytes_total",
      "counter",
      "Bytes of files that arrived since the start",
      counters.journeys().map(({ job, target, bytes }): Sample => [{ job, target }, bytes]),
    ),
    family(
      "filesync_parked_total",
      "counter",
      "Files that were given up until told since the start",
      counters.journeys().map(({ job, target, parked }): Sample => [{ job, target }, parked]),
    ),
    family(
      "filesync_oldest_waiting_seconds",
      "gauge",
      "Age of the oldest file that waits for a source (no target) or a target; 0: none waits",
      queueAges.map(({ job, target, oldestMs }): Sample => [{ job, target }, ageSeconds(oldestMs, dateMs)]),
    ),
    family(
      "filesync_last_delivered_timestamp_seconds",
      "gauge",
      "When a target got its last file",
      queueAges.flatMap(({ job, target, lastDeliveredMs }): Sample[] =>
        lastDeliveredMs === undefined ? [] : [[{ job, target }, lastDeliveredMs / 1000]]
      ),
    ),
    family(
      "filesync_device_available",
      "gauge",
      "Whether a device can be used: 1, or 0 while it is away or held",
      status.devices.map(({ name, role, available, held }): Sample => [
        { device: name, role },
        available && !held ? 1 : 0,
      ]),
    ),
    family(
      "filesync_device_held_seconds_total",
      "counter",
      "How long a device was away or held since the start",
      counters.devices().map(({ device, role, closedMs, closedSinceMs }): Sample => [
        { device, role },
        (closedMs + (closedSinceMs === undefined ? 0 : nowMs - closedSinceMs)) / 1000,
      ]),
    ),
    family(
      "filesync_driver_failures_total",
      "counter",
      "Times that a device's driver failed and had to be started again",
      counters.devices().map(({ device, role, breaks }): Sample => [{ device, role }, breaks]),
    ),
    family("filesync_spool_used_bytes", "gauge", "Bytes in the spool", [[{}, status.spool.usedBytes]]),
    family("filesync_spool_quota_bytes", "gauge", "Most bytes in the spool", [[{}, status.spool.quotaBytes]]),
    family("filesync_resent_bytes_total", "counter", "Bytes moved again after interruptions, ever", [
      [{ direction: "download" }, status.resentBytes - status.resentUploadBytes],
      [{ direction: "upload" }, status.resentUploadBytes],
    ]),
  ];
  return families.join("");
}

function family(name: string, type: "gauge" | "counter", help: string, samples: Sample[]): string {
  if (samples.length === 0) return "";
  const lines = samples.map(([labels, value]) => `${name}${labelsText(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelsText(labels: Labels): string {
  const known = Object.entries(labels).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`]
  );
  return known.length === 0 ? "" : `{${known.join(",")}}`;
}

function fileSamples({ jobs }: StatusReport, what: keyof Tally): Sample[] {
  const states = ["found", "downloading", "spooled", "done", "parked", "gone"] as const;
  return jobs.flatMap((job) => states.map((state): Sample => [{ job: job.name, state }, job[state][what]]));
}

function deliverySamples({ jobs }: StatusReport, what: keyof Tally): Sample[] {
  const states = ["waiting", "uploading", "delivered", "parked", "uncertain"] as const;
  return jobs.flatMap((job) =>
    job.targets.flatMap((target) =>
      states.map((state): Sample => [{ job: job.name, target: target.name, state }, target[state][what]])
    )
  );
}

/** The date may have jumped: an age is never negative. */
function ageSeconds(sinceMs: number | undefined, dateMs: number): number {
  return sinceMs === undefined ? 0 : Math.max(0, (dateMs - sinceMs) / 1000);
}
