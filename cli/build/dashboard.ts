/**
 * The Grafana dashboard of a fleet, typed by Grafana's own schema: `deno run -A cli/build/dashboard.ts` writes
 * `docs/monitoring/grafana.json`.
 */
import type { Dashboard, Panel } from "@grafana/schema";

const ROOT = new URL("../../", import.meta.url);
/** Where the dashboard is, from the project's root. */
export const DASHBOARD_PATH = "docs/monitoring/grafana.json";
/** Panels are half as wide as the screen, which has 24 columns. */
const WIDTH = 12;
const HEIGHT = 8;

interface Plot {
  title: string;
  description: string;
  unit: string;
  queries: [expr: string, legend: string][];
}

const PLOTS: Plot[] = [
  {
    title: "Delivered",
    description: "Bytes a second that arrived on targets",
    unit: "Bps",
    queries: [[
      'sum by (instance, target) (rate(filesync_transferred_bytes_total{instance=~"$instance",target!=""}[5m]))',
      "{{instance}} {{target}}",
    ]],
  },
  {
    title: "Oldest file that waits",
    description: "How far sources and targets are behind",
    unit: "s",
    queries: [[
      'max by (instance, job, target) (filesync_oldest_waiting_seconds{instance=~"$instance"})',
      "{{instance}} {{job}} {{target}}",
    ]],
  },
  {
    title: "Needs a person",
    description: "Files and deliveries that are parked, uncertain or denied",
    unit: "short",
    queries: [['filesync_needs_person{instance=~"$instance"}', "{{instance}}"]],
  },
  {
    title: "Spool",
    description: "Share of the spool's quota that is in use",
    unit: "percentunit",
    queries: [[
      'filesync_spool_used_bytes{instance=~"$instance"} / filesync_spool_quota_bytes{instance=~"$instance"}',
      "{{instance}}",
    ]],
  },
  {
    title: "Devices that are away or held",
    description: "0: can be used now",
    unit: "short",
    queries: [['1 - filesync_device_available{instance=~"$instance"}', "{{instance}} {{device}} ({{role}})"]],
  },
  {
    title: "Files on their way",
    description: "Deliveries that wait or are being sent",
    unit: "short",
    queries: [[
      'sum by (instance, target) (filesync_deliveries{instance=~"$instance",state=~"waiting|uploading"})',
      "{{instance}} {{target}}",
    ]],
  },
  {
    title: "Drivers that fail, and bytes moved again",
    description: "What bad links and bad drivers cost",
    unit: "short",
    queries: [
      [
        'increase(filesync_driver_failures_total{instance=~"$instance"}[1h])',
        "{{instance}} {{device}} failures an hour",
      ],
      [
        'increase(filesync_resent_bytes_total{instance=~"$instance"}[1h]) / 1048576',
        "{{instance}} MiB again, {{direction}}",
      ],
    ],
  },
];

/** The dashboard as Grafana imports it. */
export function dashboard(): Dashboard {
  return {
    uid: "filesync",
    title: "FileSync",
    description: "Files from vehicles, cameras and stations to where they are needed",
    tags: ["filesync"],
    schemaVersion: 39,
    editable: true,
    refresh: "30s",
    time: { from: "now-24h", to: "now" },
    templating: {
      list: [
        { name: "datasource", type: "datasource", query: "prometheus", label: "Data source" },
        {
          name: "instance",
          type: "query",
          datasource: { type: "prometheus", uid: "${datasource}" },
          query: "label_values(filesync_info, instance)",
          includeAll: true,
          multi: true,
          label: "Machine",
        },
      ],
    },
    panels: [overview(), ...PLOTS.map(panel)],
  };
}

/** One tile for each machine: whether all is right there. */
function overview(): Panel {
  return {
    id: 1,
    type: "stat",
    title: "Is everything all right?",
    description: "0: delivered or on its way; 1: a device is away; 2: something needs a person",
    datasource: { type: "prometheus", uid: "${datasource}" },
    gridPos: { x: 0, y: 0, w: 2 * WIDTH, h: 5 },
    targets: [{
      refId: "A",
      expr:
        'max by (instance) (filesync_status{instance=~"$instance",word="waiting"} + 2 * ignoring(word) filesync_status{instance=~"$instance",word="attention"})',
      legendFormat: "{{instance}}",
    }],
    fieldConfig: {
      defaults: {
        mappings: [{
          type: "value" as never,
          options: {
            "0": { text: "ok", color: "green", index: 0 },
            "1": { text: "waiting", color: "yellow", index: 1 },
            "2": { text: "attention", color: "red", index: 2 },
          },
        }],
      },
      overrides: [],
    },
    options: { colorMode: "background", graphMode: "none", reduceOptions: { calcs: ["lastNotNull"] } },
  };
}

function panel({ title, description, unit, queries }: Plot, index: number): Panel {
  return {
    id: index + 2,
    type: "timeseries",
    title,
    description,
    datasource: { type: "prometheus", uid: "${datasource}" },
    gridPos: { x: index % 2 * WIDTH, y: 5 + Math.floor(index / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
    targets: queries.map(([expr, legendFormat], number) => ({ refId: "AB"[number]!, expr, legendFormat })),
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
  };
}

/** The file's text. */
export function dashboardText(): string {
  return `${JSON.stringify(dashboard(), null, 2)}\n`;
}

if (import.meta.main) Deno.writeTextFileSync(new URL(DASHBOARD_PATH, ROOT), dashboardText());
