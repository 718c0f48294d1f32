// The death of the service worker, whatever it was doing, and its replacement by an update. The call is in neither, so it
// goes on; what has to come back is the registration, the page's and the popup's hold on the call, and the truth.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { flow, median, pause, plays, startWorld, until } from './world.mjs';

let world, page, popup;

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
  popup = await world.openPopup();
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

/** Stops the worker. The answer tells a registration that came after from one that was there before. */
async function stop(wait, as) {
  const number = Math.max(0, ...(await world.sockets()).map((s) => s.id));
  return { number, at: await world.stopWorker(popup, wait, as) };
}

/** How long it took to be registered again, in milliseconds. */
async function registeredAgain({ number, at }) {
  await world.atEdge('registered again', (sockets) => sockets.some((s) => s.registered && s.id > number));
  return Date.now() - at;
}

const popupSays = (text) => popup.locator('#status').getByText(text, { exact: true }).waitFor();

/** Forgets everything, as the agent may from the popup. */
async function restart() {
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.getByRole('button', { name: 'Restart extension' }).click();
}

const figures = (list) => `median ${median(list)} ms, longest ${Math.max(...list)} ms, of ${list.length}`;

play('stopped 20 times in a call: mute, keys and hang-up work again', async (t) => {
  const took = { registered: [], muted: [], 'a key heard': [] };
  const sid = await world.answered(page);
  for (let i = 0; i < 20; i += 1) {
    const stopped = await stop();
    const muted = i % 2 === 0;
    const { digits } = await world.stats(sid);
    await world.say(page, 'SET_MUTED', { muted });
    await world.say(page, 'SEND_DTMF_DIGITS', { digits: '7' });
    await world.waitForPage(page, `muted ${muted}`, (muted) => window.latest.CALL?.muted === muted, muted);
    took.muted.push(Date.now() - stopped.at);
    await until('a digit', async () => (await world.stats(sid)).digits?.length === (digits?.length ?? 0) + 1);
    took['a key heard'].push(Date.now() - stopped.at);
    took.registered.push(await registeredAgain(stopped));
    await popupSays(muted ? 'You are muted' : 'In a call');
    await popup.locator(`#mute[aria-pressed=${muted}]`).waitFor();
  }
  const s = await world.stats(sid);
  assert.equal(s.heard.lost, 0);
  assert.equal(s.state, 'in-progress');
  t.diagnostic(`in the call: ${flow(s)}`);
  const last = await stop();
  await world.hangUp(page, sid);
  t.diagnostic(`stopped to hung up: ${Date.now() - last.at} ms`);
  await registeredAgain(last);
  await popup.getByText('You ended the call.').waitFor();
  for (const [what, list] of Object.entries(took)) t.diagnostic(`stopped to ${what}: ${figures(list)}`);
});

play('stopped from the popup\'s side: its mute, keys and hang-up work again', async () => {
  const sid = await world.answered(page);
  await popup.getByRole('tab', { name: 'Call' }).click();
  await popup.getByRole('button', { name: 'Keypad' }).click();
  await stop();
  await popup.getByRole('button', { name: 'Mute' }).click();
  await popup.locator('#mute[aria-pressed=true]').waitFor();
  await stop();
  await popup.getByRole('button', { name: '5' }).click();
  await until('a digit', async () => (await world.stats(sid)).digits?.at(-1)?.key === '5');
  const last = await stop();
  await popup.getByRole('button', { name: 'Hang up' }).click();
  assert.equal((await world.inState(sid, 'ended')).reason, 'agent');
  await registeredAgain(last);
});

