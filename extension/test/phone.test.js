import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { createDigits } from '../app/offscreen/digits.js';
import { createPeers } from '../app/offscreen/peers.js';
import { createPhone } from '../app/offscreen/phone.js';
import { quality } from '../app/offscreen/quality.js';

const chosen = { input: '', output: '', ringtone: '' };
const preparation = { token: 'voice-1', identity: 'ext_alice', edge: 'roaming', holdSeconds: 30, appVersion: '1', chosen };
const offer = { callSid: 'CA1', connectToken: 'connect', from: '+15550100' };
const settle = () => new Promise((resolve) => setImmediate(resolve));

class FakeTrack {
  live = true;
  enabled = true;
  constructor(sound) {
    this.sound = sound;
  }
  clone() {
    return new FakeTrack(this.sound);
  }
  stop() {
    this.live = false;
  }
}

class FakeStream {
  constructor(tracks) {
    this.tracks = new Set(tracks);
  }
  getTracks() {
    return [...this.tracks];
  }
  getAudioTracks() {
    return [...this.tracks];
  }
  addTrack(track) {
    this.tracks.add(track);
  }
  removeTrack(track) {
    this.tracks.delete(track);
  }
}

class FakePeer {
  static made = [];
  static generateCertificate = async () => 'certificate';
  constructor(configuration) {
    this.configuration = configuration;
    FakePeer.made.push(this);
  }
  addTransceiver() {
    return { receiver: { track: new FakeTrack('silence') } };
  }
  addTrack(track) {
    this.sender = { track, replaceTrack: async (other) => void (this.sender.track = other) };
    return this.sender;
  }
  async setLocalDescription() {
    this.described = true;
  }
  async getStats() {
    return new Map();
  }
  addEventListener() {}
  removeEventListener() {}
  close() {
    this.closed = true;
  }
}

/** A phone with a fake SDK, microphone and clock. */
function makePhone({ microphone, slow, granted } = {}) {
  const devices = [];
  const streams = [];
  const said = [];
  const timers = new Map();
  let clock = 0;
  let timer = 0;
  class Call extends EventEmitter {
    muted = false;
    digits = '';
    isMuted() {
      return this.muted;
    }
    mute(muted) {
      this.muted = muted;
      this.emit('mute', muted);
    }
    sendDigits(digits) {
      this.digits += digits;
    }
    disconnect() {
      this.disconnected = true;
      this.emit('disconnect');
    }
  }
  class Device extends EventEmitter {
    constructor(token, options) {
      super();
      Object.assign(this, { token, options, calls: [], inputs: [] });
      this.audio = {
        incoming() {}, outgoing() {}, disconnect() {},
        speakerDevices: { set: async (id) => (this.speaker = id) },
        setInputDevice: async (id) => this.inputs.push(id),
        unsetInputDevice: async () => {},
      };
      devices.push(this);
    }
    updateToken(token) {
      this.token = token;
      this.asked = (this.asked ?? 0) + 1;
      if (!this.dead) queueMicrotask(() => this._stream?.emit('connected', {}));
    }
    async connect({ connectToken }) {
      if (this.refuses) throw new Error('no');
      const stream = await this.options.getUserMedia({ audio: true });
      const peer = new this.options.RTCPeerConnection();
      peer.addTrack(stream.getAudioTracks()[0], stream);
      const call = Object.assign(new Call(), { connectToken, stream, peer });
      this.calls.push(call);
      return call;
    }
    async _setupStream() {
      this.warm = true;
      this._stream = Object.assign(new EventEmitter(), {
        status: 'connected',
        said: [],
        hangup: (callSid) => this._stream.said.push(callSid),
        transport: { close: () => (this.cut = true) },
      });
    }
    destroy() {
      this.destroyed = true;
    }
  }
  const phone = createPhone({
    Device,
    media: {
      async getUserMedia(constraints) {
        if (slow) await settle();
        if (microphone) throw Object.assign(new Error(microphone), { name: microphone });
        const stream = new FakeStream([new FakeTrack('voice')]);
        streams.push(stream);
        return stream;
      },
      enumerateDevices: async () => [],
    },
    signal: () => said.push('signal'),
    peers: createPeers({ RTCPeerConnection: FakePeer, MediaStream: FakeStream }),
    report: (type, payload) => said.push({ type, ...structuredClone(payload) }),
    now: () => clock,
    later: (task, ms) => (timers.set(++timer, { task, due: clock + ms }), timer),
    cancel: (id) => timers.delete(id),
  });
  if (granted) phone.setDevices([{ kind: 'audioinput', label: 'Built-in', deviceId: 'b' }], true);
  return {
    phone, devices, said,
    device: () => devices.at(-1),
    call: () => devices.at(-1).calls.at(-1),
    liveMicrophones: () => streams.flatMap((s) => s.getTracks()).filter((t) => t.live).length,
    opened: () => streams.length,
    ends: () => said.filter((s) => s.type === 'offscreen.callEnded').map((s) => s.reason),
    async pass(ms) {
      clock += ms;
      for (const [id, { task, due }] of [...timers]) if (due <= clock) (timers.delete(id), task());
      await settle();
    },
  };
}

