import assert from 'node:assert/strict';
import { test } from 'node:test';
import { account, senders, World } from './world.js';

const tokenURL = 'https://voice.example.com/generateToken';
const configure = (more = {}) => ({
  type: 'VOICE_CLIENT_EXTENSION_CONFIGURE',
  payload: { accountSid: account, voiceClientTokenGeneratorUrl: tokenURL, extensionVoiceClientPrefix: 'ext_', ...more },
});
const flexToken = (token = 'flex-secret-1') => ({
  type: 'VOICE_CLIENT_EXTENSION_FLEX_TOKEN',
  payload: { token, accountSid: account, expiration: '2030-01-01T00:00:00Z' },
});
const hangUp = { type: 'VOICE_CLIENT_EXTENSION_HANGUP_CALL' };
const types = (port) => port.received.map((message) => message.type.replace('VOICE_CLIENT_EXTENSION_', ''));
const last = (port, type) => port.received.findLast((message) => message.type === `VOICE_CLIENT_EXTENSION_${type}`)?.payload;

/** A page of the account, configured and signed in. */
async function flexPage(world, ...messages) {
  const page = await world.connect('page');
  for (const message of messages.length ? messages : [configure(), flexToken()]) page.postMessage(message);
  await world.settle();
  return page;
}

async function registered() {
  const world = new World();
  return { world, page: await flexPage(world) };
}

async function inCall() {
  const kit = await registered();
  await kit.world.ring('CA1');
  kit.world.document.become({ status: 'open', startedAt: 1 });
  await kit.world.settle();
  return kit;
}

test('listeners are there before the worker first waits', async () => {
  const world = new World();
  await world.boot();
  assert.equal(world.listenersInTime, 1);
});

test('with a broken disk, calls are answered as ever', async () => {
  const world = new World();
  const consents = world.local.values;
  world.managed.values.tokenURLs = [tokenURL];
  for (const storage of [world.local, world.session]) storage.get = storage.set = async () => { throw new Error('IO error'); };
  const page = await flexPage(world);
  assert.equal(last(page, 'HEARTBEAT').status, 'registered', JSON.stringify(consents));
  await world.ring('CA1');
  assert.equal(last(page, 'CALL').status, 'connecting');
});

test('a plugin that speaks only the old messages is served from sign-in to hang-up', async () => {
  const { world, page } = await registered();
  assert.deepEqual(world.fetches, [{ url: tokenURL, body: 'Token=flex-secret-1&VoiceClientPrefix=ext_' }]);
  assert.equal(types(page)[0], 'CONFIGURED');
  assert.equal(last(page, 'HEARTBEAT').voiceClientIdentity, 'ext_alice');
  assert.equal(last(page, 'HEARTBEAT').error, null);
  await world.ring('CA1');
  assert.equal(last(page, 'CALL').status, 'connecting');
  world.document.become({ status: 'open', startedAt: 1 });
  await world.settle();
  assert.equal(last(page, 'CALL').status, 'open');
  page.postMessage(hangUp);
  await world.settle();
  assert.equal(world.document.call, null);
  assert.equal(last(page, 'CALL'), null);
  assert.equal(world.made, 1, 'one document serves every call');
});

test('heartbeats come every second, to pages of our account only', async () => {
  const { world, page } = await registered();
  const stranger = await flexPage(world, configure({ accountSid: `AC${'1'.repeat(32)}` }));
  const silent = await world.connect('page');
  const before = types(page).length;
  for (let i = 0; i < 5; i++) await world.pass(1000);
  assert.equal(types(page).length - before, 5);
  assert.deepEqual(types(stranger), ['CONFIG_REJECTED']);
  assert.deepEqual(types(silent), []);
});

test('the tab of another account cannot hang up', async () => {
  const { world } = await inCall();
  const stranger = await flexPage(world, configure({ accountSid: `AC${'1'.repeat(32)}` }), flexToken('theirs'), hangUp);
  assert.deepEqual(last(stranger, 'CONFIG_REJECTED'), { reason: 'other_account' });
  assert.equal(world.document.call.callSid, 'CA1');
  assert.ok(!world.fetches.some(({ body }) => body.includes('theirs')));
});