// Each state of the line: how it comes about, what the popup then says, and what ends it.
const idle = {
  'unconfigured, no Flex tab': {
    async enter() {
      await page.goto('about:blank');
      await restart();
    },
    says: 'No Flex tab is connected.',
    leave: () => page.goto('https://flex.twilio.com/agent-desktop'),
  },
  'wanting a Flex token': {
    async enter() {
      await page.evaluate(() => (window.answers = false));
      await restart();
    },
    says: 'Flex has not passed its sign-in on yet.',
    leave: () =>
      page.evaluate(async () => {
        window.answers = true;
        window.say('FLEX_TOKEN', await (await fetch('/session')).json());
      }),
  },
  'fetching a voice token, and hearing nothing': {
    async enter() {
      world.tokens.mode = 'silent';
      const { asked } = world.tokens;
      await restart();
      await until('a request', () => world.tokens.asked > asked);
    },
    says: 'Connecting to Twilio',
    leave: () => (world.tokens.mode = 'well'),
    again: true,
  },
  'fetching, and the token server is down': {
    async enter() {
      world.tokens.mode = 'down';
      await restart();
    },
    says: 'Token server not reachable',
    leave: () => (world.tokens.mode = 'well'),
  },
  'registering, and hearing nothing': {
    async enter() {
      await world.order('faults', { faults: { silent: true } });
      const { served } = world.tokens;
      await restart();
      await until('a voice token', () => world.tokens.served > served);
    },
    says: 'Connecting to Twilio',
    leave: () => world.order('faults', { faults: {} }),
    again: true,
  },
  registered: {
    async enter() {},
    says: 'Ready for calls',
    async leave() {},
  },
  'offline, the edge refuses everybody': {
    async enter() {
      await world.order('faults', { faults: { refuse_sockets: true } });
      await world.order('drop', { identity: world.identity, code: 0 });
    },
    says: 'No connection to Twilio',
    leave: () => world.order('faults', { faults: {} }),
  },
};

for (const [name, { enter, says, leave, again }] of Object.entries(idle)) {
  play(`stopped while ${name}`, async (t) => {
    await enter();
    await popupSays(says);
    let stopped = await stop();
    await popupSays(says);
    await leave();
    // It would wait out its patience with the silent one; dying once more is quicker.
    if (again) stopped = await stop();
    const left = Date.now();
    await registeredAgain(name === 'registered' ? stopped : { ...stopped, at: left });
    await popupSays('Ready for calls');
    await world.registered(page);
    t.diagnostic(`registered again after ${Date.now() - left} ms`);
    await world.hangUp(page, await world.answered(page));
  });
}

for (const waits of [[0, 1, 2, 3, 4], [5, 6, 8, 10, 12], [15, 20, 25, 30, 40], [50, 60, 70, 85, 100]]) play(`stopped ${waits[0]} to ${waits.at(-1)} ms after the invite: the call is in the document or nowhere, and the next one is answered`, async (t) => {
  const became = [];
  const took = [];
  for (const wait of waits) {
    let ringing;
    const stopped = await stop(wait, () => (ringing = world.ring().catch(() => '')));
    const sid = await ringing;
    took.push(await registeredAgain(stopped));
    if (sid === '') {
      became.push(`${wait} ms: not invited`);
      await world.atRest(page);
      continue;
    }
    // Page and popup say of the call what the edge says of it: somebody has taken it, or nobody ever will.
    const taken = await until('one truth', async () => {
      const { state } = await world.stats(sid);
      const call = await page.evaluate(() => window.latest.HEARTBEAT?.call);
      if (state === 'in-progress') return call?.callSid === sid && call.status === 'open' && 'taken';
      return state === 'ringing' && call === null && (await world.sockets()).every((s) => !s.calls?.length) && 'not taken';
    });
    became.push(`${wait} ms: ${taken}`);
    if (taken === 'taken') {
      await popupSays('In a call');
      await world.say(page, 'SET_MUTED', { muted: true });
      await world.waitForPage(page, 'muted', () => window.latest.CALL?.muted);
      await world.hangUp(page, sid);
    } else {
      await popupSays('Ready for calls');
      await world.order('hangup', { sid });
      assert.equal((await world.inState(sid, 'ended')).reason, 'canceled', 'nobody took it afterwards');
    }
    await world.atRest(page);
    await world.hangUp(page, await world.answered(page));
    await world.noCall(page);
  }
  t.diagnostic(`stopped after the invite: ${became.join(', ')}; registered again: ${figures(took)}`);
});

play('stopped as the customer leaves: the popup says what became of the call', async () => {
  for (const wait of [0, 10, 50]) {
    const sid = await world.answered(page);
    let leaving;
    const stopped = await stop(wait, () => (leaving = world.order('hangup', { sid })));
    await leaving;
    await world.inState(sid, 'ended');
    await registeredAgain(stopped);
    await world.noCall(page);
    await popup.getByText('The call has ended.').waitFor({ state: 'attached' }); // whichever of its tabs is open
  }
});

