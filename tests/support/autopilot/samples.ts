/** A card full of sample logs, where each firmware keeps them. */
import type { Content } from "./content.ts";
import { dataflash } from "./dataflash.ts";
import { Files } from "./files.ts";
import { PERSONALITIES, type PersonalityName } from "./personality.ts";
import { ulog } from "./ulog.ts";

export interface SampleOptions {
  /** How many logs. Default: 3. */
  count?: number;
  /** Of the largest; each older one is smaller. Default: 2 MiB. */
  sizeBytes?: number;
  seed?: number;
}

/** First flight: 2026-11-21, 09:14:07 UTC; one every 37 minutes. */
const FIRST_S = Date.UTC(2026, 10, 21, 9, 14, 7) / 1000;
const EVERY_S = 37 * 60;

/** Makes the card: `2026-11-21/09_14_07.ulg` and so on for PX4, `00000001.BIN` with LASTLOG.TXT for ArduPilot. */
export function sampleCard(name: PersonalityName, options: SampleOptions = {}): Files {
  const { count = 3, sizeBytes = 2 * 1024 * 1024, seed = 1 } = options;
  const { stack, logRoot } = PERSONALITIES[name];
  const root = logRoot.replace(/\/$/, "");
  const files = new Files();
  files.mkdirs(logRoot);
  for (let n = 0; n < count; n++) {
    const modifiedS = FIRST_S + n * EVERY_S;
    const size = Math.floor(sizeBytes * (n + 1) / count);
    const make: (size: number, seed: number) => Content = stack === "ardupilot" ? dataflash : ulog;
    const [day, time] = new Date(modifiedS * 1000).toISOString().slice(0, 19).split("T") as [string, string];
    const path = stack === "ardupilot"
      ? `${String(n + 1).padStart(8, "0")}.BIN`
      : `${day}/${time.replaceAll(":", "_")}.ulg`;
    files.add(`${root}/${path}`, make(size, seed + n), { modifiedS });
  }
  if (stack === "ardupilot") files.add(`${root}/LASTLOG.TXT`, `${count}\r\n`);
  return files;
}
