/** A flame graph as one SVG document, or one HTML page with search and zoom; neither needs another file. */
import { type FlameBox, flameBoxes } from './flame.ts';
import { flameScript } from './script.ts';
import type { FrameKind, StackProfile } from './stacks.ts';

export interface FlameOptions {
  /** Stands above the graph. */
  readonly title: string;
}

const width = 1200;
const margin = 10;
const rowHeight = 17;
/** Of the title and the legend. */
const head = 60;
/** A character of the 12 px monospaced font, in px. */
const characterWidth = 7.25;
/** Boxes narrower than this are not in the SVG, in px; the HTML page, which can be zoomed, has all. */
const narrowest = 0.1;

const kinds: Readonly<Record<FrameKind, { readonly color: string; readonly means: string }>> = {
  key: { color: '#b9c4cc', means: 'key of the map' },
  user: { color: '#f2a057', means: 'user' },
  inferred: { color: '#c9a3dc', means: 'inferred name (~)' },
  jit: { color: '#8cc97a', means: 'JIT' },
  kernel: { color: '#7fb2dd', means: 'kernel' },
  note: { color: '#dddddd', means: 'frames are missing' },
};

/** Text within an element or an attribute; characters that XML has no place for become U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** What fits into a box of so many px; nothing, rather than less than three characters. */
function labelFor(name: string, pixels: number): string {
  const room = Math.floor((pixels - 6) / characterWidth);
  if (room < 3) return '';
  return name.length <= room ? name : `${name.slice(0, room - 2)}..`;
}

const share = (count: bigint, total: bigint): string => `${((100 * Number(count)) / Number(total)).toFixed(2)} %`;

/** The picture; `all` keeps also what is too narrow to be seen. */
function drawing(profile: StackProfile, { title }: FlameOptions, all: boolean): string {
  const { total } = profile;
  const root: FlameBox = { frame: { name: 'all', kind: 'key' }, depth: -1, start: 0n, count: total };
  const boxes = [root, ...flameBoxes(profile)];
  const depth = boxes.reduce((most, box) => Math.max(most, box.depth), 0);
  const bottom = head + (depth + 2) * rowHeight;
  const scale = (width - 2 * margin) / Number(total);
  let narrow = 0;
  const drawn: string[] = [];
  for (const { frame, depth: row, start, count } of boxes) {
    const w = Number(count) * scale;
    if (w < narrowest && !all) {
      narrow++;
      continue;
    }
    const x = margin + Number(start) * scale;
    const y = bottom - (row + 2) * rowHeight;
    const file = frame.file === undefined || frame.name.includes(frame.file) ? '' : ` (${frame.file})`;
    const tip = `${frame.name}${file}: ${count}, ${share(count, total)}`;
    drawn.push(
      `<g class="f ${frame.kind}" data-s="${start}" data-n="${count}" data-d="${row}" data-t="${escapeXml(frame.name)}">` +
        `<title>${escapeXml(tip)}</title>` +
        `<rect x="${x.toFixed(2)}" y="${y}" width="${w.toFixed(2)}" height="${rowHeight - 1}" rx="1"/>` +
        `<text x="${(x + 3).toFixed(2)}" y="${y + 12}">${escapeXml(labelFor(frame.name, w))}</text></g>`,
    );
  }
  const present = (Object.keys(kinds) as FrameKind[]).filter((kind) => boxes.some((box) => box.frame.kind === kind));
  let x = margin;
  const legend = present.map((kind) => {
    const { means } = kinds[kind];
    const item = `<g class="${kind}"><rect x="${x}" y="34" width="12" height="12" rx="1"/><text x="${x + 17}" y="44">${means}</text></g>`;
    x += 17 + means.length * characterWidth + 18;
    return item;
  });
  const note =
    narrow === 0
      ? ''
      : `<text x="${margin}" y="${bottom + 14}">${narrow} boxes narrower than ${narrowest} px are not drawn</text>`;
  const styles = Object.entries(kinds).map(([kind, { color }]) => `.${kind} rect{fill:${color}}`);
  const height = bottom + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" data-total="${total}">
<style>text{font:12px monospace;fill:#1a1a1a}.title{font:bold 16px sans-serif}${styles.join('')}.f:hover rect{stroke:#1a1a1a;stroke-width:1}.f.hit rect{fill:#e33bd0}.f.dim{opacity:.55}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
<text class="title" x="${width / 2}" y="22" text-anchor="middle">${escapeXml(title)}</text>
${legend.join('\n')}
${drawn.join('\n')}
${note}</svg>
`;
}

/** An SVG document: names and counts show when the pointer rests on a box. */
export function flameSvg(profile: StackProfile, options: FlameOptions): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${drawing(profile, options, false)}`;
}

/** An HTML page: the same picture; a click zooms, a search colours what it finds and tells its share. */
export function flameHtml(profile: StackProfile, options: FlameOptions): string {
  const layout = { width, margin, characterWidth };
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escapeXml(options.title)}</title>
<style>body{margin:8px;font:13px sans-serif}input{font:13px monospace;width:26em}svg .f{cursor:pointer}#said{margin-left:1em}#bar{position:sticky;top:0;background:#fff;padding:4px 0}</style>
</head>
<body>
<div id="bar"><input id="search" type="search" placeholder="search (regular expression)"> <button id="reset">reset zoom</button><span id="said"></span></div>
${drawing(profile, options, true)}<script>
${flameScript(layout)}
</script>
</body>
</html>
`;
}
