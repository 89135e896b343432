/** What a flame graph's HTML page does in the browser. */

/**
 * @param layout the picture's width, its margins and a character's width, in px
 * @returns JavaScript for a script element. It reads the boxes' attributes: data-s (start),
 *   data-n (count), data-d (depth), data-t (name).
 */
export function flameScript(layout: {
  readonly width: number;
  readonly margin: number;
  readonly characterWidth: number;
}): string {
  return `'use strict';
const { width, margin, characterWidth } = ${JSON.stringify(layout)};
const svg = document.querySelector('svg');
const total = Number(svg.dataset.total);
const boxes = Array.from(svg.querySelectorAll('g.f'), (g) => ({
  g, rect: g.querySelector('rect'), text: g.querySelector('text'), name: g.dataset.t,
  start: Number(g.dataset.s), count: Number(g.dataset.n), depth: Number(g.dataset.d),
}));
const said = document.getElementById('said');
const search = document.getElementById('search');

function zoom(to) {
  const scale = (width - 2 * margin) / to.count;
  for (const box of boxes) {
    const above = box.start >= to.start && box.start + box.count <= to.start + to.count && box.depth >= to.depth;
    const caller = box.depth < to.depth && box.start <= to.start && box.start + box.count >= to.start + to.count;
    box.g.style.display = above || caller ? '' : 'none';
    box.g.classList.toggle('dim', caller);
    if (!above && !caller) continue;
    const x = caller ? margin : margin + (box.start - to.start) * scale;
    const w = caller ? width - 2 * margin : box.count * scale;
    const room = Math.floor((w - 6) / characterWidth);
    box.rect.setAttribute('x', x);
    box.rect.setAttribute('width', w);
    box.text.setAttribute('x', x + 3);
    box.text.textContent = room < 3 ? '' : box.name.length <= room ? box.name : box.name.slice(0, room - 2) + '..';
  }
}

function find(what) {
  let pattern;
  try {
    pattern = what === '' ? undefined : new RegExp(what);
  } catch (error) {
    said.textContent = error.message;
    return;
  }
  // Callers come before what they call: a hit within a hit is counted once.
  let found = 0, end = 0;
  for (const box of boxes) {
    const hit = pattern !== undefined && box.depth >= 0 && pattern.test(box.name);
    box.g.classList.toggle('hit', hit);
    if (!hit || box.start < end) continue;
    found += box.count;
    end = box.start + box.count;
  }
  said.textContent = pattern === undefined ? '' : 'found in ' + (100 * found / total).toFixed(2) + ' % of the counts';
}

for (const box of boxes) box.g.addEventListener('click', () => zoom(box));
document.getElementById('reset').addEventListener('click', () => zoom(boxes[0]));
search.addEventListener('input', () => find(search.value));
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') zoom(boxes[0]);
});
// The callers of all are at the bottom.
scrollTo(0, document.documentElement.scrollHeight);`;
}
