import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchVoiceToken, readAnswer } from '../app/background/token.js';

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