async function inCall(options) {
  const kit = makePhone(options);
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  kit.call().emit('accept');
  return kit;
}

test('the socket is open before the first call', () => {
  const { phone, device } = makePhone();
  phone.prepare(preparation);
  assert.ok(device().warm);
  assert.equal(device().options.maxCallSignalingTimeoutMs, 30_000);
  assert.equal(device().options.enableImprovedSignalingErrorPrecision, true);
});

test('an SDK without the inner names still takes calls, only later', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.device()._setupStream = undefined;
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.call().connectToken, 'connect');
});

test('the microphone is opened once for a call and closed after it', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  assert.equal(kit.opened(), 0, 'not before');
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.opened(), 1, 'the SDK gets the stream that is already open');
  kit.call().emit('accept');
  assert.equal(kit.liveMicrophones(), 1);
  kit.call().emit('disconnect');
  await kit.pass(0);
  assert.equal(kit.liveMicrophones(), 0);
  assert.deepEqual(kit.ends(), ['ended']);
});

test('how the last call ended can be asked later', async () => {
  const kit = makePhone();
  assert.equal(kit.phone.ended(), null);
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  kit.phone.hangUp();
  assert.deepEqual(kit.phone.ended(), { callSid: offer.callSid, reason: 'hung_up' });
});

test('a call goes connecting, open, reconnecting, open, and tells each', async () => {
  const kit = await inCall();
  kit.call().emit('reconnecting');
  kit.call().emit('reconnected');
  const seen = kit.said.filter((s) => s.type === 'offscreen.callChanged').map((s) => s.call.status);
  assert.deepEqual(seen, ['connecting', 'open', 'reconnecting', 'open']);
  assert.ok(kit.said.includes('signal'), 'the agent hears that a call is there');
});

test('a call that arrives before the token waits for it', async () => {
  const kit = makePhone();
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.phone.call().status, 'connecting');
  kit.phone.prepare(preparation);
  await settle();
  assert.equal(kit.call().connectToken, 'connect');
});

test('a caller who is gone does not leave the agent connecting for ever', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await kit.pass(9_999);
  assert.deepEqual(kit.ends(), []);
  await kit.pass(1);
  await kit.pass(0);
  assert.deepEqual(kit.ends(), ['not_answered']);
  assert.equal(kit.liveMicrophones(), 0);
  assert.ok(kit.call().disconnected);
});

test('a cancelled invite shortens the wait, and an answer in that time still counts', async () => {
  const gone = makePhone();
  gone.phone.prepare(preparation);
  gone.phone.take(offer);
  await settle();
  gone.phone.inviteGone('CA1');
  await gone.pass(3_500);
  await gone.pass(1_500);
  assert.deepEqual(gone.ends(), ['not_answered']);

  const taken = makePhone();
  taken.phone.prepare(preparation);
  taken.phone.take(offer);
  await settle();
  taken.phone.inviteGone('CA1');
  taken.call().emit('accept');
  await taken.pass(60_000);
  assert.equal(taken.phone.call().status, 'open');
});

test('hanging up while the call is still being made leaves nothing behind', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  kit.phone.hangUp();
  await settle();
  await kit.pass(0);
  assert.deepEqual(kit.ends(), ['hung_up']);
  assert.equal(kit.liveMicrophones(), 0);
  assert.equal(kit.phone.call(), null);
});

