/** Columns that line up, by what a terminal shows. */
import { displayWidth } from "./width.ts";

export interface Column {
  title: string;
  /** Numbers stand on the right. */
  side?: "left" | "right";
}

/** Lines of a table without line ends; the last column is not filled up. Cells must be free of control characters. */
export function table(columns: Column[], rows: string[][]): string[] {
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...rows.map((row) => displayWidth(row[index] ?? "")))
  );
  const line = (cells: string[]) =>
    columns.map((column, index) => {
      const cell = cells[index] ?? "";
      const fill = " ".repeat(widths[index]! - displayWidth(cell));
      return column.side === "right" ? fill + cell : cell + fill;
    }).join("  ").trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)];
}
