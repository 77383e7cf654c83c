'use strict';

// Charts are drawn by Observable Plot, and put together to one SVG whose colours follow the reader's light or dark
// page.

const { parseHTML } = require('linkedom');

/** Of each rival, on a light page and on a dark one. */
const COLOURS = {
  'node-rr': ['#818b98', '#9198a1'],
  'node-none': ['#afb8c1', '#6e7681'],
  'node-reuseport': ['#d0d7de', '#484f58'],
  'rust-rr': ['#e16f24', '#f0883e'],
  'rust-none': ['#f5b083', '#9b5220'],
};

const variables = (colours, shade) =>
  Object.entries(colours)
    .map(([name, shades]) => `--${name}: ${shades[shade]};`)
    .join(' ');

const style = colours => `
svg { color: #1f2328; ${variables(colours, 0)} }
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif }
@media (prefers-color-scheme: dark) { svg { color: #f0f6fc; ${variables(colours, 1)} } }
`;

/** How Plot is to colour what has these colours. */
const scale = colours => ({
  domain: Object.keys(colours),
  range: Object.keys(colours).map(name => `var(--${name})`),
});

/** How Plot is to colour a rival. */
const COLOUR = scale(COLOURS);

/**
 * @typedef {(Plot: typeof import('@observablehq/plot'), document: Document) => Element} Chart
 */

/**
 * Draws charts, one below the other or in columns.
 * @param {string} title
 * @param {Chart[]} charts all of one width
 * @param {{ columns?: number, legend?: { name: string, title: string }[], colours?: Record<string, string[]> }} [options] `legend`: the rivals that the
 *   charts tell apart by colour alone; `colours`: of those that are no rivals
 * @returns {Promise<string>} an SVG document
 */
async function picture(title, charts, { columns = 1, legend = [], colours = COLOURS } = {}) {
  const Plot = await import('@observablehq/plot');
  const { document } = parseHTML('<html><body></body></html>');
  const drawn = charts.map(chart => chart(Plot, document));
  const [width] = drawn.map(svg => Number(svg.getAttribute('width')));
  const rows = Array.from({ length: Math.ceil(drawn.length / columns) }, (_, row) =>
    drawn.slice(row * columns, (row + 1) * columns),
  );
  let y = legend.length ? 48 : 28;
  for (const row of rows) {
    for (const [column, svg] of row.entries()) {
      svg.setAttribute('x', column * width);
      svg.setAttribute('y', y);
    }
    y += Math.max(...row.map(svg => Number(svg.getAttribute('height'))));
  }
  const escaped = text => Object.assign(document.createElement('i'), { textContent: text }).innerHTML;
  const entries = legend.map(({ name, title }) => `<tspan fill="var(--${name})">●</tspan> ${escaped(title)}`);
  const attributes = `viewBox="0 0 ${columns * width} ${y}" width="${columns * width}" height="${y}" role="img"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>`,
    `<title>${escaped(title)}</title>`,
    `<style>${style(colours)}</style>`,
    `<text y="16" fill="currentColor" font-weight="600">${escaped(title)}</text>`,
    `<text y="38" fill="currentColor">${entries.join('\u2003')}</text>`,
    ...drawn.map(svg => svg.outerHTML),
    '</svg>\n',
  ].join('\n');
}

module.exports = { picture, scale, COLOUR };
