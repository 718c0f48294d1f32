import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchVoiceToken, readAnswer, readRefusal } from '../app/background/token.js';

const claims = (values) => `header.${Buffer.from(JSON.stringify(values)).toString('base64url')}.signature`;
const at = 1_700_000_000_000;
const request = { url: 'https://voice.example.com/generateToken', prefix: 'ext_', flexToken: 'not-a-real-flex-token' };

/** @param {(url: string, init: any) => Promise<Response>} fetch */
const run = (fetch) => fetchVoiceToken(request, { fetch, now: () => at });
const answering = (status, body, headers = {}) => run(async () => new Response(body, { status, headers }));

test('the Flex token travels in the body of a POST, and nowhere else', async () => {
  let seen;
  await run(async (url, init) => {
    seen = { url, ...init };
    return new Response('{}');
  });
  assert.equal(seen.url, request.url);
  assert.equal(seen.method, 'POST');
  assert.equal(String(seen.body), 'Token=not-a-real-flex-token&VoiceClientPrefix=ext_');
  assert.deepEqual([seen.redirect, seen.credentials, seen.referrerPolicy, seen.cache], ['error', 'omit', 'no-referrer', 'no-store']);
  assert.equal(seen.headers, undefined, 'no header makes the browser ask the server beforehand');
  assert.ok(seen.signal instanceof AbortSignal, 'a server that never answers is given up');
});

test('a good answer, with the life the server states', async () => {
  const token = claims({ iat: 1, exp: 3601 });
  assert.deepEqual(await answering(200, JSON.stringify({ identity: 'ext_alice', token, ttl: 60 })), {
    ok: true, token, identity: 'ext_alice', expiresAt: at + 60_000,
  });
});

test('an answer of the original token service, without ttl, is read from the token', () => {
  // This machine's clock may be wrong by years; iat and exp come from one clock.
  assert.equal(readAnswer(JSON.stringify({ identity: 'i', token: claims({ iat: 100, exp: 700 }) }), at).expiresAt, at + 600_000);
});

test('a lifetime is never believed beyond a day', () => {
  assert.equal(readAnswer(JSON.stringify({ identity: 'i', token: claims({}), ttl: 1e9 }), at).expiresAt, at + 86_400_000);
});

test('nonsense is not taken for a token', () => {
  const token = claims({ iat: 1, exp: 3601 });
  const answers = ['', 'null', '[]', '<html>', '{}', '7', JSON.stringify({ token }), JSON.stringify({ identity: 'i' }),
    JSON.stringify({ identity: '', token }), JSON.stringify({ identity: 7, token }), JSON.stringify({ identity: 'i', token: 'one.two' }),
    JSON.stringify({ identity: 'i', token: 'a.b.c' }), JSON.stringify({ identity: 'i', token, ttl: -5 }),
    JSON.stringify({ identity: 'i', token: claims({ exp: 1 }) })];
  for (const answer of answers) assert.deepEqual(readAnswer(answer, at), { ok: false, reason: 'token_server_nonsense' }, answer);
});

test('each failure has its name', async () => {
  assert.deepEqual(await run(() => Promise.reject(new TypeError('Failed to fetch'))), { ok: false, reason: 'token_server_unreachable' });
  for (const status of [401, 403]) assert.equal((await answering(status, '')).reason, 'flex_token_refused');
  for (const status of [400, 404, 429, 500, 503]) assert.equal((await answering(status, '')).reason, 'token_server_error');
  assert.equal((await answering(503, '', { 'Retry-After': '7' })).retryAfterMs, 7_000);
  assert.equal((await answering(503, '', { 'Retry-After': new Date(at + 9_000).toUTCString() })).retryAfterMs, 9_000);
  assert.equal((await answering(503, '', { 'Retry-After': 'soon' })).retryAfterMs, undefined);
  assert.equal((await answering(200, 'x'.repeat(70_000))).reason, 'token_server_nonsense');
});

test('a refusal keeps what helps: code, sentence and the name of the request', async () => {
  const problem = {
    type: 'urn:flexvc:problem:role-missing', title: 'Forbidden', status: 403, code: 'role-missing',
    detail: 'the agent has none of the required roles', requestId: '7Q2M4XYZ',
  };
  const refusal = { status: 403, code: 'role-missing', message: 'the agent has none of the required roles', requestId: '7Q2M4XYZ' };
  assert.deepEqual(await answering(403, JSON.stringify(problem)), { ok: false, reason: 'flex_token_refused', refusal });
  const busy = await answering(503, JSON.stringify({ ...problem, code: 'validator-timeout' }), { 'Retry-After': '7' });
  assert.deepEqual(busy, { ok: false, reason: 'token_server_error', retryAfterMs: 7_000, refusal: { ...refusal, status: 503, code: 'validator-timeout' } });
});

test('other servers refuse in other words', () => {
  const nothing = { status: 403, code: null, message: null, requestId: null };
  for (const text of ['', 'Token is invalid', '<html>', 'null', '[]', '7', '"text"']) assert.deepEqual(readRefusal(403, text), nothing, text);
  assert.deepEqual(readRefusal(403, '{"code":20003,"message":"Authenticate"}', 'RQ1'), { status: 403, code: '20003', message: 'Authenticate', requestId: 'RQ1' });
  assert.deepEqual(readRefusal(403, JSON.stringify({ code: { a: 1 }, message: ['x'], requestId: 'a b' }), 'a<b>'), nothing);
});

test('a server that repeats the token does not bring it to the screen', () => {
  const token = 'eyJhbGciOiJub25lIn0.'.repeat(4);
  const shown = readRefusal(403, JSON.stringify({ code: token, message: `cannot verify ${token}`, detail: token, requestId: token }), token);
  assert.deepEqual(shown, { status: 403, code: null, message: null, requestId: null });
  const controls = readRefusal(403, JSON.stringify({ detail: 'red \u001b[31m', message: 'turned \u202e round' }));
  assert.equal(controls.message, null);
  assert.equal(readRefusal(403, JSON.stringify({ message: 'x '.repeat(200) })).message, null, 'a sentence, not a page');
  assert.equal(readRefusal(403, JSON.stringify({ code: 'a', pad: 'x'.repeat(70_000) })).code, null);
});
