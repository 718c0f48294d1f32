// A headset's buttons and lamps, with a device of this test's own in the place of one that Chromium would have found.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { plays, startWorld, until } from './world.mjs';

let world, page;

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
  await world.inDocument(`(${plugIn})()`);
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

/** Runs in the document: a headset with a hook and a mute key, both of which spring back, and two lamps. */
function plugIn() {
  const bits = (...usages) => ({ usages, reportSize: 1, reportCount: usages.length, isAbsolute: true, hasPreferredState: true });
  const headset = Object.assign(new EventTarget(), {
    opened: true,
    collections: [{
      usagePage: 0x0b,
      inputReports: [{ reportId: 1, items: [bits(0x0b0020, 0x0b002f)] }],
      outputReports: [{ reportId: 2, items: [bits(0x080017, 0x080009, 0x080018)] }],
    }],
    sendReport: async (id, data) => void (globalThis.lamps = data[0]),
  });
  globalThis.pressHeadset = async (bits) => {
    for (const value of [bits, 0]) {
      headset.dispatchEvent(Object.assign(new Event('inputreport'), { reportId: 1, data: new DataView(Uint8Array.of(value).buffer) }));
    }
  };
  navigator.hid.getDevices = async () => [headset];
  navigator.hid.dispatchEvent(new Event('connect'));
}

const hook = 1;
const mute = 2;
const press = async (button) => {
  // The answer to a lamp that has just been lit is no press.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await world.inDocument(`pressHeadset(${button})`);
};
const lamps = (lit) => until(`lamps ${lit.toString(2)}`, async () => (await world.inDocument('globalThis.lamps')) === lit);
const heartbeat = () => page.evaluate(() => window.latest.HEARTBEAT);

play('"my headset has buttons": one mutes and unmutes, the other hangs up', async () => {
  const sid = await world.answered(page);
  await lamps(0b001);
  await press(mute);
  await until('a muted call', async () => (await heartbeat()).call?.muted === true);
  await lamps(0b011);
  await press(mute);
  await until('a call that is heard', async () => (await heartbeat()).call?.muted === false);
  await press(hook);
  await until('a call that is over', async () => (await world.stats(sid)).state !== 'in-progress');
  await lamps(0);
});

play('"a second customer called": the button holds the first and answers; pressed again it ends the second', async () => {
  const first = await world.answered(page);
  const second = await world.ring();
  await until('an offer', async () => (await heartbeat()).offers?.[0]?.callSid === second);
  await lamps(0b101);
  await press(hook);
  await until('the second call', async () => (await heartbeat()).call?.callSid === second && (await heartbeat()).onHold[0]?.callSid === first);
  await until('an answered call', async () => (await world.stats(second)).state === 'in-progress');
  await lamps(0b001);
  await press(hook);
  await until('the first again', async () => (await heartbeat()).call?.callSid === first && (await heartbeat()).onHold.length === 0);
  assert.notEqual((await world.stats(second)).state, 'in-progress');
  await press(hook);
  await until('no call', async () => (await heartbeat()).call === null);
});

play('"I pressed it while nobody called": nothing happens', async () => {
  await press(hook);
  await press(mute);
  assert.equal((await heartbeat()).call, null);
  await world.hangUp(page, await world.answered(page));
});
