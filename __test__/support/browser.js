'use strict';

// A page in a headless Chromium. Where there is none, `found` is undefined.

const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];

/** The browser's program: what CHROMIUM names, or what the PATH has. */
const found =
  process.env.CHROMIUM ??
  process.env.PATH.split(path.delimiter)
    .flatMap(folder => NAMES.map(name => path.join(folder, name)))
    .find(file => fs.existsSync(file));

/**
 * Opens a page.
 * @param {string} url
 * @param {{ width: number, height: number, scheme: 'light' | 'dark' }} look
 * @param {(page: import('playwright-core').Page, errors: string[]) => Promise<void>} body also gets the errors that
 *   the page reports
 */
async function browse(url, { width, height, scheme }, body) {
  const browser = await chromium.launch({ executablePath: found, args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
    const errors = [];
    page.on('pageerror', error => errors.push(error.message));
    await page.goto(url);
    await body(page, errors);
  } finally {
    await browser.close();
  }
}

module.exports = { found, browse };
