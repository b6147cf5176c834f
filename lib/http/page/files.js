// All files: search, filter, and everything that is known of one.
import { html } from "./html.js";
import { useEffect, useRef, useState } from "preact/hooks";
import { formatAgo, formatBytes, formatDuration } from "./format.js";
import { ask, Refused } from "./live.js";

/** Searching begins when nothing was typed for so long, milliseconds. */
const TYPING_MS = 300;
/** Pages that a search reads on by itself until something is found. */
const PAGES_MAX = 50;

const STATES = [["", "all"], ["open", "on their way"], ["parked", "need you"], ["delivered", "delivered"], [
  "gone",
  "gone",
]];

/** @param {{ jobs: any[], now: string, changes: number }} props */
export function Files({ jobs, now, changes }) {
  const [query, setQuery] = useState({ q: "", state: "", job: "" });
  const [found, setFound] = useState(/** @type {{ files: any[], next?: number }} */ ({ files: [] }));
  const [said, setSaid] = useState("");
  const [chosen, setChosen] = useState(/** @type {any} */ (undefined));
  const running = useRef(0);

  /** @param {number} [before] */
  const search = async (before) => {
    const run = ++running.current;
    setSaid(query.q === "" ? "" : "Searching…");
    try {
      let files = before === undefined ? [] : found.files;
      const had = files.length;
      let next = before;
      for (let page = 0; page < PAGES_MAX; page++) {
        const parameters = new URLSearchParams(
          Object.entries({ ...query, before: next ?? "" }).filter(([, value]) => value !== "")
            .map(([name, value]) => [name, String(value)]),
        );
        const answer = await ask(`/api/files?${parameters}`);
        // Something else was asked for meanwhile.
        if (run !== running.current) return;
        files = [...files, ...answer.files];
        next = answer.next;
        if (files.length > had || next === undefined) break;
      }
      setFound({ files, ...(next === undefined ? {} : { next }) });
      setSaid(files.length === 0 ? "Nothing found" : "");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setSaid(error.message);
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => search(), TYPING_MS);
    return () => clearTimeout(timer);
  }, [query]);
  // What is shown from the top stays up to date; who has read on is left alone.
  useEffect(() => {
    if (changes > 0 && found.files.length <= 50) search();
  }, [changes]);

  /** @param {string} name */
  const set = (name) => (/** @type {any} */ event) => setQuery({ ...query, [name]: event.target.value });
  return html`
    <div>
      <form class="search" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
        <label>Search <input type="search" value=${query.q} onInput=${set("q")} placeholder="part of a path" /></label>
        <label>Show <select value=${query.state} onChange=${set("state")}>
          ${STATES.map(([value, words]) => html`<option value=${value}>${words}</option>`)}
        </select></label>
        ${jobs.length > 1 && html`
          <label>Job <select value=${query.job} onChange=${set("job")}>
            <option value="">all</option>
            ${jobs.map(({ name }) => html`<option value=${name}>${name}</option>`)}
          </select></label>
        `}
      </form>
      <p class="quiet" role="status">${said}</p>
      <ul class="files">
        ${found.files.map((file) =>
          html`
            <li key=${file.id}>
              <button class="file" aria-expanded=${chosen?.id === file.id} onClick=${() =>
                setChosen(chosen?.id === file.id ? undefined : file)}>
                <span class="path" title=${file.path}>${file.path}</span>
                <span class="figures">
                  <span>${file.sizeBytes === undefined ? "" : formatBytes(file.sizeBytes)}</span>
                  <span class=${`state ${wordOf(file)}`}>${wordOf(file)}</span>
                  <span>${formatAgo(file.since, now)}</span>
                </span>
              </button>
              ${chosen?.id === file.id && html`<${Details} file=${file} now=${now} />`}
            </li>
          `
        )}
      </ul>
      ${found.next !== undefined && html`<button onClick=${() => search(found.next)}>Show more</button>`}
    </div>
  `;
}