test('a configuration of the wrong shape is told so', async () => {
  const page = await flexPage(new World(), { type: 'VOICE_CLIENT_EXTENSION_CONFIGURE', payload: { accountSid: 7 } });
  assert.deepEqual(last(page, 'CONFIG_REJECTED'), { reason: 'bad_config' });
});

test('forged messages and ports are refused, counted, and have no effect', async () => {
  const { world, page } = await inCall();
  const attackers = [
    { ...senders.page, frameId: 4 },
    { ...senders.page, url: 'https://evil.example/', origin: 'https://evil.example' },
    { ...senders.popup, id: 'theirs' },
    { ...senders.popup, url: 'chrome-extension://ours/vendor/x.html' },
    null,
  ];
  for (const sender of attackers) {
    for (const name of ['page', 'popup', 'offscreen']) {
      const port = await world.connect(name, sender);
      assert.equal(port.closed, true, `${name} ${JSON.stringify(sender)}`);
    }
    assert.deepEqual(await world.send({ type: 'popup.hangUp' }, sender), [{ ok: false, error: 'wrong_sender' }]);
  }
  // A real page may not speak as the popup or the document, nor with a payload that cannot be.
  page.postMessage({ type: 'popup.restart' });
  page.postMessage({ type: 'offscreen.callEnded', payload: { callSid: 'CA1', reason: 'ended' } });
  page.postMessage({ ...hangUp, payload: { callSid: '<img>' } });
  page.postMessage({ type: 'VOICE_CLIENT_EXTENSION_EXPLODE' });
  // The popup's own port name does not make a page the popup.
  const impostor = await world.connect('popup', senders.page);
  await world.settle();
  assert.equal(impostor.closed, true);
  assert.equal(world.document.call.callSid, 'CA1');
  assert.deepEqual(world.state().refused, { wrong_sender: attackers.length * 4 + 3, bad_payload: 1, unknown_type: 1 });
});

test('each request of the popup gets exactly one reply, errors included', async () => {
  const { world } = await inCall();
  assert.deepEqual(await world.send({ type: 'popup.mute', payload: { muted: true } }), [{ ok: true }]);
  assert.equal(world.document.call.muted, true);
  assert.deepEqual(await world.send({ type: 'popup.mute', payload: { muted: 'yes' } }), [{ ok: false, error: 'bad_payload' }]);
  assert.deepEqual(await world.send({ type: 'popup.explode' }), [{ ok: false, error: 'unknown_type' }]);
  assert.deepEqual(await world.send('hang up'), [{ ok: false, error: 'malformed' }]);
});

test('a second call is offered, in the popup and in the page, and rings until it is declined; the first goes on', async () => {
  const { world, page } = await inCall();
  const popup = await world.connect('popup');
  const second = await world.ring('CA2');
  assert.equal(second.rejected, undefined);
  assert.deepEqual(last(page, 'CALLS').offers, [{ callSid: 'CA2', from: '+15550100' }]);
  assert.deepEqual(popup.received.at(-1).payload.offers, [{ callSid: 'CA2', from: '+15550100' }]);
  assert.equal(last(page, 'CALL').callSid, 'CA1');
  await world.send({ type: 'popup.decline', payload: { callSid: 'CA2' } });
  assert.equal(second.rejected, true);
  assert.deepEqual(last(page, 'CALLS').offers, []);
  assert.equal(world.document.call.callSid, 'CA1');
  assert.equal(world.document.times('offscreen.takeCall'), 1);
});

