'use strict';

// A headless Chromium, driven through its debugging protocol. Where there is none, `found` is undefined.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { WebSocket } = require('ws');

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];

/** The browser's program: what CHROMIUM names, or what the PATH has. */
const found =
  process.env.CHROMIUM ??
  process.env.PATH.split(path.delimiter)
    .flatMap(folder => NAMES.map(name => path.join(folder, name)))
    .find(file => fs.existsSync(file));

/** How long a page has to become what a test expects, in ms. */
const PATIENCE = 20_000;

/** One page of a browser of its own. */
class Page {
  /** @type {string[]} errors that the page has reported */
  errors = [];

  #socket;
  #ids = 0;
  #answers = new Map();

  constructor(socket) {
    this.#socket = socket;
    socket.on('message', text => {
      const { id, method, params, result, error } = JSON.parse(text);
      if (method === 'Runtime.exceptionThrown') this.errors.push(params.exceptionDetails.text);
      this.#answers.get(id)?.(error ? Promise.reject(new Error(error.message)) : result);
      this.#answers.delete(id);
    });
  }

  /** One command of the protocol. */
  command(method, params = {}) {
    const id = ++this.#ids;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise(resolve => this.#answers.set(id, resolve));
  }

  /** What an expression is, once that is no longer falsy, or when the time is up. */
  async value(expression) {
    const body = `new Promise(resolve => {
      const end = performance.now() + ${PATIENCE};
      const look = () => {
        const value = ${expression};
        if (value || performance.now() > end) resolve(value);
        else requestAnimationFrame(look);
      };
      look();
    })`;
    const { result } = await this.command('Runtime.evaluate', {
      expression: body,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    return result.value;
  }

  /** @returns {Promise<Buffer>} a PNG */
  async screenshot() {
    const { data } = await this.command('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }
}

/**
 * Opens a page.
 * @param {string} url
 * @param {{ width: number, height: number, scheme: 'light' | 'dark' }} look
 * @param {(page: Page) => Promise<void>} body
 */
async function browse(url, { width, height, scheme }, body) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-browser-'));
  const options = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--hide-scrollbars',
    '--remote-debugging-port=0',
  ];
  const child = spawn(found, [...options, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // A process group of its own: a browser is many processes.
    detached: true,
  });
  const closed = once(child, 'close');
  try {
    const browser = new URL(await endpoint(child));
    const targets = await (await fetch(`http://${browser.host}/json/list`)).json();
    const { webSocketDebuggerUrl } = targets.find(({ type }) => type === 'page');
    const socket = new WebSocket(webSocketDebuggerUrl);
    await once(socket, 'open');
    const page = new Page(socket);
    await page.command('Runtime.enable');
    await page.command('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await page.command('Emulation.setEmulatedMedia', { features });
    await page.command('Page.navigate', { url });
    await body(page);
  } finally {
    process.kill(-child.pid, 'SIGKILL');
    // They all have its stderr: when that closes, none is left to write to the profile.
    child.stderr.resume();
    await closed;
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

/** The address that a browser says it can be driven at. */
async function endpoint(child) {
  let said = '';
  for await (const chunk of child.stderr.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    said += chunk;
    const [, url] = said.match(/DevTools listening on (\S+)/) ?? [];
    if (url) {
      child.stderr.resume();
      return url;
    }
  }
  throw new Error(`the browser did not start:\n${said}`);
}

module.exports = { found, browse };