test('without a microphone the call is given back, with the reason', async () => {
  for (const [name, reason] of [['NotAllowedError', 'microphone_denied'], ['NotFoundError', 'microphone_missing']]) {
    const kit = makePhone({ microphone: name });
    kit.phone.prepare(preparation);
    kit.phone.take(offer);
    await settle();
    assert.deepEqual(kit.ends(), [reason]);
    assert.equal(kit.device().calls.length, 0, 'the SDK would have hung up on the caller');
  }
});

test('a new token goes to the call that is up; a new identity waits for its end', async () => {
  const kit = await inCall();
  kit.phone.prepare({ ...preparation, token: 'voice-2' });
  assert.equal(kit.device().token, 'voice-2');
  kit.phone.prepare({ ...preparation, token: 'voice-3', identity: 'ext_bob' });
  assert.equal(kit.devices.length, 1);
  assert.equal(kit.device().token, 'voice-2');
  kit.call().emit('disconnect');
  await kit.pass(0);
  assert.equal(kit.devices.length, 2);
  assert.equal(kit.device().token, 'voice-3');
  assert.ok(kit.devices[0].destroyed);
});

test('a client that failed between calls is made anew for the next', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.device().emit('error', { code: 20104 });
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.devices.length, 2);
  assert.equal(kit.call().connectToken, 'connect');
});

test('two preparations that come together make one client, even before its socket is open', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.device()._stream.status = 'disconnected';
  kit.phone.prepare({ ...preparation });
  kit.device().emit('error', { code: 31009 });
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.devices.length, 1);
  assert.equal(kit.device().asked, undefined, 'the same token is not sent twice');
});

test('"the line is dead, look at your own socket": a preparation makes an open socket prove itself at once', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.phone.prepare({ ...preparation });
  await settle();
  await kit.pass(1_500);
  assert.equal(kit.devices.length, 1, 'it answered');
  kit.device().dead = true;
  kit.phone.prepare({ ...preparation });
  await kit.pass(1_500);
  assert.equal(kit.devices.length, 2);
});

test('the socket is dead and nobody noticed: the call is taken with another one', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  await kit.pass(1_499);
  assert.equal(kit.devices.length, 1);
  await kit.pass(1);
  await settle();
  assert.equal(kit.devices.length, 2);
  const [dead, fresh] = kit.devices;
  assert.equal(fresh.calls[0].connectToken, 'connect');
  fresh._stream.emit('answer', { callsid: 'CA1' });
  assert.ok(dead.cut && dead.destroyed, 'not a word of it reaches Twilio, should it wake up');
  fresh.calls[0].emit('accept');
  assert.equal(kit.phone.call().status, 'open');
  await kit.pass(60_000);
  assert.deepEqual(kit.ends(), []);
});

test('an answer that is only slow: the first attempt keeps the call, whatever the second hears', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  await kit.pass(1_500);
  await settle();
  const [first, second] = kit.devices;
  second.calls[0].emit('error', { code: 31486 });
  second.calls[0].emit('disconnect');
  assert.deepEqual(kit.ends(), []);
  first.calls[0].emit('accept');
  assert.equal(kit.phone.call().status, 'open');
  kit.phone.mute(true);
  assert.equal(first.calls[0].muted, true);
});

test('whatever fails while the call rings is tried again, at once and then a little later, and soon given back', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.device().refuses = true;
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.devices.length, 2);
  assert.deepEqual(kit.ends(), []);
  for (const made of [3, 4, 5]) {
    kit.call().emit('disconnect');
    assert.deepEqual(kit.ends(), []);
    await kit.pass(500);
    assert.equal(kit.devices.length, made);
  }
  kit.call().emit('disconnect');
  assert.deepEqual(kit.ends(), ['not_answered']);
  assert.ok(kit.devices.slice(0, 4).every((device) => device.destroyed));
});

test('"the edge was silent when the call came, and for four seconds after": the call is taken as soon as it answers', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  for (let ms = 0; ms < 4_000; ms += 500) await kit.pass(500);
  assert.equal(kit.devices.length, 3);
  kit.call().emit('accept');
  assert.equal(kit.phone.call().status, 'open');
  assert.ok(kit.devices.slice(0, 2).every((device) => device.destroyed));
});

test('a call that is over, or that somebody else has, is not tried again', async () => {
  for (const [code, reason] of [[31404, 'not_answered'], [31486, 'answered_elsewhere']]) {
    const kit = makePhone({ granted: true });
    kit.phone.prepare(preparation);
    kit.phone.take(offer);
    await settle();
    kit.call().emit('error', { code });
    kit.call().emit('disconnect');
    assert.deepEqual(kit.ends(), [reason]);
  }
});