test('hold and answer, back to the first, and hang up: a page hears of each, and the active call stands where it always did', async () => {
  const { world, page } = await inCall();
  await world.ring('CA2');
  page.postMessage({ type: 'VOICE_CLIENT_EXTENSION_ANSWER_CALL', payload: { callSid: 'CA2' } });
  await world.settle();
  world.document.become({ status: 'open', startedAt: 2 });
  await world.settle();
  const heard = () => [last(page, 'CALL')?.callSid, last(page, 'CALLS').onHold.map(({ callSid }) => callSid), last(page, 'CALLS').offers];
  assert.deepEqual(heard(), ['CA2', ['CA1'], []]);
  const calls = page.received.findIndex(({ type, payload }) => type.endsWith('_CALLS') && payload.onHold.length > 0);
  assert.ok(calls < page.received.findIndex(({ type, payload }) => type.endsWith('_CALL') && payload?.callSid === 'CA2'), 'on hold before the other is named, or it would look ended');
  await world.send({ type: 'popup.answer', payload: { callSid: 'CA1' } });
  assert.deepEqual(heard(), ['CA1', ['CA2'], []]);
  page.postMessage({ type: 'VOICE_CLIENT_EXTENSION_SET_MUTED', payload: { muted: true, callSid: 'CA2' } });
  page.postMessage({ type: 'VOICE_CLIENT_EXTENSION_HANGUP_CALL', payload: { callSid: 'CA2' } });
  await world.settle();
  assert.deepEqual(world.document.heard.slice(-2).map(({ payload }) => payload), [{ muted: true, callSid: 'CA2' }, { callSid: 'CA2' }]);
  assert.deepEqual(heard(), ['CA1', [], []]);
  page.postMessage(hangUp);
  await world.settle();
  assert.equal(last(page, 'CALL'), null);
});

test('accepted in this browser\'s Flex: the first is put on hold and the second answered, without another question', async () => {
  const world = new World();
  const page = await flexPage(world, configure({ sessionIdentifier: 'here' }), flexToken());
  await world.ring('CA1', 'connect', 'here');
  world.document.become({ status: 'open', startedAt: 1 });
  await world.ring('CA2', 'connect', 'here');
  assert.deepEqual([world.document.call.callSid, world.document.onHold[0].callSid], ['CA2', 'CA1']);
  assert.equal(last(page, 'CALL').callSid, 'CA2');
  world.document.end('ended');
  await world.settle();
  assert.equal(last(page, 'CALL').callSid, 'CA1', 'the end of one brings the other back');
});

test('killed with one call up, one on hold and one offered: all three are still there, and can be answered', async () => {
  const { world } = await inCall();
  await world.ring('CA2');
  await world.send({ type: 'popup.answer', payload: { callSid: 'CA2' } });
  await world.ring('CA3');
  await world.kill();
  await world.document.connect();
  await world.settle();
  const popup = await world.connect('popup');
  const { call, onHold, offers } = popup.received.at(-1).payload;
  assert.deepEqual([call, ...onHold, ...offers].map(({ callSid }) => callSid), ['CA2', 'CA1', 'CA3']);
  await world.send({ type: 'popup.answer', payload: { callSid: 'CA3' } });
  assert.equal(world.document.call.callSid, 'CA3');
  assert.equal(world.document.onHold.length, 2);
});

test('the popup is told the truth, and no token', async () => {
  const { world } = await inCall();
  const popup = await world.connect('popup');
  const view = popup.received.at(-1).payload;
  assert.equal(view.call.status, 'open');
  assert.equal(view.account, account);
  assert.equal(view.acceptedTabs, 1);
  assert.doesNotMatch(JSON.stringify(popup.received), /secret|a\.b\.c/);
});

test('a page that reloads finds its call', async () => {
  const { world, page } = await inCall();
  page.disconnect();
  await world.settle();
  const again = await flexPage(world);
  assert.equal(last(again, 'HEARTBEAT').call.status, 'open');
  assert.equal(world.document.call.callSid, 'CA1');
});

test('a renewed token reaches both voice clients, and the call does not notice', async () => {
  const { world } = await inCall();
  world.answer = () => new Response(JSON.stringify({ identity: 'ext_alice', token: 'd.e.f', ttl: 3600 }));
  await world.pass(3_600_000 / 2);
  assert.equal(world.fetches.length, 2);
  assert.equal(world.devices.length, 1);
  assert.equal(world.device.token, 'd.e.f');
  assert.equal(world.document.heard.at(-1).payload.token, 'd.e.f');
  assert.equal(world.document.call.callSid, 'CA1');
});