/** @param {any} file */
function wordOf({ state, deliveries }) {
  const troubled = deliveries.find((/** @type {any} */ delivery) =>
    delivery.state === "parked" || delivery.state === "uncertain"
  );
  if (troubled !== undefined) return troubled.state;
  if (state === "done") return "delivered";
  const left = deliveries.filter((/** @type {any} */ delivery) => ["waiting", "uploading"].includes(delivery.state));
  return state === "spooled" && left.length > 0
    ? `in the spool for ${left.map((/** @type {any} */ delivery) => delivery.target).join(", ")}`
    : state;
}

/** @param {{ file: any, now: string }} props */
function Details({ file, now }) {
  const [why, setWhy] = useState(/** @type {any} */ (undefined));
  useEffect(() => {
    ask(`/api/why?${new URLSearchParams({ path: file.path, job: file.job })}`).then(
      ({ sources }) => setWhy(sources.flatMap((/** @type {any} */ source) => source.generations ?? [])),
      (error) => setWhy(error.message),
    );
  }, [file.id, file.since]);
  if (why === undefined) return html`<p class="quiet">Looking…</p>`;
  if (typeof why === "string") return html`<p class="bad">${why}</p>`;
  return html`
    <div class="details">
      ${why.map((/** @type {any} */ generation) =>
        html`
          <dl key=${generation.id}>
            <dt>State</dt><dd>${generation.state}, ${formatAgo(generation.since, now)}${generation.latest
              ? ""
              : " (replaced by a newer one)"}</dd>
            ${generation.fingerprint.modified !== undefined &&
              html`
                <dt>Modified</dt>
                <dd>${new Date(generation.fingerprint.modified).toLocaleString()}</dd>
              `}
            ${generation.error !== undefined && html`
              <dt>Last error</dt>
              <dd>${generation.error.reason} ${generation.error.hint ?? ""}</dd>
            `}
            ${generation.sha256 !== undefined && html`
              <dt>SHA-256</dt>
              <dd class="hash">${generation.sha256}</dd>
            `}
            ${generation.deliveries.map((/** @type {any} */ delivery) =>
              html`
                <dt>On ${delivery.target}</dt>
                <dd>${delivery.state}, ${formatAgo(delivery.since, now)}${delivery.retryInMs === undefined
                  ? ""
                  : `, next try in ${formatDuration(delivery.retryInMs)}`}
                  ${delivery.receipt !== undefined &&
                    html`<br />as ${delivery.receipt.path} (${delivery.receipt.verified} verified)`}
                  ${isWebLink(delivery.receipt?.url) &&
                    html`<br /><a href=${delivery.receipt.url} rel="noreferrer noopener" target="_blank">${delivery.receipt.url}</a>`}
                  ${delivery.error !== undefined &&
                    html`<br /><span class="bad">${delivery.error.reason}</span> ${delivery.error.hint ?? ""}`}
                </dd>
              `
            )}
            ${generation.spool?.isWhole === true && html`<${Preview} id=${generation.id} />`}
          </dl>
        `
      )}
    </div>
  `;
}

/**
 * Links come from servers: only those that lead to a page are made one.
 * @param {unknown} url
 */
function isWebLink(url) {
  return typeof url === "string" && /^https?:\/\//i.test(url);
}

/** @param {{ id: number }} props */
function Preview({ id }) {
  const [seen, setSeen] = useState(/** @type {any} */ (undefined));
  useEffect(() => {
    fetch(`/api/preview?id=${id}`).then(async (response) => {
      if (response.status !== 200) return;
      const type = response.headers.get("content-type") ?? "";
      setSeen(type.startsWith("image/") ? { image: true } : { log: await response.json() });
    }, () => {});
  }, [id]);
  if (seen?.image === true) {
    return html`
      <dt>Picture</dt>
      <dd><img class="preview" src=${`/api/preview?id=${id}`} alt="The file, small" /></dd>
    `;
  }
  if (seen?.log === undefined) return null;
  const { durationMs, system, hardware, vehicle, dropoutMs } = seen.log;
  return html`
    <dt>Flight log</dt>
    <dd>${[
      durationMs === undefined ? undefined : formatDuration(durationMs),
      system,
      hardware,
      vehicle === undefined ? undefined : `vehicle ${vehicle}`,
      dropoutMs === undefined ? undefined : `${formatDuration(dropoutMs)} of data lost by the logger`,
    ].filter((part) => part !== undefined).join(", ")}</dd>
  `;
}