test('"I took the call, the network went, and the customer was left alone": an answer that was lost is waited for until a socket has none', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  kit.phone.inviteGone('CA1');
  kit.device().dead = true;
  for (let ms = 0; ms < 20_000; ms += 500) await kit.pass(500);
  assert.deepEqual(kit.ends(), []);
  kit.device().dead = false;
  await kit.pass(1_500);
  kit.call().emit('accept');
  assert.equal(kit.phone.call().status, 'open');

  const never = makePhone({ granted: true });
  never.phone.prepare(preparation);
  never.phone.take(offer);
  await settle();
  never.phone.inviteGone('CA1');
  never.device().dead = true;
  for (let ms = 0; ms < 40_000; ms += 500) await never.pass(500);
  assert.deepEqual(never.ends(), ['not_answered'], 'nobody holds it as long as that');
});

test('a call whose invite is gone is not tried again: it has been answered, or the caller left', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  kit.phone.inviteGone('CA1');
  await kit.pass(1_500);
  assert.equal(kit.devices.length, 1);
});

test('a hang-up while signalling is away is kept, and said again with another socket where the first is dead', async () => {
  const kit = await inCall();
  kit.device()._stream.status = 'disconnected';
  kit.phone.hangUp();
  assert.deepEqual(kit.device()._stream.said, ['CA1'], "the SDK's own call says nothing then");

  const dead = await inCall();
  dead.device().dead = true;
  dead.phone.hangUp();
  await dead.pass(1_500);
  assert.equal(dead.devices.length, 2);
  assert.deepEqual(dead.device()._stream.said, ['CA1']);

  const swapped = await inCall();
  swapped.device().dead = true;
  swapped.phone.hangUp();
  swapped.device()._stream.transport._socket = {};
  swapped.device().dead = false;
  swapped.device()._stream.emit('connected', {});
  await settle();
  assert.deepEqual(swapped.device()._stream.said, ['CA1'], 'the SDK had opened another socket meanwhile');

  const well = await inCall();
  well.phone.hangUp();
  await settle();
  await well.pass(1_500);
  assert.deepEqual([well.devices.length, well.device()._stream.said], [1, []]);
});

test('a socket that does not prove itself alive is replaced before a call needs it', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  await kit.pass(5_000);
  await kit.pass(5_000);
  assert.equal(kit.devices.length, 1);
  assert.equal(kit.device().asked, 2);
  kit.device().dead = true;
  await kit.pass(5_000);
  await kit.pass(1_500);
  assert.equal(kit.devices.length, 2);
  assert.ok(kit.devices[0].destroyed);
});

test('mute is what the SDK says, also when asked before the call is there', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  kit.phone.mute(true);
  await settle();
  assert.equal(kit.call().muted, true);
  kit.call().emit('accept');
  kit.phone.mute(false);
  assert.equal(kit.phone.call().muted, false);
});

test('fifty calls in a row leave one client and no open microphone', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  for (let i = 0; i < 50; i++) {
    kit.phone.take({ ...offer, callSid: `CA${i}` });
    await settle();
    kit.call().emit('accept');
    kit.call().emit('disconnect');
    await kit.pass(0);
  }
  assert.deepEqual(kit.ends(), Array(50).fill('ended'));
  assert.equal(kit.devices.length, 1);
  assert.equal(kit.liveMicrophones(), 0);
});

test('a headset that is pulled out and comes back is used again', async () => {
  const kit = await inCall();
  const headset = { kind: 'audioinput', label: 'Headset', deviceId: 'h1' };
  kit.phone.setDevices([headset]);
  kit.phone.choose({ kind: 'input', label: 'Headset' });
  kit.phone.setDevices([]);
  kit.phone.setDevices([headset]);
  assert.deepEqual(kit.device().inputs, ['h1', 'default', 'h1']);
});

test('digits typed quickly all play, each after the one before', async () => {
  const played = [];
  const timers = [];
  const digits = createDigits((run) => played.push(run), (task, ms) => timers.push({ task, ms }));
  digits.send('1');
  digits.send('2');
  digits.send('3w4');
  assert.deepEqual(played, ['1']);
  const waits = [];
  while (timers.length) {
    const { task, ms } = timers.shift();
    waits.push(ms);
    task();
  }
  assert.deepEqual(played, ['1', '23', '4']);
  assert.deepEqual(waits, [230, 460, 500, 230]);
});