test('an expired Flex token in a call asks the plugin, renews, and drops nothing', async () => {
  const { world, page } = await inCall();
  world.answer = () => new Response('', { status: 403 });
  await world.pass(3_600_000 / 2);
  assert.equal(types(page).filter((type) => type === 'CONFIGURED').length, 2, 'CONFIGURED is what a plugin answers with its token');
  assert.equal(world.device.destroyed, undefined);
  world.answer = () => new Response(JSON.stringify({ identity: 'ext_alice', token: 'd.e.f', ttl: 3600 }));
  page.postMessage(flexToken('flex-secret-2'));
  await world.settle();
  assert.equal(world.device.token, 'd.e.f');
  assert.equal(world.document.call.callSid, 'CA1');
});

test('a token endpoint that answers nonsense is asked until it answers a token', async () => {
  const world = new World();
  world.answer = () => new Response('<html>proxy login</html>');
  const page = await flexPage(world);
  assert.equal(world.devices.length, 0);
  for (let i = 0; i < 8; i++) await world.pass(60_000);
  assert.equal(world.fetches.length, 9);
  await world.pass(1000);
  assert.equal(last(page, 'HEARTBEAT').error, true);
  world.answer = () => new Response(JSON.stringify({ identity: 'ext_alice', token: 'a.b.c', ttl: 60 }));
  await world.pass(60_000);
  assert.equal(last(page, 'HEARTBEAT').error, null);
  assert.equal(last(page, 'HEARTBEAT').status, 'registered');
});

test('a registration that hangs is begun again', async () => {
  const world = new World();
  world.silent = true;
  await flexPage(world);
  assert.equal(world.devices.length, 1);
  world.silent = false;
  await world.pass(20_000);
  assert.equal(world.devices.length, 2);
  assert.ok(world.devices[0].destroyed);
  assert.equal(world.state().line, 'registered');
});

test('making the client anew does not reject a call that is being handed over', async () => {
  const { world } = await registered();
  const ringing = await world.ring('CA1');
  const old = world.device;
  old.become('unregistered');
  await world.pass(20_000);
  assert.ok(old.destroyed);
  assert.equal(ringing.ignored, true);
  assert.equal(ringing.rejected, undefined);
});

test('the offscreen document crashing is noticed, and another is made', async () => {
  const { world, page } = await inCall();
  const { port } = world.document;
  world.document = undefined;
  port.disconnect();
  await world.settle();
  assert.equal(last(page, 'CALL'), null);
  assert.equal(world.made, 2);
  assert.equal(world.document.times('offscreen.prepare'), 1, 'ready for the next call');
});

test('"I logged out and in again, and my first call broke off after a second": what closed the old document leaves the new one', async () => {
  const { world, page } = await registered();
  page.postMessage({ type: 'VOICE_CLIENT_EXTENSION_LOGGED_OUT', payload: { accountSid: account } });
  // Its port had broken at that moment, so that it is told to go twice.
  world.document.tell('offscreen.truth', { call: null, ended: null, microphone: 'granted', inputs: [], outputs: [] });
  await world.settle();
  assert.equal(world.document, undefined);
  page.postMessage(configure());
  page.postMessage(flexToken('flex-secret-2'));
  await world.settle();
  await world.ring('CA1');
  world.document.become({ status: 'open', startedAt: 1 });
  await world.pass(3_000);
  assert.equal(world.document?.call?.callSid, 'CA1');
  assert.equal(last(page, 'CALL').status, 'open');
});

test('the offscreen document crashes in a call: the caller is not left waiting for it', async () => {
  const { world } = await inCall();
  const { port } = world.document;
  world.document = undefined;
  port.disconnect();
  await world.settle();
  assert.deepEqual(world.goodbyes, ['CA1']);
  assert.deepEqual(world.local.values.calls, ['CA1'], 'it may not have been heard');
});

test('a call that the document has ended, or that still rings, needs no goodbye', async () => {
  const { world } = await inCall();
  world.document.end('hung_up');
  await world.settle();
  await world.ring('CA2');
  const { port } = world.document;
  world.document = undefined;
  port.disconnect();
  await world.settle();
  assert.deepEqual(world.goodbyes, []);
});

/** What is left when an extension is reloaded, or its browser started again. */
async function nextLife(world) {
  await world.kill();
  world.document = undefined;
  delete world.session.values.snapshot;
}

