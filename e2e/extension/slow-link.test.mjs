// A link that is slow and loses something is not one that is gone: what proves the sockets alive has to know the difference.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pause, startWorld } from './world.mjs';

test('"I work from the train, and the phone went red and green all day": 400 ms and 5 % loss for two minutes, and nothing flaps', { timeout: 300_000 }, async (t) => {
  const world = await startWorld();
  try {
    const page = await world.openFlex();
    await world.registered(page);
    await world.order('faults', { faults: { delay: 400e6, loss: 0.05 } });
    // Going from a fast link to a slow one may look like going to another.
    await pause(10_000);
    const since = Date.now();
    await page.evaluate(() => window.problems.splice(0));
    const first = (await world.order('events')).at(-1).number;
    await pause(120_000);
    const fired = await world.order('fired');
    t.diagnostic(`${fired.loss} of ${fired.delay} frames sent came late`);
    assert.ok(fired.loss > 5, JSON.stringify(fired));
    assert.deepEqual(await page.evaluate(() => window.problems), [], 'the heartbeat said the same all the time');
    const opened = (await world.order('events')).filter((e) => e.number > first && e.kind === 'socket.open');
    assert.deepEqual(opened, [], `no socket was given up in ${Date.now() - since} ms`);
    await world.answered(page);
  } finally {
    await world.stop();
  }
});
