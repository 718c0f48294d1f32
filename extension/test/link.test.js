// The path of a call, on a clock of its own: packets that come or do not, an edge that answers or does not.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { watchLink } from '../app/offscreen/link.js';

const settle = () => new Promise((resolve) => setImmediate(resolve));

function makeLink() {
  const kit = { packets: 0, responses: 0, comes: true, answers: true, online: true, restarts: 0, reconnects: 0, told: [], uris: [] };
  let clock = 0;
  let serial = 0;
  const timers = new Map();
  const listeners = new Map();
  const peer = {
    iceConnectionState: 'connected',
    addEventListener: (name, listen) => listeners.set(name, listen),
    removeEventListener: (name) => listeners.delete(name),
    getStats: async () => new Map(Object.entries({
      t: { type: 'transport', selectedCandidatePairId: 'pair' },
      p: { type: 'candidate-pair', id: 'pair', responsesReceived: kit.responses, currentRoundTripTime: 0.02 },
      i: { type: 'inbound-rtp', packetsReceived: kit.packets },
    })),
  };
  const stream = Object.assign(new EventEmitter(), {
    status: 'connected',
    transport: { uri: 'wss://voice-js.roaming.twilio.com/signal', close() {}, _closeSocket: () => ((kit.reconnects += 1), (stream.status = 'disconnected')) },
    updatePreferredURI: (uri) => kit.uris.push(uri),
  });
  const device = { _stream: stream, edge: 'ashburn' };
  const call = {
    _mediaHandler: {
      iceRestart() {
        kit.restarts += 1;
        if (kit.answers) queueMicrotask(() => stream.emit('answer', { callsid: 'CA1' }));
      },
    },
  };
  const link = watchLink({ peer, call, device, callSid: 'CA1' }, {
    changed: (away) => kit.told.push(away),
    online: () => kit.online,
    now: () => clock,
    later: (task, ms) => (timers.set(++serial, { task, due: clock + ms }), serial),
    cancel: (id) => timers.delete(id),
  });
  return Object.assign(kit, {
    link, stream, device, call, peer, listeners, timers,
    fire: (name) => listeners.get(name)?.(),
    async pass(ms, step = 50) {
      for (let i = 0; i < ms; i += step) {
        clock += step;
        if (kit.comes) kit.packets += step / 20;
        for (const [id, { task, due }] of [...timers]) if (due <= clock && timers.delete(id)) task();
        await settle();
      }
    },
  });
}

test('as long as packets come, nothing is done', async () => {
  const kit = makeLink();
  await kit.pass(60_000);
  assert.deepEqual([kit.restarts, kit.reconnects, kit.told], [0, 0, []]);
});

test('"from the dock to the wireless": no packets, no answer, and within a second and a half ICE and signalling are begun anew', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.comes = kit.answers = false;
  await kit.pass(1_500);
  assert.deepEqual([kit.restarts, kit.reconnects, kit.told], [1, 1, [true]]);
  kit.stream.status = 'connected';
  kit.stream.emit('answer', { callsid: 'CA1' });
  kit.comes = true;
  await kit.pass(200);
  assert.deepEqual(kit.told, [true, false]);
  await kit.pass(60_000);
  assert.deepEqual([kit.restarts, kit.reconnects], [1, 1]);
});

test('"it came back and was gone again": the second change is noticed as soon as the first', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.comes = kit.answers = false;
  await kit.pass(1_500);
  kit.stream.status = 'connected';
  kit.stream.emit('answer', { callsid: 'CA1' });
  kit.comes = true;
  await kit.pass(200);
  kit.comes = false;
  await kit.pass(1_500);
  assert.deepEqual([kit.restarts, kit.reconnects, kit.told], [2, 2, [true, false, true]]);
});

test('"my network changed just as I had answered": what has come for a moment is missed', async () => {
  const kit = makeLink();
  await kit.pass(500);
  kit.comes = kit.answers = false;
  await kit.pass(1_700);
  assert.deepEqual([kit.restarts, kit.reconnects, kit.told], [1, 1, [true]]);
});

