// Headsets as they describe themselves: hooks that stay and hooks that spring back, mute buttons, lamps; and what is pressed when.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHeadset } from '../app/offscreen/headset.js';

const settle = () => new Promise((resolve) => setImmediate(resolve));
const idle = { up: false, ringing: false, muted: false, holding: false };

const bits = (usages, more) => ({ usages, reportSize: 1, reportCount: usages.length, isAbsolute: true, hasPreferredState: true, ...more });
const padding = (reportCount) => ({ isConstant: true, reportSize: 1, reportCount });
const lamps = { reportId: 3, items: [bits([0x080018]), padding(1), bits([0x080017, 0x080009]), padding(4), bits([0x080020]), padding(7)] };

/** By the way their hook works. Each has a keypad digit before it, which is not ours. */
const kinds = {
  'a switch': { items: [padding(3), bits([0x0b0020], { hasPreferredState: false }), bits([0x0b002f], { isAbsolute: false })], lift: 0b01000, drop: 0, mute: 0b10000 },
  'a key': { items: [bits([0x0b0020, 0x0b0021, 0x0b002f]), padding(5)], lift: 0b001, flash: 0b010, mute: 0b100 },
  'a list of what is pressed': {
    items: [{ isArray: true, isAbsolute: true, isRange: true, usageMinimum: 0x0b001f, usageMaximum: 0x0b0030, logicalMinimum: 1, reportSize: 8, reportCount: 1 }],
    lift: 2, flash: 3, mute: 17,
  },
};

function makeHeadset(kind, { collections } = {}) {
  const kit = { pressed: [], sent: [], clock: 0 };
  const device = Object.assign(new EventTarget(), {
    opened: false,
    collections: collections ?? [{ usagePage: 0x0b, inputReports: [{ reportId: 1, items: [padding(8)] }], children: [{ inputReports: [{ reportId: 2, items: kinds[kind].items }], outputReports: [lamps] }] }],
    open: async () => void (device.opened = true),
    sendReport: async (id, data) => void kit.sent.push([id, ...data]),
  });
  const hid = Object.assign(new EventTarget(), { devices: [device], getDevices: async () => hid.devices });
  const note = (button) => () => kit.pressed.push(button);
  const headset = createHeadset({ hid, act: { hook: note('hook'), mute: note('mute'), flash: note('flash') }, now: () => kit.clock });
  const report = (reportId, ...bytes) => device.dispatchEvent(Object.assign(new Event('inputreport'), { reportId, data: new DataView(Uint8Array.from(bytes).buffer) }));
  return Object.assign(kit, {
    hid, device, headset,
    press: (bits) => ((kit.clock += 1_000), report(2, bits)),
    at: report,
    taken: () => kit.pressed.splice(0),
  });
}

for (const [kind, { lift, drop, flash, mute }] of Object.entries(kinds)) {
  test(`${kind}: each press is one, however it is let go of`, async () => {
    const kit = makeHeadset(kind);
    await settle();
    kit.press(lift);
    assert.deepEqual(kit.taken(), ['hook']);
    if (drop === undefined) {
      kit.press(0);
      assert.deepEqual(kit.taken(), [], 'let go of');
      kit.press(lift);
      assert.deepEqual(kit.taken(), ['hook']);
    } else {
      kit.press(drop);
      assert.deepEqual(kit.taken(), ['hook'], 'back again');
    }
    kit.press(0);
    kit.taken();
    kit.press(mute);
    kit.press(0);
    if (flash) kit.press(flash);
    assert.deepEqual(kit.taken(), flash ? ['mute', 'flash'] : ['mute']);
    kit.at(1, 0xff);
    assert.deepEqual(kit.taken(), [], 'a report of something else');
  });
}

test('the lamps show the call, and are written when they change', async () => {
  const kit = makeHeadset('a switch');
  await settle();
  assert.deepEqual(kit.sent.splice(0), [[3, 0, 0]]);
  kit.headset.show({ ...idle, up: true });
  kit.headset.show({ ...idle, up: true });
  kit.headset.show({ ...idle, up: true, muted: true, ringing: true });
  kit.headset.show({ ...idle, up: true, holding: true });
  kit.headset.show(idle);
  assert.deepEqual(kit.sent, [[3, 0b0100, 0], [3, 0b1101, 0], [3, 0b0100, 1], [3, 0, 0]]);
});

test('"my call ended by itself": a hook that follows the lamp was not pressed', async () => {
  const kit = makeHeadset('a switch');
  await settle();
  kit.headset.show({ ...idle, up: true });
  kit.at(2, 0b01000);
  assert.deepEqual(kit.taken(), []);
  kit.press(0);
  assert.deepEqual(kit.taken(), ['hook']);
});

test('one that is plugged in, pulled out, or allowed during the day is found by the next call; other devices are left alone', async () => {
  const kit = makeHeadset('a key');
  await settle();
  kit.hid.dispatchEvent(Object.assign(new Event('disconnect'), { device: kit.device }));
  kit.press(0b001);
  assert.deepEqual(kit.taken(), []);
  kit.headset.show({ ...idle, up: true });
  await settle();
  kit.press(0b001);
  assert.deepEqual(kit.taken(), ['hook']);

  const keyboard = makeHeadset('a key', { collections: [{ usagePage: 1, inputReports: [{ reportId: 2, items: kinds['a key'].items }] }] });
  await settle();
  keyboard.press(0b001);
  assert.deepEqual([keyboard.taken(), keyboard.device.opened, keyboard.sent], [[], false, []]);
});

test('a browser without WebHID, or a device that cannot be opened, stops nothing', async () => {
  createHeadset({ hid: undefined, act: {}, now: () => 0 }).show({ ...idle, up: true });
  const kit = makeHeadset('a key');
  kit.device.open = () => Promise.reject(new Error('in use'));
  await settle();
  kit.press(0b001);
  assert.deepEqual(kit.taken(), []);
  kit.device.open = async () => {};
  kit.headset.show({ ...idle, up: true });
  await settle();
  kit.press(0b001);
  assert.deepEqual(kit.taken(), ['hook'], 'free again');
});
