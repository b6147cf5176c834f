// Bytes a second of each device, and the spool's use.
import { html } from "./html.js";
import { useEffect, useRef, useState } from "preact/hooks";
import { formatBytes, formatRate } from "./format.js";

/** Told apart also by who sees no colours: each line has its own dashes. */
const LINES = [["#0b6bcb", []], ["#c4500c", [8, 4]], ["#1a7f37", [2, 3]], ["#8250df", [10, 3, 2, 3]], ["#b35900", [
  4,
  4,
]], ["#0e7c86", [1, 2]]];
const HEIGHT = 180;

/** @param {{ history: any }} props */
export function Plots({ history }) {
  const [span, setSpan] = useState("hour");
  const series = history[span];
  const names = Object.keys(series.devices).sort();
  const steps = series.spoolBytes.length;
  const times = Array.from(
    { length: steps },
    (_, index) => (series.endMs - (steps - 1 - index) * series.stepMs) / 1000,
  );
  const rates = names.map((name) =>
    series.devices[name].map((/** @type {number} */ bytes) => bytes / series.stepMs * 1000)
  );
  const peak = Math.max(0, ...rates.flat());
  return html`
    <div>
      <div class="choice" role="group" aria-label="Span">
        ${[["hour", "Last hour"], ["day", "Last day"]].map(([name, words]) =>
          html`<button aria-pressed=${span === name} onClick=${() => setSpan(name)}>${words}</button>`
        )}
      </div>
      ${steps < 2 ? html`<p class="quiet">Nothing to draw yet.</p>` : html`
        <${Plot} title=${`Throughput of each device; at most ${formatRate(peak)}`} names=${names} data=${[
          times,
          ...rates,
        ]} format=${formatRate} />
        <${Plot} title="Spool" names=${["spool"]} data=${[times, series.spoolBytes]} format=${formatBytes} />
      `}
    </div>
  `;
}

/** @param {{ title: string, names: string[], data: number[][], format: (value: number) => string }} props */
function Plot({ title, names, data, format }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const drawn = useRef(/** @type {any} */ (undefined));
  const key = JSON.stringify(names);
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (place.current);
    const style = getComputedStyle(element);
    const axis = { stroke: style.color, grid: { stroke: style.borderColor, width: 1 }, ticks: { show: false } };
    // deno-lint-ignore no-undef -- uPlot comes as a script of its own
    const plot = new /** @type {any} */ (globalThis).uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        cursor: { y: false },
        legend: { show: true, live: true },
        scales: {
          y: {
            range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ max) => [0, Math.max(1, max)],
          },
        },
        axes: [axis, {
          ...axis,
          size: 76,
          values: (/** @type {any} */ _, /** @type {number[]} */ values) => values.map(format),
        }],
        series: [
          {},
          ...names.map((label, index) => {
            const [stroke, dash] = LINES[index % LINES.length];
            return {
              label,
              stroke,
              dash,
              width: 2,
              value: (/** @type {any} */ _, /** @type {number} */ value) =>
                value === null || value === undefined ? "" : format(value),
            };
          }),
        ],
      },
      data,
      element,
    );
    drawn.current = plot;
    const watch = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [key]);
  useEffect(() => drawn.current?.setData(data), [data]);
  return html`
    <figure>
      <figcaption>${title}</figcaption>
      <div class="plot" ref=${place} role="img" aria-label=${title}></div>
    </figure>
  `;
}
