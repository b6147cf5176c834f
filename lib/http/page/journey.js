// Jobs, devices, what moves, what needs a person.
import { html } from "./html.js";
import { useState } from "preact/hooks";
import { counted, formatAgo, formatBytes, formatDuration, formatRate, nameOf } from "./format.js";
import { Refused, tell } from "./live.js";

/** @type {Record<string, string>} */
const WORDS = {
  ok: "All that was found is delivered",
  working: "Files are on their way",
  waiting: "Waiting for a device",
  attention: "Something needs you",
};

/** @param {{ status: any, error?: string }} props */
export function Banner({ status, error }) {
  const waits = status.devices.filter((/** @type {any} */ device) => !device.available || device.held);
  const why = status.word === "waiting" && status.spool.pause !== undefined
    ? `Downloads wait: ${status.spool.pause.reason}`
    : status.word === "waiting" && waits.length > 0
    ? `Waiting for ${waits.map((/** @type {any} */ { name }) => name).join(", ")}`
    : WORDS[status.word];
  return html`
    <section class="banner ${error === undefined ? status.word : "stale"}" role="status" aria-label="How things stand">
      <strong>${error === undefined ? status.word : "no answer"}</strong>
      <span>${error === undefined
        ? why
        : `${error}. Below is what was known at ${new Date(status.time).toLocaleTimeString()}.`}</span>
    </section>
  `;
}

/** @param {{ moving: any[] }} props */
export function MovingFiles({ moving }) {
  if (moving.length === 0) return html`<p class="quiet">Nothing moves.</p>`;
  return html`
    <ul class="moving">
      ${moving.map((file) =>
        html`
          <li key=${`${file.job}\n${file.path}\n${file.target ?? ""}`}>
            <div class="line">
              <span class="path" title=${file.path}>${nameOf(file.path)}</span>
              <span>${file.target === undefined
                ? `from ${file.device ?? "source"}`
                : `to ${file.device ?? file.target}`}</span>
            </div>
            <progress max=${file.sizeBytes ?? 0} value=${file.sizeBytes === undefined ? undefined : file.doneBytes}
              aria-label=${`${nameOf(file.path)} ${
                file.target === undefined ? "from its source" : `to ${file.target}`
              }`}></progress>
            <div class="line figures">
              <span>${formatBytes(file.doneBytes)}${file.sizeBytes === undefined
                ? ""
                : ` of ${formatBytes(file.sizeBytes)}`}</span>
              <span>${file.bytesPerSecond === undefined
                ? ""
                : formatRate(file.bytesPerSecond)}${file.etaMs === undefined
                ? ""
                : `, ${formatDuration(file.etaMs)} left`}</span>
            </div>
          </li>
        `
      )}
    </ul>
  `;
}

/** @param {{ tally: { count: number, bytes: number }, title: string, kind?: string, children?: unknown }} props */
function Station({ tally, title, kind = "", children }) {
  return html`
    <li class="station ${kind}">
      <h4>${title}</h4>
      <p class="big">${tally.count.toLocaleString("en")}</p>
      <p>${formatBytes(tally.bytes)}</p>
      ${children}
    </li>
  `;
}

/** @param {{ job: any, now: string }} props */
export function Journey({ job, now }) {
  const waiting = { count: job.found.count + job.downloading.count, bytes: job.found.bytes + job.downloading.bytes };
  return html`
    <article class="journey">
      <h3>${job.name}</h3>
      <p class="quiet">
        ${job.lastListing === undefined
          ? "Source not listed yet"
          : `Source listed ${formatAgo(job.lastListing, now)}`}${job.waitsForWindow === undefined
          ? ""
          : `, waits for its time window ${job.waitsForWindow}`}
      </p>
      <ol class="stations">
        <${Station} title="To fetch" tally=${waiting} kind=${waiting.count > 0 ? "busy" : ""}>
          ${job.parked.count > 0 && html`<p class="bad">${counted(job.parked.count, "parked", "parked")}</p>`}
          ${job.gone.count > 0 && html`<p>${counted(job.gone.count, "gone", "gone")}</p>`}
        <//>
        <${Station} title="In the spool" tally=${job.spooled} kind=${job.spooled.count > 0 ? "busy" : ""} />
        ${job.targets.map((/** @type {any} */ target) =>
          html`
            <${Station} key=${target.name} title=${`On ${target.name}`} tally=${target.delivered} kind="done">
              ${target.waiting.count + target.uploading.count > 0 &&
                html`<p>${counted(target.waiting.count + target.uploading.count, "waits", "wait")}</p>`}
              ${target.parked.count > 0 && html`<p class="bad">${counted(target.parked.count, "parked", "parked")}</p>`}
              ${target.uncertain.count > 0 &&
                html`<p class="bad">${counted(target.uncertain.count, "uncertain", "uncertain")}</p>`}
            <//>
          `
        )}
      </ol>
    </article>
  `;
}