play('stopped while a call is connecting: it opens', async () => {
  await world.order('faults', { faults: { delay: 1e9 } });
  const ringing = world.ring();
  await popupSays('Connecting the call');
  const sid = await ringing;
  await stop();
  await popupSays('Connecting the call');
  await world.order('faults', { faults: {} });
  await world.callIs(page, 'open');
  await popupSays('In a call');
  await world.heardMore(sid);
  await world.hangUp(page, sid);
});

play('stopped while a call is reconnecting: it comes back', async (t) => {
  const sid = await world.answered(page);
  await world.order('faults', { faults: { refuse_sockets: true } });
  await world.order('drop', { identity: world.identity, code: 0 });
  await popupSays('Reconnecting the call');
  const stopped = await stop();
  await popupSays('Reconnecting the call');
  await world.order('faults', { faults: {} });
  const from = Date.now();
  await world.callIs(page, 'open');
  await popupSays('In a call');
  t.diagnostic(`held again after ${Date.now() - from} ms`);
  await registeredAgain(stopped);
  assert.equal((await world.heardMore(sid)).heard.lost, 0, 'the media never noticed');
  await world.hangUp(page, sid);
});

play('stopped while the offscreen document is being made: there is one in the end', async () => {
  for (const wait of [0, 20, 60]) {
    await restart();
    await pause(wait);
    await stop();
    await world.registered(page);
    await world.atRest(page);
  }
  await world.hangUp(page, await world.answered(page));
});

play('an update waits for the end of the call, also over the death of the worker, and is then applied; the open tab stays as it is', async (t) => {
  await world.developerMode();
  // A plugin of the original extension, which says who it is once.
  await page.evaluate(() => (window.insists = false));
  const manifest = join(world.app, 'manifest.json');
  const { version, ...rest } = JSON.parse(await readFile(manifest, 'utf8'));
  await writeFile(manifest, JSON.stringify({ ...rest, version: '99.0.0' }));
  const sid = await world.answered(page);
  const worker = await world.background();
  // As Chromium does when it has fetched a newer package.
  await worker.evaluate(() => chrome.runtime.onUpdateAvailable.dispatch({ version: '99.0.0' }));
  await popup.getByRole('tab', { name: 'Info' }).click();
  const waiting = popup.locator('#facts').getByText(`${version}, then 99.0.0`);
  await waiting.waitFor();
  const stopped = await stop();
  await waiting.waitFor();
  await registeredAgain(stopped);
  const s = await world.heardMore(sid, 50);
  assert.equal(s.heard.lost, 0);
  assert.equal(await page.evaluate(() => window.changes.some(({ type }) => type === 'DISCONNECTED')), false);
  assert.equal((await world.beat(page)).extensionVersion, version);

  const ended = Date.now();
  await world.hangUp(page, sid);
  await world.waitForPage(page, 'the new version', () => window.latest.HEARTBEAT?.extensionVersion === '99.0.0');
  const heard = Date.now() - ended;
  await world.registered(page);
  t.diagnostic(`the new version was heard ${heard} ms after the hang-up, and registered after ${Date.now() - ended} ms`);
  assert.equal(await page.evaluate(() => window.insists), false, 'the page was not loaded again');
  t.diagnostic(`the page was told that the extension is gone: ${await page.evaluate(() => window.changes.some(({ type }) => type === 'DISCONNECTED'))}`);
  popup = await world.openPopup();
  await popup.getByRole('tab', { name: 'Info' }).click();
  await until('one Flex tab: the script of the version before is none', async () => /Flex tabs\s+1\b/.test(await popup.locator('#facts').innerText()));
  await world.atRest(page);
  await world.hangUp(page, await world.answered(page));
});

play('switched off and on again: the open tab is told, and comes back by itself', async () => {
  const extensions = await world.context.newPage();
  await extensions.goto('chrome://extensions');
  const enabled = (on) => extensions.evaluate(([id, on]) => chrome.management.setEnabled(id, on), [world.id, on]);
  await enabled(false);
  await world.waitForPage(page, 'DISCONNECTED', () => window.changes.some(({ type }) => type === 'DISCONNECTED'));
  await page.evaluate(() => (window.latest = {}));
  await enabled(true);
  await world.registered(page);
  await extensions.close();
  await world.atRest(page);
  await world.hangUp(page, await world.answered(page));
});
