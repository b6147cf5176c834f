// The page: is everything all right, in one word; then where each file is, and what needs a person.
import { render } from "preact";
import { useState } from "preact/hooks";
import { html } from "./html.js";
import { Files } from "./files.js";
import { counted, formatBytes } from "./format.js";
import { Banner, Devices, Journey, MovingFiles, NeedsYou, Notes } from "./journey.js";
import { Live, Refused, tell } from "./live.js";
import { Plots } from "./plot.js";

/** @param {{ title: string, children: unknown }} props */
function Section({ title, children }) {
  const id = title.toLowerCase().replaceAll(" ", "-");
  return html`<section aria-labelledby=${id}><h2 id=${id}>${title}</h2>${children}</section>`;
}

/** @param {{ known: import("./live.js").Known }} props */
function Page({ known }) {
  const { status, history, log, error, safe, changes } = known;
  if (known.needsToken) return html`<${Login} message=${error} />`;
  if (status === undefined) {
    return html`
      <main>
        <p class="loading" role="status">${error ?? "Looking…"}</p>
      </main>
    `;
  }
  const { spool } = status;
  return html`
    <header>
      <h1>FileSync</h1>
      <p class="quiet">${location.hostname}, version ${status.version}${status.readOnly ? ", read-only" : ""}</p>
    </header>
    <main>
      <${Banner} status=${status} error=${error} />
      ${status.parkedTotal > 0 && html`
        <${Section} title="Needs you">
          <${NeedsYou} status=${status} onDone=${() => live.start()} />
          <//>
      `}
      <${Section} title="Moving now"><${MovingFiles} moving=${status.moving} /><//>
      <${Section} title="Jobs">
        ${status.jobs.length === 0
          ? html`<p class="quiet">Nothing has run yet.</p>`
          : status.jobs.map((/** @type {any} */ job) =>
            html`<${Journey} key=${job.name} job=${job} now=${status.time} />`
          )}
      <//>
      ${status.notedTotal > 0 && html`<${Notes} noted=${status.noted} total=${status.notedTotal} now=${status.time} />`}
      <${Section} title="Devices"><${Devices} devices=${status.devices} now=${status.time} safe=${safe} /><//>
      <${Section} title="Spool">
        <progress max=${spool.quotaBytes} value=${spool.usedBytes} aria-label="Spool"></progress>
        <p>${formatBytes(spool.usedBytes)} of ${formatBytes(spool.quotaBytes)}${status.resentBytes > 0
          ? `; ${formatBytes(status.resentBytes)} moved again after interruptions`
          : ""}</p>
        ${spool.pause !== undefined && html`
          <p>Downloads wait: ${spool.pause.reason}</p>
        `}
        ${history !== undefined && html`<${Plots} history=${history} />`}
      <//>
      <${Section} title="Files"><${Files} jobs=${status.jobs} now=${status.time} changes=${changes} /><//>
      <${Section} title="Log">
        <details>
          <summary>${counted(log.length, "line")}</summary>
          <ol class="log" tabindex="0" aria-label="Log">
            ${log.map((/** @type {any} */ { time, level, scope, message }, /** @type {number} */ index) =>
              html`<li key=${index} class=${level}><time>${
                new Date(time).toLocaleTimeString()
              }</time> ${level} ${scope}: ${message}</li>`
            )}
          </ol>
        </details>
      <//>
    </main>
  `;
}

/** @param {{ message?: string }} props */
function Login({ message }) {
  const [said, setSaid] = useState(message ?? "");
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    const token = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("token") ?? "").trim();
    try {
      await tell("/api/login", { token });
      live.start();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setSaid(error.message);
    }
  };
  return html`
    <header>
      <h1>FileSync</h1>
    </header>
    <main>
      <form class="login" onSubmit=${submit}>
        <p role="status">${said}</p>
        <label>Token <input name="token" type="password" autocomplete="current-password" required /></label>
        <button type="submit">Show</button>
        <p class="quiet"><code>filesync token</code> on the machine makes one.</p>
      </form>
    </main>
  `;
}

const place = /** @type {HTMLElement} */ (document.getElementById("app"));
place.replaceChildren();
const live = new Live((known) => {
  document.title = `${known.error === undefined ? known.status?.word ?? "" : "no answer"} · FileSync`;
  render(html`<${Page} known=${known} />`, place);
});