test('the extension is reloaded in a call: its next life hangs up as soon as it is registered', async () => {
  const { world } = await inCall();
  await nextLife(world);
  await world.boot();
  assert.deepEqual(world.goodbyes, []);
  await flexPage(world);
  assert.deepEqual(world.goodbyes, ['CA1']);
  await world.ring('CA2');
  world.document.become({ status: 'open', startedAt: 1 });
  await world.settle();
  assert.deepEqual(world.local.values.calls, ['CA1', 'CA2']);
  world.document.end('ended');
  await world.settle();
  assert.deepEqual(world.local.values.calls, ['CA1']);
});

test('a call that ended before the extension was reloaded is left alone', async () => {
  const { world } = await inCall();
  world.document.end('ended');
  await world.settle();
  await nextLife(world);
  await flexPage(world);
  assert.deepEqual(world.goodbyes, []);
});

test('the snapshot cannot be read while the call goes on in its document: nobody hangs it up', async () => {
  const { world } = await inCall();
  const get = world.session.get;
  await world.kill();
  world.session.get = async () => { throw new Error('no'); };
  await world.document.connect();
  await world.settle();
  world.session.get = get;
  assert.deepEqual(world.goodbyes, []);
  assert.equal(world.document.call.status, 'open');
});

for (const [os, hangs] of [['win', true], ['mac', false]]) {
  test(`the last window is closed in a call, on ${os}: the call is ${hangs ? 'hung up, as the browser goes with it' : 'kept, as the browser lives on'}`, async () => {
    const world = new World();
    world.os = os;
    await flexPage(world);
    await world.ring('CA1');
    world.document.become({ status: 'open', startedAt: 1 });
    await world.settle();
    world.chrome.windows.onCreated.emit({ id: 2 });
    world.chrome.tabs.onRemoved.emit(7, { windowId: 1, isWindowClosing: false });
    world.chrome.tabs.onRemoved.emit(8, { windowId: 1, isWindowClosing: true });
    world.chrome.windows.onRemoved.emit(1);
    await world.settle();
    assert.equal(world.document.times('offscreen.hangUp'), 0, 'one is left');
    world.chrome.tabs.onRemoved.emit(9, { windowId: 2, isWindowClosing: true });
    world.chrome.windows.onRemoved.emit(2);
    await world.settle();
    assert.equal(world.document.times('offscreen.hangUp'), hangs ? 1 : 0);
  });
}

test('restarted again and again while a document is being made: none that was given a call is closed afterwards', async () => {
  const { world } = await registered();
  const create = world.chrome.offscreen.createDocument;
  let finish;
  world.chrome.offscreen.createDocument = async () => {
    await new Promise((resolve) => (finish = resolve));
    await create();
  };
  for (let i = 0; i < 3; i++) {
    await world.send({ type: 'popup.restart' });
    const back = await world.connect('page');
    back.postMessage({ ...configure(), type: 'page.resumed' });
    back.postMessage(flexToken());
    await world.settle();
  }
  await world.ring('CA1');
  for (let i = 0; i < 4; i++) {
    finish?.();
    await world.settle();
  }
  assert.equal(world.document?.call?.callSid, 'CA1');
  assert.equal(world.made, 3, 'the first, the one under way, and the one that was wanted last');
});

test('an update waits for the end of the call', async () => {
  const { world } = await inCall();
  world.chrome.runtime.onUpdateAvailable.emit({ version: '2.0.0' });
  await world.settle();
  assert.equal(world.reloads, 0);
  world.document.end('ended');
  await world.settle();
  assert.equal(world.reloads, 1);
});

test('restart lets go of everything, and the tab configures itself again', async () => {
  const { world, page } = await inCall();
  await world.send({ type: 'popup.restart' });
  await world.settle();
  assert.equal(world.document, undefined);
  assert.ok(world.device.destroyed);
  assert.equal(page.closed, true, 'the content script comes back with page.resumed');
  const back = await world.connect('page');
  back.postMessage({ ...configure(), type: 'page.resumed' });
  await world.settle();
  assert.equal(types(back)[0], 'CONFIGURED', 'asks for the Flex token again');
  back.postMessage(flexToken());
  await world.settle();
  assert.equal(world.state().line, 'registered');
  assert.equal(world.made, 2);
});

