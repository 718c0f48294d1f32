import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPatience } from '../app/shared/patience.js';

const after = (...answers) => {
  const patience = createPatience();
  for (const ms of answers) patience.learn(ms);
  return patience.now();
};

test('little is known yet: no link is given up within a second', () => {
  assert.equal(after(), 1_500);
  assert.equal(after(20), 1_000);
  assert.equal(after(20, 20, 20, 20), 1_000);
  assert.equal(after(400), 3_200);
});

test('a fast link is given up soon, a slow one is given its time', () => {
  assert.equal(after(20, 20, 20, 20, 20), 500);
  assert.equal(after(100, 110, 120, 110, 110), 880);
  assert.equal(after(400, 410, 420), 3_280);
  assert.equal(after(3_000, 3_000, 3_000), 5_000, 'and no link more than five seconds');
});

test('one answer that came late is remembered for a minute', () => {
  const patience = createPatience();
  for (const ms of [20, 20, 20, 20, 700]) patience.learn(ms);
  assert.equal(patience.now(), 2_100);
  for (let i = 0; i < 60; i += 1) patience.learn(20);
  assert.equal(patience.now(), 500);
});
