'use strict';

// Writes docs/api.md from the comments of index.d.ts: `npm run docs`. A test fails where the two differ.

const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');

const root = path.join(__dirname, '..');
const SOURCE = path.join(root, 'index.d.ts');
const OUTPUT = path.join(root, 'docs', 'api.md');

/**
 * @typedef {object} Documented
 * @property {string} name
 * @property {string[]} signatures as they stand in the source, on one line each
 * @property {string} text
 * @property {[tag: string, text: string][]} tags
 * @property {Documented[]} members
 */

/** What the file declares: the cluster object, and the types of its namespace. */
function declarations() {
  const file = ts.createSourceFile(SOURCE, fs.readFileSync(SOURCE, 'utf8'), ts.ScriptTarget.Latest, true);
  const object = file.statements.find(ts.isVariableStatement);
  const { body } = file.statements.find(ts.isModuleDeclaration);
  const interfaces = new Map(
    body.statements.filter(ts.isInterfaceDeclaration).map(node => [node.name.text, node]),
  );
  const split = new Set();
  const types = body.statements.map(node => {
    const base = ts.isInterfaceDeclaration(node) && !node.members.length && baseOf(node, interfaces);
    if (base) split.add(base.name.text);
    return {
      ...documented(node.name.text, [node]),
      signatures: ts.isTypeAliasDeclaration(node) ? [oneLine(node)] : [],
      members: membersOf(base || node),
    };
  });
  return { object: documented('cluster', [object]), types: types.filter(({ name }) => !split.has(name)) };
}

/** The interface of this file that another one only gives a name to. */
function baseOf(node, interfaces) {
  const [clause] = node.heritageClauses ?? [];
  return clause && interfaces.get(clause.types[0].expression.getText());
}

/** The members of a type, overloads together. */
function membersOf(node) {
  const overloads = new Map();
  for (const member of node.members ?? []) {
    const name = member.name.getText();
    overloads.set(name, [...(overloads.get(name) ?? []), member]);
  }
  return [...overloads].map(([name, nodes]) => documented(name, nodes));
}

/** @returns {Documented} */
function documented(name, nodes) {
  const comments = nodes.flatMap(node => node.jsDoc ?? []);
  return {
    name,
    signatures: nodes.map(oneLine),
    text: comments.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '').join('\n\n'),
    tags: comments.flatMap(({ tags = [] }) => tags.map(tag => [tag.tagName.text, textOf(tag)])),
    members: [],
  };
}

function textOf(tag) {
  const text = ts.getTextOfJSDocComment(tag.comment) ?? '';
  return ts.isJSDocParameterTag(tag) ? `\`${tag.name.getText()}\`: ${text}` : text;
}

function oneLine(node) {
  return node
    .getText()
    .replace(/\s+/g, ' ')
    .replace(/([([]) /g, '$1')
    .replace(/,? ([)\]])/g, '$1')
    .replace('= | ', '= ')
    .replace(/;$/, '');
}

/** How a tag reads. */
const TAGS = {
  param: text => `- ${text}`,
  returns: text => `Returns ${text}.`,
  default: text => `Default: ${text}.`,
  deprecated: text => `Deprecated ${text}.`,
  since: text => `Since ${text}.`,
};

function markdown({ name, signatures, text, tags, members }, level = 2) {
  const paragraphs = [`${'#'.repeat(level)} ${name}`];
  if (signatures.length) paragraphs.push(['```ts', ...signatures, '```'].join('\n'));
  paragraphs.push(text, ...tags.map(([tag, said]) => TAGS[tag](said)));
  const [listening, own] = [members.filter(isListening), members.filter(member => !isListening(member))];
  paragraphs.push(...own.map(member => markdown(member, level + 1)));
  if (listening.length) {
    const names = listening.map(member => `\`${member.name}\``).join(', ');
    paragraphs.push(
      `${'#'.repeat(level + 1)} Methods of an EventEmitter`,
      `${names}: they know the events' types.`,
    );
  }
  return paragraphs.filter(Boolean).join('\n\n');
}

/** Whether every EventEmitter has it: those differ in their types only. */
function isListening({ name }) {
  return name in EventEmitter.prototype;
}

const HEAD = `# API

Written by \`npm run docs\` from [\`index.d.ts\`](../index.d.ts): change it there. What Node has as well tells the
version of Node that brought it.`;

/** The whole page. The file declares what it uses first; a reader starts at the other end. */
function page() {
  const { object, types } = declarations();
  const parts = [{ ...object, signatures: [] }, ...types.reverse()].map(part => markdown(part));
  const text = [HEAD, ...parts].join('\n\n');
  return `${text.replace(/\{@link ([\w.]+)\}/g, '`$1`')}\n`;
}

module.exports = { declarations, isListening, page, OUTPUT };

if (require.main === module) fs.writeFileSync(OUTPUT, page());
