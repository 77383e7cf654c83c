'use strict';

// The page of http.js in a browser. SCREENSHOTS=FOLDER keeps what it looks like there.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { browse, found } = require('../support/browser');
const { example, COUNT } = require('./example');

const skip = !found && 'there is no Chromium on the PATH';
for (const scheme of ['light', 'dark']) {
  test(`http.js: the page shows the spread in a browser, ${scheme}`, { skip }, () =>
    example('http.js', {}, (program, port) =>
      browse(`http://127.0.0.1:${port}/`, { width: 720, height: 400, scheme }, async page => {
        const sum =
          "[...document.querySelectorAll('#bars b')].reduce((sum, { textContent }) => sum + +textContent, 0)";
        const before = await page.value(sum);
        await page.value("document.querySelector('button').click() ?? true");
        assert.ok((await page.value(`${sum} >= ${before + 200} && ${sum}`)) >= before + 200);

        const shown = await page.value(
          "[...document.querySelectorAll('#bars b')].map(({ textContent }) => +textContent)",
        );
        assert.equal(shown.length, COUNT);
        await program.lines(new RegExp(`connections so far: .*worker ${COUNT}: ${shown.at(-1)}\\b`));
        assert.match(await page.value('answer.textContent'), /^Hello from worker \d+ /);
        assert.deepEqual(page.errors, []);
        const { SCREENSHOTS } = process.env;
        if (SCREENSHOTS)
          fs.writeFileSync(path.join(SCREENSHOTS, `page-${scheme}.png`), await page.screenshot());
      }),
    ),
  );
}
