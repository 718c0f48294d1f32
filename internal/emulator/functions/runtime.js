// Twilio's runtime for Functions, as far as the emulator has it: one process for one invocation. The job is a line of
// JSON on standard input; what comes back are lines of JSON on standard output: {started}, {log, level}, {reply}.
'use strict';

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const querystring = require('node:querystring');
const util = require('node:util');
const zlib = require('node:zlib');
const { Worker } = require('node:worker_threads');

const { network } = require('./network.js');

const withoutPackages = 'the emulator runs Functions without npm packages';

function say(line) {
  let rest = Buffer.from(JSON.stringify(line) + '\n');
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') process.exit(1); // nobody is left to tell
    }
  }
}

function reply(status, headers, body = '') {
  say({ reply: { status, headers, body: Buffer.from(body).toString('base64') } });
  process.exit(0); // what the Function left running ends with its answer, as at Twilio
}

// What a Function finds ------------------------------------------------------------------------------------------

class Response {
  constructor({ statusCode = 200, body = null, headers = {} } = {}) {
    this.statusCode = statusCode;
    this.body = body;
    this.setHeaders(headers);
  }
  setStatusCode(statusCode) {
    this.statusCode = statusCode;
    return this;
  }
  setBody(body) {
    this.body = body;
    return this;
  }
  setHeaders(headers) {
    this.headers = {};
    for (const [name, value] of Object.entries(headers ?? {})) this.appendHeader(name, value);
    return this;
  }
  appendHeader(name, value) {
    if (typeof value === 'object' && !Array.isArray(value)) throw new Error('Header value cannot be an object');
    const key = /^set-cookie$/i.test(name) ? 'Set-Cookie' : name;
    this.headers[key] = key in this.headers ? [this.headers[key], value].flat() : value;
    return this;
  }
  setCookie(name, value, attributes = []) {
    return this.appendHeader('Set-Cookie', [`${name}=${value}`, ...attributes].join(';'));
  }
  removeCookie(name) {
    const kept = [this.headers['Set-Cookie'] ?? []].flat().filter((cookie) => !cookie.startsWith(name + '='));
    this.headers['Set-Cookie'] = [...kept, `${name}=;Max-Age=0`];
    return this;
  }
}

function missing(what) {
  return () => {
    throw new Error(`${what} needs the npm package twilio, and ${withoutPackages}`);
  };
}

function globals(files) {
  global.Response = Response;
  global.Twilio = new Proxy({ Response }, {
    get: (target, name) => (name in target || typeof name === 'symbol' || name === 'then' ? target[name] : missing('Twilio.' + name)()),
  });
  const named = (kind, entry) => Object.fromEntries(files.filter((file) => file.kind === kind).map(entry));
  global.Runtime = {
    getFunctions: () => named('function', ({ path: at, file }) => [at.slice(1).replace(/\.js$/, ''), { path: file }]),
    getAssets: () => named('asset', ({ path: at, file }) => [at, { path: file, open: () => fs.readFileSync(file, 'utf8') }]),
    getSync: missing('Runtime.getSync'),
  };
}

function withoutModules() {
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (request, ...rest) {
    if (!/^\.{0,2}\//.test(request) && !path.isAbsolute(request) && !Module.isBuiltin(request)) {
      const error = new Error(`Cannot find module '${request}': ${withoutPackages}`);
      error.code = 'MODULE_NOT_FOUND';
      throw error;
    }
    return resolve.call(this, request, ...rest);
  };
}

function logs() {
  const log = (level) => (...args) => say({ log: util.format(...args), level });
  for (const [name, level] of Object.entries({ debug: 'debug', log: 'info', info: 'info', warn: 'warn', error: 'error' })) console[name] = log(level);
  for (const stream of [process.stdout, process.stderr]) {
    stream.write = (text, ...rest) => {
      say({ log: String(text).trimEnd(), level: 'info' });
      rest.find((f) => typeof f === 'function')?.();
      return true;
    };
  }
}

// The request ----------------------------------------------------------------------------------------------------

class Unreadable extends Error {
  constructor(status) {
    super();
    this.status = status;
  }
}

