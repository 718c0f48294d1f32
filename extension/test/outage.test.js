// A token endpoint that is out of order for ten minutes in a call, on a virtual clock: the machine with its timers and fetches,
// and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initial, reduce } from '../app/background/machine.js';

const [second, minute] = [1000, 60_000];
const outage = 10 * minute;
const account = `AC${'0'.repeat(32)}`;

/** Runs the machine until a moment: every timer and every answer in its turn. */
function simulate({ life, from, failure, luck }) {
  let now = 0;
  let state = { ...initial(), consents: [`${account} https://voice.example.com`] };
  let queue = [];
  const effects = [];
  const log = { fetches: [], failures: 0, lines: new Set(), recovered: null };
  const at = (time, event) => queue.push({ time, event });

  function answer(number) {
    const out = now >= from && now < from + outage;
    log.fetches.push(now);
    if (out) log.failures += 1;
    else if (now >= from + outage) log.recovered ??= now;
    at(now + 50, out ? { name: 'tokenFetchFailed', number, reason: failure } : { name: 'tokenFetched', number, token: `voice-${now}`, identity: 'ext_alice', expiresAt: now + 50 + life });
  }

  function happen(event) {
    const step = reduce(state, { ...event, at: now, luck: luck() });
    state = step.state;
    for (const effect of step.effects) {
      effects.push(effect.do);
      if (effect.do === 'fetchToken') answer(effect.number);
      if (effect.do === 'register') at(now + 100, { name: 'lineRegistered' });
      // Twilio will not have a token that is over.
      if (effect.do === 'register' || effect.do === 'updateToken') {
        queue = queue.filter(({ event }) => event.name !== 'lineRefused');
        at(state.voiceToken.expiresAt, { name: 'lineRefused' });
      }
      if (effect.do === 'clearTimer' || effect.do === 'setTimer') queue = queue.filter(({ timer }) => timer !== effect.timer);
      if (effect.do === 'setTimer') queue.push({ time: now + effect.ms, timer: effect.timer, event: { name: `${effect.timer}Due` } });
    }
    if (state.call) log.lines.add(state.line);
  }

  function until(time) {
    for (;;) {
      queue.sort((a, b) => a.time - b.time);
      if (!queue.length || queue[0].time > time) break;
      const next = queue.shift();
      now = next.time;
      happen(next.event);
    }
    now = time;
  }

  happen({ name: 'workerStarted', document: false });
  happen({ name: 'pageConnected', page: 'page1' });
  happen({ name: 'pageConfigured', page: 'page1', account, tokenURL: 'https://voice.example.com/generateToken', prefix: 'ext_' });
  happen({ name: 'flexTokenGiven', page: 'page1', token: 'flex', account, expiresAt: null });
  until(second);
  happen({ name: 'callInvited', callSid: 'CA1', connectToken: 'connect', from: '+15550100' });
  happen({ name: 'callChanged', call: { ...state.call, status: 'open', startedAt: now }, onHold: [] });
  effects.length = 0;
  until(from + outage + 2 * minute + life);
  return { ...log, state, effects };
}

/** Numbers that look random and are the same each time. */
function dice(seed) {
  let x = seed;
  return () => (x = (x * 16807) % 2147483647) / 2147483647;
}

for (const failure of ['token_server_unreachable', 'token_server_error', 'token_server_nonsense', 'flex_token_refused']) {
  for (const [name, life] of [['an hour', 60 * minute], ['twenty-five minutes', 25 * minute], ['five minutes', 5 * minute], ['25 seconds', 25 * second]]) {
    test(`ten minutes of ${failure}, with voice tokens of ${name}: the call stays, and the line comes back by itself`, () => {
      // The outage begins at every tenth of a token's life.
      for (let tenth = 0; tenth < 10; tenth += 1) {
        const from = 2 * second + (tenth * life) / 10;
        const { state, effects, lines, failures, recovered } = simulate({ life, from, failure, luck: dice(tenth + 1) });
        assert.equal(state.call?.status, 'open');
        assert.deepEqual(effects.filter((effect) => ['hangUp', 'closeDocument', 'rejectInvite', 'reconnectPages'].includes(effect)), []);
        assert.equal(state.line, 'registered');
        // A token that is renewed at half its life and lives twice as long as the outage is never over.
        if (life > 2 * outage) assert.deepEqual([...lines], ['registered']);
        else assert.ok(lines.has('fetching') || lines.has('wanting'));
        assert.equal(state.problem, null);
        if (life < outage) assert.ok(failures > 0);
        // By itself, and soon: patience never exceeds half a minute with its jitter, unless a token still serves.
        if (life < outage) assert.ok(recovered - (from + outage) <= 33 * second, `${(recovered - from - outage) / second} s after the endpoint was back`);
        assert.ok(recovered !== null && state.voiceToken.expiresAt > from + outage);
      }
    });
  }
}
