'use strict';

// What index.d.ts says in words, and what is made from it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const ts = require('typescript');
const { declarations, isListening, page, OUTPUT } = require('../../scripts/api-docs');
const differences = require('../../scripts/differences');

/** The types of which each member must carry these tags. */
const TAGS = {
  Cluster: ['since'],
  Worker: ['since'],
  ClusterEventMap: ['since'],
  WorkerEventMap: ['since'],
  ClusterSettings: ['since', 'default'],
};

/** What the ES module's types export: the names of values, and of types. */
function exportsOfModule() {
  const source = fs.readFileSync(path.join(__dirname, '..', '..', 'index.d.mts'), 'utf8');
  const { statements } = ts.createSourceFile('index.d.mts', source, ts.ScriptTarget.Latest);
  const values = statements.filter(ts.isVariableStatement).map(node => node.declarationList.declarations[0]);
  const types = statements.filter(ts.isTypeAliasDeclaration);
  const names = nodes => nodes.map(node => node.name.text).sort();
  return { values: names(values), types: names(types) };
}

test('every declaration and every member is described', () => {
  const { object, types } = declarations();
  const all = [object, ...types].flatMap(type => [
    type,
    ...type.members.map(member => ({ ...member, of: type.name })),
  ]);
  assert.ok(all.length > 80, `${all.length} declarations`);
  const silent = all.filter(({ text }) => !/\w/.test(text)).map(({ of, name }) => `${of}.${name}`);
  assert.deepEqual(silent, []);
});

test('every member tells since when, and every setting its default', () => {
  const { types } = declarations();
  const missing = Object.entries(TAGS).flatMap(([name, tags]) => {
    const { members } = types.find(type => type.name === name);
    assert.ok(members.length > 0, name);
    const own = members.filter(member => !isListening(member));
    const has = (member, tag) => member.tags.some(([found, text]) => found === tag && text);
    return own.flatMap(member =>
      tags.filter(tag => !has(member, tag)).map(tag => `${name}.${member.name}: @${tag}`),
    );
  });
  assert.deepEqual(missing, []);
});

test('docs/api.md is what `npm run docs` writes', () => {
  assert.equal(fs.readFileSync(OUTPUT, 'utf8'), page());
});

test('docs/differences.md is what `npm run docs` writes', () => {
  assert.equal(fs.readFileSync(differences.OUTPUT, 'utf8'), differences.page());
});

test('the ES module exports the values, and the types, that index.d.mts declares', async () => {
  const { values, types } = exportsOfModule();
  const loaded = Object.keys(await import('rust-cluster'));
  const shown = loaded.filter(name => name !== 'default' && !name.startsWith('_'));
  assert.deepEqual(values, shown.sort());
  const declared = declarations().types.map(({ name }) => name);
  assert.deepEqual(types, declared.sort());
});
