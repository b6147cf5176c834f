/** The files of the page, a part of the program: no file is read, and nothing comes from another server. */
import { createHash } from "node:crypto";
import uplotCss from "uplot/dist/uPlot.min.css" with { type: "text" };
import uplotSource from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import htmSource from "htm" with { type: "text" };
import preactSource from "preact" with { type: "text" };
import hooksSource from "preact/hooks" with { type: "text" };
import indexHtml from "./page/index.html" with { type: "text" };
import pageCss from "./page/page.css" with { type: "text" };
import appSource from "./page/app.js" with { type: "text" };
import filesSource from "./page/files.js" with { type: "text" };
import formatSource from "./page/format.js" with { type: "text" };
import htmlSource from "./page/html.js" with { type: "text" };
import icon from "./page/icon.svg" with { type: "text" };
import journeySource from "./page/journey.js" with { type: "text" };
import liveSource from "./page/live.js" with { type: "text" };
import plotSource from "./page/plot.js" with { type: "text" };

/** One file as it is served. */
export interface Asset {
  type: string;
  body: string;
  etag: string;
}

const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

/** Where the scripts find the packages that they name. */
const IMPORT_MAP = JSON.stringify({
  imports: { "htm": "/lib/htm.js", "preact": "/lib/preact.js", "preact/hooks": "/lib/hooks.js" },
});

/** Every file of the page by its path. */
export const ASSETS: ReadonlyMap<string, Asset> = new Map([
  ["/", "text/html; charset=utf-8", indexHtml.replace(/(?<=<script type="importmap">)[^<]*/, () => IMPORT_MAP)],
  ["/page.css", STYLE, pageCss],
  ["/app.js", SCRIPT, appSource],
  ["/files.js", SCRIPT, filesSource],
  ["/format.js", SCRIPT, formatSource],
  ["/html.js", SCRIPT, htmlSource],
  ["/icon.svg", "image/svg+xml", icon],
  ["/journey.js", SCRIPT, journeySource],
  ["/live.js", SCRIPT, liveSource],
  ["/plot.js", SCRIPT, plotSource],
  ["/lib/htm.js", SCRIPT, htmSource],
  ["/lib/preact.js", SCRIPT, withoutMap(preactSource)],
  ["/lib/hooks.js", SCRIPT, withoutMap(hooksSource)],
  ["/lib/uplot.js", SCRIPT, uplotSource],
  ["/lib/uplot.css", STYLE, uplotCss],
].map(([path, type, body]) => [path!, { type: type!, body: body!, etag: `"${hashOf(body!, "hex").slice(0, 16)}"` }]));

/** What a browser may do with the page: its own files, its own server, nothing else. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${hashOf(IMPORT_MAP, "base64")}'`,
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Source maps are not shipped. */
function withoutMap(source: string): string {
  return source.replace(/\n?\/\/# sourceMappingURL=\S+\s*$/, "\n");
}

function hashOf(text: string, encoding: "hex" | "base64"): string {
  return createHash("sha256").update(text).digest(encoding);
}