test('a document that cannot be closed takes everything with it: the next one could never be made', async () => {
  const { world } = await inCall();
  world.chrome.offscreen.closeDocument = () => new Promise(() => {});
  await world.send({ type: 'popup.restart' });
  await world.settle();
  assert.equal(world.reloads, 0, 'it has a moment');
  // The time to let go, then the time to close.
  await world.pass(3_000);
  await world.pass(3_000);
  assert.equal(world.reloads, 1);
});

test('"try again" asks the token server at once, and only that', async () => {
  const { world } = await registered();
  const before = world.fetches.length;
  await world.send({ type: 'popup.retry', payload: { what: 'token' } });
  await world.settle();
  assert.equal(world.fetches.length, before + 1);
  await world.send({ type: 'popup.retry', payload: { what: 'line' } });
  await world.settle();
  assert.equal(world.fetches.length, before + 1, 'a line that is well is left alone');
  assert.equal(world.devices.length, 1);
});

test('policy that arrives after the start counts', async () => {
  const world = new World();
  await world.boot();
  world.managed.values.tokenURLs = ['https://only.example.com/t'];
  world.chrome.storage.onChanged.emit({}, 'managed');
  await world.settle();
  const page = await flexPage(world);
  assert.deepEqual(last(page, 'CONFIG_REJECTED'), { reason: 'url_not_allowed' });
  assert.equal(world.fetches.length, 0, 'the Flex token went nowhere');
});

test('no token is in storage.local, in a URL, or in what is logged', async (t) => {
  const logged = [];
  for (const method of ['log', 'info', 'warn', 'error', 'debug']) t.mock.method(console, method, (...args) => logged.push(args));
  const { world } = await inCall();
  await world.send({ type: 'popup.chooseDevice', payload: { kind: 'input', label: 'Headset' } });
  assert.deepEqual(Object.keys(world.local.values), ['consents', 'calls', 'devices']);
  assert.doesNotMatch(JSON.stringify(world.local.values), /secret|a\.b\.c/);
  assert.ok(world.fetches.every(({ url }) => url === tokenURL));
  assert.deepEqual(logged, []);
});

/** How to get there, for every line and call that can really be. */
const lines = {
  unconfigured: async (world) => world.boot(),
  wanting: async (world) => flexPage(world, configure()),
  fetching: async (world) => {
    world.answer = () => new Response('', { status: 500 });
    return flexPage(world);
  },
  registering: async (world) => {
    world.silent = true;
    return flexPage(world);
  },
  registered: async (world) => flexPage(world),
  offline: async (world) => {
    await flexPage(world);
    world.device.become('unregistered');
    return world.settle();
  },
};
const calls = {
  none: async () => {},
  connecting: async (world) => world.ring('CA1'),
  open: async (world) => {
    await world.ring('CA1');
    world.document.become({ status: 'open', startedAt: 1 });
    return world.settle();
  },
  reconnecting: async (world) => {
    await world.ring('CA1');
    world.document.become({ status: 'reconnecting', startedAt: 1 });
    return world.settle();
  },
};

for (const [line, reach] of Object.entries(lines)) {
  for (const [call, begin] of Object.entries(calls)) {
    if (call !== 'none' && !['registered', 'offline'].includes(line)) continue;
    test(`killed while ${line} with call ${call}, and woken`, async () => {
      const world = new World();
      if (line === 'offline' && call !== 'none') {
        await flexPage(world);
        await begin(world);
        world.device.become('unregistered');
        await world.settle();
      } else {
        await reach(world);
        await begin(world);
      }
      if (world.session.values.snapshot) assert.equal(world.state().line, line);

      await world.kill();
      world.silent = false;
      world.answer = () => new Response(JSON.stringify({ identity: 'ext_alice', token: 'a.b.c', ttl: 3600 }));
      // The document and the page notice their broken ports; either wakes the worker.
      await world.document?.connect();
      await world.settle();
      const page = await world.connect('page');
      page.postMessage({ ...configure(), type: 'page.resumed' });
      await world.settle();
      if (types(page).includes('CONFIGURED')) page.postMessage(flexToken());
      await world.settle();

      assert.equal(world.state().line, 'registered', 'registered again');
      assert.equal(world.made, 1, 'the document was found, not made twice');
      const popup = await world.connect('popup');
      assert.equal(popup.received.at(-1).payload.call?.status ?? 'none', call, 'the popup tells the truth');
      if (call === 'none') return;
      assert.equal(last(page, 'HEARTBEAT').call.status, call, 'the page too');
      await world.send({ type: 'popup.mute', payload: { muted: true } });
      assert.equal(world.document.call.muted, true);
      page.postMessage({ type: 'VOICE_CLIENT_EXTENSION_SEND_DTMF_DIGITS', payload: { digits: '5' } });
      await world.settle();
      assert.equal(world.document.times('offscreen.sendDigits'), call === 'connecting' ? 0 : 1);
      page.postMessage(hangUp);
      await world.settle();
      assert.equal(world.document.call, null);
    });
  }
}

