// How long a caller is held in silence when the agent's phone is gone. Where it can, the extension says goodbye, at once or in its
// next life. Where nothing is told to it, Twilio waits for as long as the client has asked it to. A browser that ends leaves the
// extension some hundredths of a second, which nothing guarantees: bench-goodbye.mjs counts how often they are enough.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setPolicy } from './policy.mjs';
import { startWorld, until } from './world.mjs';

/** A world with a call, and its end: by whom, and how long after. */
async function held(t, what, happens, wanted = {}) {
  const world = await startWorld(wanted);
  try {
    const page = await world.openFlex();
    await world.registered(page);
    await world.developerMode();
    const sid = await world.answered(page);
    const at = Date.now();
    await happens(world, page);
    const { reason } = await until('the end of the call', async () => {
      const s = await world.stats(sid);
      return s.state === 'ended' && s;
    }, 25_000); // sooner than the 30 s that are asked for without a policy
    t.diagnostic(`free ${((Date.now() - at) / 1000).toFixed(1)} s after ${what}`);
    return reason;
  } finally {
    await world.stop();
  }
}

const each = { timeout: 120_000 };

test('"it was the end of my shift, and I closed the last window": the caller is hung up on at once', each, async (t) => {
  const close = async (world) => {
    const worker = await world.background();
    await worker.evaluate(async () => Promise.all((await chrome.windows.getAll()).map(({ id }) => chrome.windows.remove(id))));
  };
  assert.equal(await held(t, 'the last window was closed', close), 'agent');
});

test('"one of my windows was in the way": the call goes on', each, async () => {
  const world = await startWorld();
  try {
    const page = await world.openFlex();
    await world.registered(page);
    const sid = await world.answered(page);
    const worker = await world.background();
    await worker.evaluate(async () => {
      const other = await chrome.windows.create({});
      await chrome.windows.remove(other.id);
    });
    const s = await world.heardMore(sid, 50);
    assert.equal(s.state, 'in-progress');
    await world.hangUp(page, sid);
  } finally {
    await world.stop();
  }
});

test('"they told me to reload the extension": the caller is not held', each, async (t) => {
  const reload = async (world) => {
    const worker = await world.background();
    worker.evaluate(() => chrome.runtime.reload()).catch(() => {});
  };
  assert.equal(await held(t, 'the extension was reloaded', reload), 'agent');
});

for (const holdSeconds of [1, 5]) {
  test(`"Windows shut down": the caller is held for the ${holdSeconds} s of the policy`, { ...each, skip: setPolicy.impossible }, async (t) => {
    const settings = await setPolicy();
    try {
      const end = (world) => world.killBrowser();
      assert.equal(await held(t, 'the browser was killed', end, { policy: (id) => settings.write(id, { holdSeconds }) }), 'lost');
    } finally {
      await settings.remove();
    }
  });
}