/** @param {any} device */
function stateOf({ available, held, code }) {
  if (available) return held ? "held" : "available";
  if (code === "no_space") return "full";
  if (code === "denied") return "denied";
  return code === "invalid_config" || code === "unsupported" ? "unusable" : "away";
}

/** @param {{ devices: any[], now: string, safe: Map<string, string> }} props */
export function Devices({ devices, now, safe }) {
  return html`
    <ul class="devices">
      ${devices.map((device) => {
        const state = stateOf(device);
        return html`
          <li key=${`${device.name} ${device.role}`} class=${state}>
            <div class="line"><b>${device.name}</b><span class="state">${state}</span></div>
            <p class="quiet">${device.role}, ${formatAgo(device.since, now) || "since the start"}</p>
            ${device.reason !== undefined && html`<p>${device.reason}</p>`}
            ${safe.has(device.name) && html`<p class="good">Safe to unplug</p>`}
          </li>
        `;
      })}
    </ul>
  `;
}

/** @param {{ noted: any[], total: number, now: string }} props */
export function Notes({ noted, total, now }) {
  return html`
    <details>
      <summary>${counted(total, "file has", "files have")} a note</summary>
      <ul class="parked">
        ${noted.map((/** @type {any} */ { job, path, note, since }) =>
          html`
            <li key=${`${job}\n${path}`}>
              <span class="path" title=${path}>${path}</span>
              <p>${note}</p>
              <p class="quiet">${job}, ${formatAgo(since, now)}</p>
            </li>
          `
        )}
      </ul>
    </details>
  `;
}

/** @param {{ status: any, onDone: () => void }} props */
export function NeedsYou({ status, onDone }) {
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);
  /** @param {object} request */
  const retry = async (request) => {
    setBusy(true);
    try {
      const { files, deliveries } = await tell("/api/retry", request);
      setSaid(
        files + deliveries === 0
          ? "There was nothing to retry"
          : `${counted(files + deliveries, "try", "tries")} again now`,
      );
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setSaid(error.message);
    } finally {
      setBusy(false);
      onDone();
    }
  };
  if (status.parkedTotal === 0) return html`<p class="quiet" role="status">${said || "Nothing needs you."}</p>`;
  return html`
    <div>
      <div class="line">
        <p>${counted(status.parkedTotal, "file needs", "files need")} you.</p>
        ${!status.readOnly &&
          html`<button disabled=${busy} onClick=${() => retry({ parked: true })}>Retry all that is parked</button>`}
      </div>
      <p class="quiet" role="status">${said}</p>
      <ul class="parked">
        ${status.parked.map((/** @type {any} */ item) =>
          html`
            <li key=${`${item.job}\n${item.path}\n${item.target ?? ""}`}>
              <div class="line">
                <span class="path" title=${item.path}>${item.path}</span>
                <span class="state">${item.state}</span>
              </div>
              <p>${item.reason}</p>
              ${item.hint !== undefined && html`<p class="hint">${item.hint}</p>`}
              <div class="line">
                <span class="quiet">${item.job}${item.target === undefined ? "" : ` → ${item.target}`}, ${counted(
                  item.attempts,
                  "attempt",
                )}, ${formatAgo(item.since, status.time)}</span>
                ${!status.readOnly && html`
                  <button disabled=${busy} aria-label=${`Retry ${item.path}`} onClick=${() =>
                    retry({
                      paths: [item.path],
                      job: item.job,
                      ...(item.target === undefined ? {} : { target: item.target }),
                    })}>
                    ${item.state === "uncertain" ? "Send again" : "Retry"}
                  </button>
                `}
              </div>
            </li>
          `
        )}
      </ul>
    </div>
  `;
}
