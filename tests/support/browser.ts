/** A real browser for tests of the page: Debian's Chromium, without a window. */
import axeSource from "axe-core/axe.min.js" with { type: "text" };
import { type Browser, chromium, type Page } from "playwright-core";
import { hasCommand } from "./needs.ts";

const CHROMIUM = "/usr/bin/chromium";

/** Whether there is one. */
export const hasBrowser: boolean = hasCommand(CHROMIUM);

/** How a page is looked at. */
export interface Look {
  width: number;
  height: number;
  colorScheme: "light" | "dark";
}

/** Every size and colour that the page is made for. */
export const LOOKS: Record<string, Look> = {
  "phone-light": { width: 390, height: 844, colorScheme: "light" },
  "phone-dark": { width: 390, height: 844, colorScheme: "dark" },
  "desktop-light": { width: 1280, height: 900, colorScheme: "light" },
  "desktop-dark": { width: 1280, height: 900, colorScheme: "dark" },
};

/** Runs `use` with a page that tells of every error, and fails on one. */
export async function withBrowser(
  use: (open: (url: string, look?: Look) => Promise<Page>) => Promise<void>,
): Promise<void> {
  // Tests run as root in CI, where Chromium's own sandbox cannot.
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  const errors: string[] = [];
  try {
    await use(async (url, { width, height, colorScheme } = LOOKS["phone-light"]!) => {
      // What a test looks with may be put into the page; the page's own policy has its own tests.
      const page = await browser.newPage({ viewport: { width, height }, colorScheme, bypassCSP: true });
      page.on("pageerror", (error) => errors.push(error.message));
      await page.goto(url);
      return page;
    });
  } finally {
    await browser.close();
  }
  if (errors.length > 0) throw new Error(`The page has errors: ${errors.join("; ")}`);
}

/** What keeps people from using the page: rules of WCAG 2.2 A and AA that it breaks, by axe-core. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return await page.evaluate(async () => {
    interface Violation {
      id: string;
      help: string;
      nodes: { html: string }[];
    }
    const { axe } = globalThis as unknown as {
      axe: { run: (options: object) => Promise<{ violations: Violation[] }> };
    };
    const runOnly = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await axe.run({ runOnly });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}