test('quality in words and figures', () => {
  assert.deepEqual(quality({ mos: 4.31, rtt: 38.4, jitter: 2.6, packetsLostFraction: 0.14 }), { level: 'good', mos: 4.3, rttMs: 38, jitterMs: 3, lossPercent: 0.1 });
  assert.equal(quality({ mos: 3.7 }).level, 'fair');
  assert.equal(quality({ mos: 2.1 }).level, 'poor');
  assert.deepEqual(quality({ mos: null, packetsLostFraction: 9 }), { level: 'poor', mos: null, rttMs: null, jitterMs: null, lossPercent: 9 });
});

test('another edge, or a client that failed, waits for the end of the call; the token does not', async () => {
  const kit = await inCall();
  kit.phone.prepare({ ...preparation, token: 'voice-2', edge: 'dublin' });
  assert.equal(kit.devices.length, 1);
  assert.equal(kit.device().token, 'voice-2');
  kit.call().emit('disconnect');
  await kit.pass(0);
  assert.equal(kit.device().options.edge, 'dublin');
});

test('the connection of a call is made before it, with its certificate, and without a network', async () => {
  const kit = makePhone({ granted: true });
  await settle();
  const before = FakePeer.made.length;
  const spare = FakePeer.made.at(-1);
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.call().peer, spare);
  assert.equal(FakePeer.made.length, before);
  assert.deepEqual(spare.configuration, { certificates: ['certificate'] });
  assert.equal(spare.described, undefined);
  kit.call().emit('disconnect');
  await kit.pass(0);
  assert.equal(FakePeer.made.length, before + 1, 'and the next one after it');
});

test('the caller is taken before the microphone is open, and hears it once it is', async () => {
  const kit = makePhone({ granted: true, slow: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await null;
  for (let i = 0; i < 10 && !kit.call(); i++) await null;
  assert.equal(kit.opened(), 0);
  assert.equal(kit.call().peer.sender.track.sound, 'silence');
  kit.call().mute(true);
  kit.call().stream.getAudioTracks()[0].enabled = false;
  await settle();
  await settle();
  const { track } = kit.call().peer.sender;
  assert.equal(track.sound, 'voice');
  assert.equal(track.enabled, false, 'muted meanwhile');
  assert.deepEqual(kit.call().stream.getAudioTracks(), [track]);
});

test("the SDK's level meter follows from the silence to the microphone", async () => {
  const kit = makePhone({ granted: true, slow: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  for (let i = 0; i < 10 && !kit.call(); i++) await null;
  const measured = [];
  kit.call()._mediaHandler = { _inputAnalyser: {}, _updateInputStreamSource: (stream) => measured.push(stream.getAudioTracks()[0].sound) };
  await settle();
  await settle();
  assert.deepEqual(measured, ['voice']);
});

test('a microphone that was chosen while another was being opened stays', async () => {
  const kit = makePhone({ granted: true, slow: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  for (let i = 0; i < 10 && !kit.call(); i++) await null;
  const chosenTrack = new FakeTrack('headset');
  await kit.call().peer.sender.replaceTrack(chosenTrack);
  await settle();
  await settle();
  assert.equal(kit.call().peer.sender.track, chosenTrack);
  assert.equal(kit.liveMicrophones(), 0, 'the other one is closed');
});

test('a microphone that fails ends the call it was opened for, and is waited for the next time', async () => {
  const kit = makePhone({ granted: true, microphone: 'NotReadableError' });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  assert.deepEqual(kit.ends(), ['microphone_missing']);
  assert.ok(kit.call().disconnected);
  kit.phone.take({ ...offer, callSid: 'CA2' });
  await settle();
  assert.deepEqual(kit.ends(), ['microphone_missing', 'microphone_missing']);
  assert.equal(kit.device().calls.length, 1, 'the second is given back untouched');
});

test('a microphone that opens after the hang-up is closed again', async () => {
  const kit = makePhone({ slow: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  kit.phone.hangUp();
  assert.equal(kit.opened(), 0, 'still being opened');
  await kit.pass(0);
  await settle();
  assert.equal(kit.opened(), 1);
  assert.equal(kit.liveMicrophones(), 0);
});
