/** Rows in aligned columns, for a screen. */

/** A heading that begins with `>` stands, with its column, at the right. Cells are cut at `most` characters. */
export function columns(headings: readonly string[], rows: readonly (readonly string[])[], most = 60): string {
  const right = headings.map((heading) => heading.startsWith('>'));
  const cells = [headings.map((heading) => heading.replace(/^>/, '')), ...rows].map((row) =>
    row.map((cell) => (cell.length > most ? `${cell.slice(0, most - 1)}…` : cell)),
  );
  const widths = headings.map((_, at) => Math.max(...cells.map((row) => (row[at] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (right[at] ? cell.padStart(widths[at] as number) : cell.padEnd(widths[at] as number)))
      .join('  ')
      .trimEnd();
  return cells.map((row) => `  ${line(row)}\n`).join('');
}

/** Bytes with the unit that keeps them short: `512`, `1.5K`, `20M`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  for (const unit of ['', 'K', 'M', 'G', 'T']) {
    if (value < 1024 || unit === 'T')
      return `${unit === '' || value >= 10 ? Math.round(value) : value.toFixed(1)}${unit}`;
    value /= 1024;
  }
  return String(bytes);
}
