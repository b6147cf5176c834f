/** Columns that line up, by what a terminal shows. */
import { displayWidth } from "./width.ts";
import { wrap } from "./wrap.ts";

export interface Column {
  title: string;
  /** Numbers stand on the right. */
  side?: "left" | "right";
}

const GAP = "  ";
/** The last column is wrapped as long as so much is left for it. */
const LAST_COLUMNS_MIN = 20;

/**
 * Lines of a table without line ends; the last column is not filled up. Cells must be free of control characters.
 * @param room columns of the terminal, where that is known: a wider table is wrapped, or its cells stand below one another
 */
export function table(columns: Column[], rows: string[][], room?: number): string[] {
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...rows.map((row) => displayWidth(row[index] ?? "")))
  );
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0);
  if (room !== undefined && before + widths.at(-1)! > room && before + LAST_COLUMNS_MIN > room) {
    return rows.flatMap((row) => stacked(row, room));
  }
  const line = (cells: string[]) =>
    columns.map((column, index) => {
      const cell = cells[index] ?? "";
      const fill = " ".repeat(widths[index]! - displayWidth(cell));
      return column.side === "right" ? fill + cell : cell + fill;
    }).join(GAP).trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)].flatMap((text) => wrap(text, room, before));
}

/** One row without columns: the first cell is what the others are about. */
function stacked([first = "", ...others]: string[], room: number): string[] {
  const rest = others.filter((cell) => cell !== "").join(", ");
  return [...(first === "" ? [] : wrap(first, room)), ...(rest === "" ? [] : wrap(GAP + rest, room))];
}
