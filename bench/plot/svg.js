'use strict';

// The few parts of SVG that the plots are made of. The colours follow the reader's light or dark page.

/** Of each rival, on a light page and on a dark one. */
const colours = {
  'node-rr': ['#818b98', '#9198a1'],
  'node-none': ['#afb8c1', '#6e7681'],
  'node-reuseport': ['#d0d7de', '#484f58'],
  'rust-rr': ['#e16f24', '#f0883e'],
  'rust-none': ['#f5b083', '#9b5220'],
};

const rivalStyle = shade =>
  Object.entries(colours)
    .map(
      ([name, shades]) =>
        `.fill.${name} { fill: ${shades[shade]} } .stroke.${name} { stroke: ${shades[shade]} }`,
    )
    .join('\n');

const STYLE = `
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.quiet { fill: #59636e }
.end { text-anchor: end }
.middle { text-anchor: middle }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.base { stroke: #59636e; stroke-width: 1 }
.range { stroke: #1f2328; stroke-width: 1.5 }
.mark { stroke: #1f2328; stroke-width: 2 }
.stroke { fill: none; stroke-width: 2 }
${rivalStyle(0)}
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.quiet { fill: #9198a1 }
.grid { stroke: #3d444d }
.base { stroke: #9198a1 }
.range, .mark { stroke: #f0f6fc }
${rivalStyle(1)}
}`;

const escaped = text => `${text}`.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function element(name, attributes, content) {
  const list = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? round(value) : escaped(value)}"`)
    .join('');
  return content === undefined ? `<${name}${list}/>` : `<${name}${list}>${content}</${name}>`;
}

const round = value => Math.round(value * 10) / 10;

const text = (x, y, content, className = '') => element('text', { x, y, class: className }, escaped(content));
const rect = (x, y, width, height, className) =>
  element('rect', { x, y, width, height, rx: 2, class: className });
const line = (x1, y1, x2, y2, className) => element('line', { x1, y1, x2, y2, class: className });
const dot = (cx, cy, r, className) => element('circle', { cx, cy, r, class: className });
const path = (points, className) =>
  element('path', {
    d: points.map(([x, y], i) => `${i ? 'L' : 'M'}${round(x)} ${round(y)}`).join(''),
    class: className,
  });

/** @param {{ width: number, height: number, title: string, content: string[] }} picture */
function picture({ width, height, title, content }) {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
    width: Math.ceil(width),
    height: Math.ceil(height),
    role: 'img',
  };
  const parts = [element('title', {}, escaped(title)), element('style', {}, STYLE), ...content];
  return `${element('svg', attributes, `\n${parts.join('\n')}\n`)}\n`;
}

module.exports = { dot, line, path, picture, rect, text };
