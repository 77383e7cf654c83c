'use strict';

// The page of http.js in a browser. SCREENSHOTS=FOLDER keeps what it looks like there.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { browse, found } = require('../support/browser');
const { example, COUNT } = require('./example');

const skip = !found && 'there is no Chromium on the PATH';
const { SCREENSHOTS } = process.env;

/** The counts of the bars, once they sum up to at least so many. */
async function counts(page, least) {
  const bars = page.locator('#bars b');
  await page.waitForFunction(
    sum =>
      [...document.querySelectorAll('#bars b')].reduce((all, b) => all + Number(b.textContent), 0) >= sum,
    least,
  );
  return (await bars.allTextContents()).map(Number);
}

const sum = numbers => numbers.reduce((all, number) => all + number, 0);

for (const scheme of ['light', 'dark']) {
  test(`http.js: the page shows the spread in a browser, ${scheme}`, { skip }, () =>
    example('http.js', {}, (program, port) =>
      browse(`http://127.0.0.1:${port}/`, { width: 720, height: 440, scheme }, async (page, errors) => {
        const before = sum(await counts(page, 1));
        await page.getByRole('button', { name: '200 connections' }).click();
        const shown = await counts(page, before + 200);
        assert.equal(shown.length, COUNT);
        await program.lines(new RegExp(`connections so far: .*worker ${COUNT}: ${shown.at(-1)}\\b`));
        assert.match(await page.getByText(/^Hello from worker \d+ /).textContent(), /\(pid \d+\)/);
        if (SCREENSHOTS) {
          fs.mkdirSync(SCREENSHOTS, { recursive: true });
          await page.screenshot({ path: path.join(SCREENSHOTS, `page-${scheme}.png`) });
        }
        assert.deepEqual(errors, []);
      }),
    ),
  );
}

test('http.js: the page says that the primary is blocked, and when it is back', { skip }, () =>
  example('http.js', { env: { BLOCK: 1 } }, (program, port) =>
    browse(
      `http://127.0.0.1:${port}/`,
      { width: 360, height: 640, scheme: 'light' },
      async (page, errors) => {
        const status = page.getByRole('status');
        await counts(page, 1);
        await page.getByRole('button', { name: 'Block the primary' }).click();
        await status.getByText(/the primary is blocked/i).waitFor();
        await program.lines(/the primary is back$/);
        await status.getByText(/^\d+ connections, \d+ workers$/).waitFor();
        const { height } = await page.getByRole('button', { name: 'Crash a worker' }).boundingBox();
        assert.ok(height >= 44, `a button is ${height} pixels high: a thumb needs 44`);
        assert.deepEqual(errors, []);
      },
    ),
  ),
);