test('a call that ended while the worker was dead is not shown as up', async () => {
  const { world } = await inCall();
  await world.kill();
  world.document.call = null;
  await world.document.connect();
  const popup = await world.connect('popup');
  assert.equal(popup.received.at(-1).payload.call, null);
});

test('killed at any step of a hand-over: the call is in the document, and the next one is answered', async () => {
  for (let steps = 0; steps < 12; steps++) {
    const { world } = await registered();
    world.device.emit('incoming', world.call('CA1'));
    for (let i = 0; i < steps; i++) await null;
    await world.kill();
    await world.document.connect();
    await world.settle();
    assert.deepEqual([world.state().call?.callSid, world.document.call?.callSid], ['CA1', 'CA1'], `after ${steps} steps`);
    assert.equal(world.state().line, 'registered');
    world.document.end('ended');
    await world.settle();
    await world.ring('CA2');
    assert.equal(world.document.call.callSid, 'CA2', `after ${steps} steps`);
  }
});

test('how a call ended while the worker was dead is known', async () => {
  const { world } = await inCall();
  await world.kill();
  world.document.end('connection_lost');
  await world.document.connect();
  const popup = await world.connect('popup');
  const { call, lastEnd } = popup.received.at(-1).payload;
  assert.deepEqual({ call, lastEnd }, { call: null, lastEnd: 'connection_lost' });
});

test('killed twenty times in one call, which goes on', async () => {
  const { world } = await inCall();
  for (let i = 0; i < 20; i++) {
    await world.kill();
    await world.document.connect();
    await world.settle();
    assert.equal(world.state().call.callSid, 'CA1');
  }
  assert.equal(world.devices.length, 21);
  assert.equal(world.document.call.status, 'open');
  assert.equal(world.made, 1);
});

test('pages that were open before get the content script, from the first worker of an extension and no other', async () => {
  const world = new World();
  const tab = (id, pattern, more) => ({ id, pattern, discarded: false, scripts: [], ...more });
  world.tabs = [
    tab(1, 'https://flex.twilio.com/*', { blocked: true }),
    tab(2, 'https://flex.twilio.com/*'),
    tab(3, 'https://flex.acme.example/*'),
    tab(4, 'https://flex.twilio.com/*', { discarded: true }),
    tab(5, 'https://www.example.com/*'),
  ];
  await world.boot();
  const scripts = () => world.tabs.map((tab) => tab.scripts);
  const once = [[], ['content/bridge.js'], ['content/bridge.js'], [], []];
  assert.deepEqual(scripts(), once);
  await world.kill();
  await world.boot();
  assert.deepEqual(scripts(), once, 'a woken worker finds its pages by their ports');
});

test('the last word of a script whose extension was replaced is no page', async () => {
  const world = new World();
  let orphan;
  world.meanwhile = async () => {
    orphan = await world.attach('page');
    orphan.postMessage({ ...configure(), type: 'page.resumed' });
  };
  await world.boot();
  assert.equal(orphan.closed, true);
  assert.deepEqual(Object.keys(world.state().pages), []);
  const popup = await world.connect('popup');
  assert.equal(popup.received.at(-1).payload.tabs, 0);
  const page = await flexPage(world, { ...configure(), type: 'page.resumed' }, flexToken());
  assert.equal(last(page, 'HEARTBEAT').status, 'registered');
  assert.equal(popup.received.at(-1).payload.tabs, 1);
});
