// How long a caller is held in silence when the agent's browser is gone. Chromium tells an offscreen document nothing when it is
// closed, so nothing hangs up, and Twilio waits for as long as the client has asked it to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setPolicy } from './policy.mjs';
import { startWorld, until } from './world.mjs';

for (const holdSeconds of [1, 5]) {
  test(`"the agent closed the browser": the caller is held for the ${holdSeconds} s of the policy`, { timeout: 120_000, skip: setPolicy.impossible }, async (t) => {
    const settings = await setPolicy();
    let world;
    try {
      world = await startWorld({ policy: (id) => settings.write(id, { holdSeconds }) });
      const page = await world.openFlex();
      await world.registered(page);
      const sid = await world.answered(page);
      const at = Date.now();
      await world.context.close();
      // Sooner than the 30 s that are asked for without a policy.
      const { reason } = await until('the end of the call', async () => {
        const s = await world.stats(sid);
        return s.state === 'ended' && s;
      }, 20_000);
      assert.equal(reason, 'lost');
      t.diagnostic(`free ${((Date.now() - at) / 1000).toFixed(1)} s after the browser was closed`);
    } finally {
      await world?.stop();
      await settings.remove();
    }
  });
}
