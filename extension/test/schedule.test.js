import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilNextFetch } from '../app/background/schedule.js';

const hour = 3_600_000;
const token = { issuedAt: 0, expiresAt: hour };

test('the first renewal is at half life, or up to a tenth of that earlier', () => {
  for (const luck of [0, 0.5, 0.999]) {
    const ms = untilNextFetch(token, { at: 0, luck, failures: 0 });
    assert.ok(ms <= hour / 2 && ms >= 0.9 * (hour / 2), `${ms}`);
  }
});

test('after half life each wait is a tenth of what is left, until the token is gone and beyond', () => {
  let at = hour / 2;
  const waits = [];
  for (let failures = 1; failures <= 80; failures++) {
    const ms = untilNextFetch(token, { at, luck: 0.5, failures });
    if (at < hour) assert.equal(ms, Math.min(300_000, Math.max(1_000, Math.round((hour - at) / 10))));
    else assert.ok(ms >= 1_000 && ms <= 30_000, `${ms}`);
    waits.push(ms);
    at += ms;
  }
  assert.ok(at > hour, 'it goes on after the token has expired');
  assert.ok(waits.filter((_, i) => i < 30).length === 30, 'many attempts while the old token still serves');
});

test('a voice token of 25 seconds is renewed well before it ends', () => {
  const ms = untilNextFetch({ issuedAt: 0, expiresAt: 25_000 }, { at: 0, luck: 0.5, failures: 0 });
  assert.ok(ms > 10_000 && ms <= 12_500, `${ms}`);
});

test('without a token the waits double from one second to thirty, spread by luck', () => {
  const waits = [0, 1, 2, 3, 4, 5, 6, 7, 50].map((failures) => untilNextFetch(null, { at: 0, luck: 0.5, failures }));
  assert.deepEqual(waits, [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  assert.notEqual(untilNextFetch(null, { at: 0, luck: 0, failures: 5 }), untilNextFetch(null, { at: 0, luck: 0.9, failures: 5 }));
});

test('a server that asks for patience gets it, up to a minute', () => {
  assert.equal(untilNextFetch(null, { at: 0, luck: 0.5, failures: 1, retryAfterMs: 20_000 }), 20_000);
  assert.equal(untilNextFetch(null, { at: 0, luck: 0.5, failures: 1, retryAfterMs: 86_400_000 }), 60_000);
});

test('a timer never overflows what setTimeout can hold', () => {
  const ms = untilNextFetch({ issuedAt: 0, expiresAt: 100 * 24 * hour }, { at: 0, luck: 0.5, failures: 0 });
  assert.ok(ms <= 2 ** 31 - 1, `${ms}`);
});
