import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unhurried } from '../app/shared/insights.js';

test('reports to Insights go out later, with their answer; all else goes at once', async () => {
  const sent = [];
  const timers = [];
  const fetch = unhurried(async (url, init) => (sent.push([url, init?.body]), `answer to ${url}`), (task, ms) => timers.push({ task, ms }));
  const report = fetch('https://eventgw.us1.twilio.com/v4/EndpointEvents', { method: 'POST', body: 'a step' });
  assert.equal(await fetch('https://tokens.example.com/generateToken', { body: 'a token' }), 'answer to https://tokens.example.com/generateToken');
  assert.deepEqual(sent, [['https://tokens.example.com/generateToken', 'a token']]);
  assert.deepEqual(timers.map(({ ms }) => ms), [2_000]);
  timers[0].task();
  assert.equal(await report, 'answer to https://eventgw.us1.twilio.com/v4/EndpointEvents');
  assert.deepEqual(sent.at(-1), ['https://eventgw.us1.twilio.com/v4/EndpointEvents', 'a step']);
});

test('a report that fails, fails for the SDK', async () => {
  const fetch = unhurried(() => Promise.reject(new TypeError('Failed to fetch')), (task) => task());
  await assert.rejects(fetch('https://eventgw.twilio.com/v4/EndpointEvents'), TypeError);
});