function readBody(bytes, headers) {
  const [type, ...parameters] = String([headers['content-type'] ?? ''].flat()[0]).split(';').map((part) => part.trim().toLowerCase());
  const json = type === 'application/json';
  if (bytes.length === 0 || !(json || type === 'application/x-www-form-urlencoded')) return {};
  const unpack = { identity: (b) => b, gzip: zlib.gunzipSync, deflate: zlib.inflateSync, br: zlib.brotliDecompressSync };
  const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase();
  if (!Object.hasOwn(unpack, encoding)) throw new Unreadable(415);
  const charset = parameters.find((part) => part.startsWith('charset='))?.slice(8).replaceAll('"', '') ?? 'utf-8';
  if (json ? !charset.startsWith('utf-') : charset !== 'utf-8') throw new Unreadable(415);
  try {
    const text = new TextDecoder(charset).decode(unpack[encoding](bytes, { maxOutputLength: 6 << 20 }));
    if (!json) return querystring.parse(text);
    const value = text === '' ? {} : JSON.parse(text);
    if (typeof value !== 'object' || value === null) throw new Unreadable(400);
    return value;
  } catch {
    throw new Unreadable(400);
  }
}

const hidden = /^(i-twilio-|i-t-|ot-|x-amz|x-forwarded-|x-accel-)|^(host|via|referer|transfer-encoding|proxy-authorization|proxy-authenticate|x-real-ip|connection|proxy-connection|expect|trailer|upgrade)$/;

function readHeaders(pairs) {
  const headers = {};
  for (const [name, value] of pairs) {
    const key = name.toLowerCase();
    if (hidden.test(key)) continue;
    headers[key] = Object.hasOwn(headers, key) ? [headers[key], value].flat() : value;
  }
  return headers;
}

function readCookies(header) {
  const cookies = {};
  for (const part of String(header ?? '').split(';')) {
    const [name, ...value] = part.split('=');
    if (value.length > 0) cookies[name.trim()] = querystring.unescape(value.join('=').trim());
  }
  return cookies;
}

// The invocation -------------------------------------------------------------------------------------------------

function answer(error, payload) {
  if (error) {
    const shown = error instanceof Error ? { message: error.message, name: error.name, stack: error.stack?.replaceAll(__dirname, '') } : error;
    say({ log: error instanceof Error ? shown.stack : util.format(error), level: 'error' });
    return reply(500, [['Content-Type', 'application/json']], JSON.stringify(shown));
  }
  let response = payload;
  if (!(payload instanceof Response)) {
    response = new Response({ body: payload ?? null });
    if (typeof payload === 'string') response.appendHeader('Content-Type', 'text/plain');
  }
  const headers = Object.entries(response.headers).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
  let { body } = response;
  let type = 'text/html; charset=utf-8';
  if (Buffer.isBuffer(body)) type = 'application/octet-stream';
  else if (body === null || body === undefined) body = '';
  else if (typeof body !== 'string') [body, type] = [JSON.stringify(body), 'application/json'];
  if (!headers.some(([name]) => /^content-type$/i.test(name))) headers.push(['Content-Type', type]);
  return reply(Number(response.statusCode), headers, body);
}

function run(job) {
  const headers = readHeaders(job.headers);
  let event;
  try {
    event = { ...querystring.parse(job.query), ...readBody(Buffer.from(job.body, 'base64'), headers) };
  } catch (error) {
    return reply(error.status ?? 400, [['Content-Type', 'text/plain']], 'The request body cannot be read\n');
  }
  if (job.headersShown) event = { request: { headers, cookies: readCookies(headers.cookie) }, ...event };
  const context = { ...job.context, getTwilioClient: missing('context.getTwilioClient') };
  Object.assign(process.env, job.context);
  globals(job.files);
  withoutModules();
  network(job.port);
  logs();
  // Should whoever started this be gone, and the Function busy, nothing else would end it.
  new Worker(`setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${2 * job.limit})`, { eval: true }).unref();
  say({ started: true });
  process.on('uncaughtException', (error) => answer(error));
  process.on('unhandledRejection', (error) => answer(error ?? new Error('a promise was rejected without a reason')));
  const { handler } = require(job.file);
  if (typeof handler !== 'function') throw new Error('the Function exports no handler');
  return handler(context, event, answer);
}

let input = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const end = text.indexOf('\n');
  input += end < 0 ? text : text.slice(0, end);
  if (end < 0) return;
  try {
    run(JSON.parse(input));
  } catch (error) {
    answer(error);
  }
});
process.stdin.on('end', () => process.exit(1)); // whoever asked is gone