test('the system tells of another network: less silence is enough', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.comes = kit.answers = false;
  kit.link.networkChanged();
  await kit.pass(500);
  assert.equal(kit.restarts, 1);
});

test('the system tells of a network and packets still come: nothing is done', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.link.networkChanged();
  await kit.pass(10_000);
  assert.deepEqual([kit.restarts, kit.reconnects, kit.told], [0, 0, []]);
});

test('an edge that has nothing to say, as on hold, is asked once, and the agent is told nothing', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.comes = false;
  for (let i = 0; i < 60; i += 1) {
    kit.responses += 1;
    await kit.pass(1_000);
  }
  assert.deepEqual([kit.restarts, kit.reconnects, kit.told], [1, 0, []]);
});

test('media is blocked and signalling is not: ICE is tried again and again, the socket stays', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.comes = false;
  await kit.pass(10_000);
  assert.ok(kit.restarts >= 3 && kit.restarts <= 5, `${kit.restarts} restarts`);
  assert.deepEqual([kit.reconnects, kit.told], [0, [true]]);
});

test('ICE says that it is disconnected: nobody waits for packets', async () => {
  const kit = makeLink();
  kit.peer.iceConnectionState = 'disconnected';
  kit.fire('iceconnectionstatechange');
  assert.equal(kit.restarts, 1);
});

test('a machine that was asleep or busy has not missed anything', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.comes = false;
  await kit.pass(30_000, 30_000);
  kit.comes = true;
  await kit.pass(1_000);
  assert.equal(kit.restarts, 0);
});

test('no network at all: ICE is restarted when there is one again', async () => {
  const kit = makeLink();
  await kit.pass(5_000);
  kit.comes = kit.answers = kit.online = false;
  await kit.pass(1_000);
  kit.stream.status = 'disconnected';
  await kit.pass(10_000);
  assert.equal(kit.restarts, 0, 'the SDK would count it as a failure and end the call');
  kit.online = true;
  kit.stream.status = 'connected';
  kit.link.networkChanged();
  assert.equal(kit.restarts, 1);
});

test('"our edge was down": another one is asked, and may not end a call that it does not know', async () => {
  const kit = makeLink();
  const ended = [];
  kit.stream.on('hangup', (payload) => ended.push(payload));
  await kit.pass(5_000);
  kit.comes = kit.answers = false;
  await kit.pass(10_000);
  const [own, nearest] = ['wss://voice-js.ashburn.twilio.com/signal', 'wss://voice-js.roaming.twilio.com/signal'];
  assert.deepEqual(kit.uris, [nearest, own, nearest], 'in turns');
  kit.device.edge = 'dublin';
  kit.stream.emit('hangup', { callsid: 'CA1', error: { code: 31404 } });
  assert.deepEqual(ended, []);
  assert.equal(kit.uris.at(-1), own);
  await kit.pass(10_000);
  assert.equal(kit.uris.length, 4, 'it is not asked again');
  kit.stream.emit('hangup', { callsid: 'CA1' });
  kit.device.edge = 'ashburn';
  kit.stream.emit('hangup', { callsid: 'CA1', error: { code: 31404 } });
  assert.equal(ended.length, 2, 'a real hang-up, and the word of the own edge');
});

test('an SDK without the inner names goes its own way', async () => {
  const kit = makeLink();
  kit.call._mediaHandler = undefined;
  kit.stream.transport = undefined;
  await kit.pass(5_000);
  kit.comes = false;
  await kit.pass(30_000);
  assert.equal(kit.restarts, 0);
  assert.deepEqual(kit.told, [true]);
  kit.comes = true;
  await kit.pass(500);
  assert.deepEqual(kit.told, [true, false]);
});

test('after the call nothing is left', async () => {
  const kit = makeLink();
  await kit.pass(1_000);
  kit.link.close();
  await kit.pass(1_000);
  assert.equal(kit.timers.size + kit.listeners.size + kit.stream.listenerCount('answer'), 0);
});
