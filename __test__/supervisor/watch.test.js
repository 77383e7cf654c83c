'use strict';

// --watch: what the workers have loaded changes, and they are replaced; a syntax error leaves them as they are.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');
const { Child } = require('../support/child');
const { get } = require('../support/http');
const way = require('../support/way');
const command = require('./command');

const PROGRAM = path.join(__dirname, 'programs', 'watching.js');

/** A supervisor that watches; what it reports. */
class Watching extends Child {
  reports = [];
  stderr = [];

  constructor(folder, options) {
    super([PROGRAM], {
      env: { OPTIONS: JSON.stringify({ exec: path.join(folder, 'app.js'), workers: 2, ...options }) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.take(this.process.stdout, line => this.reports.push(JSON.parse(line)));
    this.take(this.process.stderr, line => this.stderr.push(line));
    this.process.once('exit', (...end) => this.fail(`it ended (${end})`));
  }

  /** The n-th report of a kind. */
  report(event, place = 0) {
    return this.until(`${event} ${place}`, () => this.reports.filter(each => each.event === event)[place]);
  }

  story() {
    return [...this.reports.map(each => JSON.stringify(each)), ...this.stderr].join('\n');
  }
}

const APP = `require('node:http')
  .createServer((_, response) => response.end(require('./text')))
  .listen(0, '127.0.0.1');`;

/** What an editor does: a new file takes the place of the old one. */
function write(folder, name, text) {
  fs.writeFileSync(path.join(folder, `.${name}.tmp`), text);
  fs.renameSync(path.join(folder, `.${name}.tmp`), path.join(folder, name));
}

async function withProgram(options, files, body) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'watch-'));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  const watch = Array.isArray(options.watch)
    ? options.watch.map(each => path.join(folder, each))
    : options.watch;
  const program = new Watching(folder, { ...options, watch });
  try {
    const { addresses } = await program.report('all-ready');
    await body(program, folder, Number(addresses[0].split(':').at(-1)));
  } finally {
    await program.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const skip = way === 'node' && "Node's cluster watches nothing";

describe('--watch', { skip }, () => {
  test('a module that the workers have loaded changes', async () => {
    const files = {
      'app.js': `require('./text'); ${APP}`,
      'text.js': "module.exports = 'one'",
      'other.js': '',
    };
    await withProgram({ watch: true }, files, async (program, folder, port) => {
      assert.equal((await get(port)).body, 'one');
      // Nobody has loaded this one.
      write(folder, 'other.js', 'changed');
      write(folder, 'text.js', "module.exports = 'two'");
      const { files: changed } = await program.report('changed');
      assert.deepEqual(changed, [path.join(folder, 'text.js')]);
      await program.report('reload-done');
      assert.equal((await get(port)).body, 'two');
    });
  });

  test('a syntax error keeps the workers, says where it is, and is mended by the next change', async () => {
    const files = { 'app.js': `require('./text'); ${APP}`, 'text.js': "module.exports = 'one'" };
    await withProgram({ watch: true }, files, async (program, folder, port) => {
      write(folder, 'text.js', 'module.exports = {');
      await program.report('reload-failed');
      const { lines } = program.reports.find(({ event, lines }) => event === 'exited' && lines);
      assert.match(lines.join('\n'), /text\.js:1.*SyntaxError/s);
      assert.equal((await get(port)).body, 'one');
      write(folder, 'text.js', "module.exports = 'three'");
      await program.report('reload-done');
      assert.equal((await get(port)).body, 'three');
    });
  });

  test('modules of ES are known as well', async () => {
    const files = {
      'app.js': "import('./main.mjs')",
      'main.mjs': `import text from './text.mjs';
        import http from 'node:http';
        http.createServer((_, response) => response.end(text)).listen(0, '127.0.0.1');`,
      'text.mjs': "export default 'one'",
    };
    await withProgram({ watch: true }, files, async (program, folder, port) => {
      write(folder, 'text.mjs', "export default 'two'");
      await program.report('reload-done');
      assert.equal((await get(port)).body, 'two');
    });
  });

  test('folders that are named are watched, with those that come, and without node_modules', async () => {
    const files = {
      'app.js': "require('node:http').createServer((_, response) => response.end()).listen(0, '127.0.0.1')",
      'views/page.html': 'one',
      'views/node_modules/package/index.js': '',
    };
    await withProgram({ watch: ['views'] }, files, async (program, folder) => {
      const views = path.join(folder, 'views');
      write(path.join(views, 'node_modules', 'package'), 'index.js', 'changed');
      write(folder, 'app.js', `${files['app.js']}; // changed`);
      write(views, 'page.html', 'two');
      assert.deepEqual((await program.report('changed')).files, [path.join(views, 'page.html')]);
      await program.report('reload-done');
      fs.mkdirSync(path.join(views, 'new'));
      await program.report('reload-done', 1);
      write(path.join(views, 'new'), 'page.html', 'three');
      assert.deepEqual((await program.report('changed', 2)).files, [path.join(views, 'new', 'page.html')]);
      await program.report('reload-done', 2);
    });
  });

  test('the command reads the environment file anew when it changes', async t => {
    const cwd = command.folder(t, { 'app.js': command.SERVER, '.env': 'SAID=one' });
    const supervised = command.start(t, cwd, ['--watch', '--env-file', '.env', '-i', '2', 'app.js']);
    await supervised.port();
    write(cwd, '.env', 'SAID=two');
    const [{ files }] = await supervised.events('changed');
    assert.deepEqual(files, [path.join(cwd, '.env')]);
    await supervised.events('reload-done');
    const said = supervised.reports.filter(({ event }) => event === 'listening').at(-1).address;
    const { body } = await get(Number(said.split(':').at(-1)));
    assert.equal(JSON.parse(body).said, 'two');
  });
});
