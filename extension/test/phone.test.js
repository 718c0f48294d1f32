import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { createDigits } from '../app/offscreen/digits.js';
import { createPeers } from '../app/offscreen/peers.js';
import { quality } from '../app/offscreen/quality.js';
import { createSwitchboard } from '../app/offscreen/switchboard.js';

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
  getReceivers() {
    return (this.receivers ??= [{ track: new FakeTrack('customer') }]);
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
  /** How the clients are that are made from now on. */
  const kit = { refusing: false, away: false };
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
      this.dead = kit.away;
      if (kit.refusing) this.refuse();
    }
    /** Its token is not taken, and nothing that it says afterwards is. */
    refuse() {
      this.dead = true;
      queueMicrotask(() => this.emit('error', { code: 31205 }));
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
  const phone = createSwitchboard({
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
    signal: (_, meaning) => said.push(meaning),
    peers: createPeers({ RTCPeerConnection: FakePeer, MediaStream: FakeStream }),
    report: (type, payload) => said.push({ type, ...structuredClone(payload) }),
    now: () => clock,
    later: (task, ms) => (timers.set(++timer, { task, due: clock + ms }), timer),
    cancel: (id) => timers.delete(id),
  });
  if (granted) phone.setDevices([{ kind: 'audioinput', label: 'Built-in', deviceId: 'b' }], true);
  return Object.assign(kit, {
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
  });
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
  assert.equal(kit.phone.truth().ended, null);
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  kit.phone.hangUp();
  assert.deepEqual(kit.phone.truth().ended, { callSid: offer.callSid, reason: 'hung_up' });
});

test('a call goes connecting, open, reconnecting, open, and tells each', async () => {
  const kit = await inCall();
  kit.call().emit('reconnecting');
  kit.call().emit('reconnected');
  const seen = kit.said.filter((s) => s.type === 'offscreen.callChanged').map((s) => s.call.status);
  assert.deepEqual(seen, ['connecting', 'open', 'reconnecting', 'open']);
  assert.ok(kit.said.includes('connected'), 'the agent hears that a call is there');
});

test('a call that arrives before the token waits for it', async () => {
  const kit = makePhone();
  kit.phone.take(offer);
  await settle();
  assert.equal(kit.phone.truth().call.status, 'connecting');
  kit.phone.prepare(preparation);
  await settle();
  assert.equal(kit.call().connectToken, 'connect');
});

test('a caller who is gone does not leave the agent connecting for ever', async () => {
  const kit = makePhone();
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await kit.pass(8_500);
  await kit.pass(1_499);
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
  assert.equal(taken.phone.truth().call.status, 'open');
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
  assert.equal(kit.phone.truth().call, null);
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
  assert.equal(kit.phone.truth().call.status, 'open');
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
  assert.equal(kit.phone.truth().call.status, 'open');
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
  assert.equal(kit.phone.truth().call.status, 'open');
  assert.ok(kit.devices.slice(0, 2).every((device) => device.destroyed));
});

test('"the network was away for twelve seconds, and I never got the call that rang": it is taken once a socket answers', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.device().dead = kit.away = true;
  kit.phone.take(offer);
  await settle();
  for (let ms = 0; ms < 12_000; ms += 500) await kit.pass(500);
  kit.away = false;
  assert.deepEqual(kit.ends(), []);
  assert.ok(kit.devices.filter(({ destroyed }) => !destroyed).length <= 3, 'what has not answered is let go of');
  for (let ms = 0; ms < 2_000; ms += 500) await kit.pass(500);
  kit.call().emit('accept');
  assert.equal(kit.phone.truth().call.status, 'open');
});

test('sockets that are refused one after the other are no answer to the call', async () => {
  const kit = makePhone({ granted: true });
  kit.phone.prepare(preparation);
  kit.phone.take(offer);
  await settle();
  for (let i = 0; i < 12; i += 1) {
    kit.device()._stream.status = 'disconnected';
    kit.call().emit('disconnect');
    await kit.pass(500);
  }
  assert.deepEqual(kit.ends(), []);
  kit.call().emit('accept');
  assert.equal(kit.phone.truth().call.status, 'open');
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
  assert.equal(kit.phone.truth().call.status, 'open');

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

test('"I hung up, and the customer was still there": a token that Twilio refused at that moment does not keep the hang-up back', async () => {
  const kit = await inCall();
  kit.refusing = true;
  kit.device().refuse();
  kit.phone.hangUp();
  for (let i = 0; i < 5; i += 1) await kit.pass(500);
  kit.refusing = false;
  const refused = kit.devices.length;
  await kit.pass(500);
  assert.equal(kit.devices.length, refused + 1, 'a fresh one, half a second later');
  assert.deepEqual(kit.device()._stream.said, ['CA1']);
  for (let i = 0; i < 4; i += 1) await kit.pass(500);
  assert.equal(kit.devices.length, refused + 1, 'it has taken it');
});

test('"the edge was silent when I hung up, and the customer was held": it is said again on the socket that answers at last', async () => {
  const kit = await inCall();
  kit.device().dead = true;
  kit.phone.hangUp();
  await kit.pass(500);
  kit.device().dead = false;
  await kit.pass(500);
  assert.deepEqual([kit.devices.length, kit.device()._stream.said.at(-1)], [1, 'CA1']);
  const said = kit.device()._stream.said.length;
  await kit.pass(500);
  await kit.pass(500);
  assert.equal(kit.device()._stream.said.length, said, 'it has been heard');
});

test('"I hung up while my network changed, and the customer was held": another socket says it until Twilio has missed the first', async () => {
  const ways = {
    'the SDK had opened another': (kit) => {
      kit.call().emit('reconnecting');
      kit.device()._stream.transport._socket = {};
    },
    'the first was dead': (kit) => void (kit.device().dead = true),
  };
  for (const [way, happen] of Object.entries(ways)) {
    const kit = await inCall();
    happen(kit);
    kit.phone.hangUp();
    for (let i = 0; i < 20; i += 1) await kit.pass(500);
    const before = kit.device()._stream.said.length;
    await kit.pass(500);
    assert.equal(kit.device()._stream.said.length, before + 1, way);
    assert.deepEqual([...new Set(kit.device()._stream.said)], ['CA1'], way);
    for (let i = 0; i < 50; i += 1) await kit.pass(500);
    const atMost = kit.device()._stream.said.length;
    for (let i = 0; i < 10; i += 1) await kit.pass(500);
    assert.equal(kit.device()._stream.said.length, atMost, way);
  }
});

test('"the token was refused as my network came back, and the customer heard nothing": it is said again until it is taken', async () => {
  const kit = await inCall();
  kit.call().emit('reconnecting');
  const { asked = 0 } = kit.device();
  for (let i = 0; i < 4; i += 1) await kit.pass(1_000);
  assert.equal(kit.device().asked, asked + 2);
  kit.call().emit('reconnected');
  for (let i = 0; i < 4; i += 1) await kit.pass(1_000);
  assert.equal(kit.device().asked, asked + 2);
  kit.call().emit('reconnecting');
  kit.call().emit('disconnect');
  await settle();
  assert.equal(kit.phone.truth().call, null);
});

test('a hang-up is not forgotten for the next', async () => {
  const kit = await inCall();
  kit.call().emit('reconnecting');
  kit.phone.hangUp();
  await kit.pass(500);
  kit.phone.take({ ...offer, callSid: 'CA2' });
  await settle();
  kit.call().emit('accept');
  kit.phone.hangUp();
  const from = kit.device()._stream.said.length;
  await kit.pass(500);
  assert.deepEqual(kit.device()._stream.said.slice(from), ['CA1', 'CA2']);
  await kit.pass(500);
  assert.equal(kit.device()._stream.said.at(-1), 'CA1', 'of the second its own socket has heard');
});

test('a hang-up that nobody takes is let go of when Twilio has ended the call by itself', async () => {
  const kit = await inCall();
  kit.device()._stream.status = 'disconnected';
  kit.phone.hangUp();
  for (let i = 0; i < 70; i += 1) await kit.pass(500);
  const { said } = kit.device()._stream;
  kit.device()._stream.status = 'connected';
  for (let i = 0; i < 4; i += 1) await kit.pass(500);
  assert.deepEqual(said, ['CA1']);
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

// Two calls ----------------------------------------------------------------------------------------------------

const other = { ...offer, callSid: 'CA2', connectToken: 'connect-2' };

/** Who is spoken to and who is heard: the microphone and the customer's voice of each call, in the order of its clients. */
const sound = ({ devices }) =>
  devices.flatMap(({ calls }) => calls).map(({ stream, peer, muted }) => ({
    speaks: !muted && stream.getAudioTracks().every((track) => track.enabled),
    heard: peer.getReceivers().every(({ track }) => track.enabled),
  }));
const live = { speaks: true, heard: true };
const hushed = { speaks: false, heard: false };

async function withTwo(options) {
  const kit = await inCall(options);
  kit.phone.take(other);
  await settle();
  kit.devices[1]._stream.emit('answer', { callsid: 'CA2' });
  kit.call().emit('accept');
  return kit;
}

const truth = ({ phone }) => {
  const { call, onHold } = phone.truth();
  return [call?.callSid ?? null, ...onHold.map(({ callSid }) => callSid)];
};

test('a second call has a client of its own; the first is on hold, neither heard nor spoken to', async () => {
  for (const granted of [false, true]) {
    const kit = await withTwo({ granted });
    assert.deepEqual(kit.devices.map(({ calls }) => calls.map(({ connectToken }) => connectToken)), [['connect'], ['connect-2']]);
    assert.deepEqual(sound(kit), [hushed, live]);
    assert.deepEqual(truth(kit), ['CA2', 'CA1']);
    assert.equal(kit.phone.truth().onHold[0].muted, false, 'on hold is not muted by the agent');
    assert.equal(kit.said.at(-2).call.callSid, 'CA2');
    assert.deepEqual(kit.said.at(-2).onHold.map(({ callSid }) => callSid), ['CA1']);
  }
});

test('back and forth, exactly one is heard', async () => {
  const kit = await withTwo();
  for (let i = 0; i < 5; i++) {
    kit.phone.resume('CA1');
    assert.deepEqual([sound(kit), truth(kit)], [[live, hushed], ['CA1', 'CA2']]);
    kit.phone.resume('CA1');
    kit.phone.resume('CA9');
    assert.deepEqual(truth(kit), ['CA1', 'CA2']);
    kit.phone.resume('CA2');
    assert.deepEqual([sound(kit), truth(kit)], [[hushed, live], ['CA2', 'CA1']]);
  }
});

test('the end of one call brings the other back; the client it had is let go of, and the phone serves again', async () => {
  for (let again = 0; again < 3; again++) {
    const kit = await withTwo();
    kit.call().emit('disconnect');
    assert.deepEqual([sound(kit)[0], truth(kit)], [live, ['CA1']]);
    const [end, ...after] = kit.said.slice(kit.said.findIndex(({ type }) => type === 'offscreen.callEnded'));
    assert.equal(end.callSid, 'CA2');
    assert.deepEqual([after.at(-1).call.callSid, after.at(-1).onHold], ['CA1', []]);
    await kit.pass(1_000);
    assert.deepEqual(kit.devices.map(({ destroyed }) => Boolean(destroyed)), [false, true]);
    kit.phone.take({ ...other, callSid: 'CA3' });
    await settle();
    assert.deepEqual(truth(kit), ['CA3', 'CA1']);
    assert.equal(kit.devices.length, 3);
    kit.phone.hangUp('CA3');
    kit.phone.hangUp('CA1');
    await kit.pass(1_000);
    assert.equal(kit.liveMicrophones(), 0);
    assert.equal(kit.devices.filter(({ destroyed }) => !destroyed).length, 1, 'one client is ready for the next');
  }
});

test('the call on hold ends: the other goes on', async () => {
  const kit = await withTwo();
  kit.devices[0].calls[0].emit('disconnect');
  assert.deepEqual([sound(kit)[1], truth(kit)], [live, ['CA2']]);
  kit.phone.hangUp();
  await kit.pass(1_000);
  assert.deepEqual([truth(kit), kit.liveMicrophones()], [[null], 0]);
  assert.deepEqual(kit.ends(), ['ended', 'hung_up']);
  assert.equal(kit.devices.filter(({ destroyed }) => !destroyed).length, 1);
});

test('a second call that is not answered after all brings the first back', async () => {
  const kit = await inCall({ granted: true });
  kit.phone.take(other);
  await settle();
  assert.deepEqual(sound(kit)[0], hushed);
  kit.call().emit('error', { code: 31404 });
  kit.call().emit('disconnect');
  assert.deepEqual([sound(kit)[0], truth(kit), kit.ends()], [live, ['CA1'], ['not_answered']]);
});

test('a call that is offered is heard every few seconds, until it is decided', async () => {
  const kit = await inCall();
  const heard = () => kit.said.filter((s) => s === 'offered').length;
  kit.phone.ring(true);
  for (let i = 0; i < 3; i++) await kit.pass(4_000);
  assert.equal(heard(), 4);
  kit.phone.ring(true);
  kit.phone.ring(false);
  await kit.pass(60_000);
  assert.equal(heard(), 5);
  kit.phone.ring(true);
  kit.phone.forget();
  await kit.pass(60_000);
  assert.equal(heard(), 6);
});

test('muted is muted: on hold it is kept, and taken up again', async () => {
  const kit = await inCall();
  kit.phone.mute(true);
  kit.phone.take(other);
  await settle();
  kit.call().emit('accept');
  assert.equal(kit.phone.truth().call.muted, false, 'the mute of one is not that of the other');
  assert.equal(kit.phone.truth().onHold[0].muted, true);
  kit.phone.resume('CA1');
  assert.deepEqual(sound(kit)[0], { speaks: false, heard: true });
  kit.phone.mute(false, 'CA1');
  kit.phone.mute(true, 'CA2');
  assert.deepEqual(sound(kit), [live, hushed]);
  kit.phone.resume('CA2');
  assert.deepEqual(sound(kit), [hushed, { speaks: false, heard: true }]);
  kit.phone.mute(false, 'CA1');
  assert.deepEqual(sound(kit)[0], hushed, 'unmuted on hold, it is still on hold');
});

test('keys and hang-up reach the call that is named', async () => {
  const kit = await withTwo();
  kit.phone.sendDigits('1', 'CA1');
  kit.phone.sendDigits('2');
  assert.deepEqual(kit.devices.map(({ calls: [call] }) => call.digits), ['1', '2']);
  kit.phone.hangUp('CA9');
  assert.deepEqual(truth(kit), ['CA2', 'CA1']);
  kit.phone.hangUp('CA1');
  assert.deepEqual([truth(kit), kit.devices.map(({ calls: [call] }) => Boolean(call.disconnected))], [['CA2'], [true, false]]);
});

test('another microphone, chosen while a call is on hold, is opened for it when it comes back', async () => {
  const kit = await withTwo();
  kit.phone.setDevices([{ kind: 'audioinput', label: 'Headset', deviceId: 'h1' }], true);
  kit.phone.choose({ kind: 'input', label: 'Headset' });
  assert.deepEqual(kit.devices.map(({ inputs }) => inputs), [[], ['h1']], 'the SDK would open it unmuted');
  kit.phone.resume('CA1');
  assert.deepEqual(kit.devices[0].inputs, ['h1']);
  kit.phone.take({ ...other, callSid: 'CA3' });
  await settle();
  kit.call().emit('accept');
  kit.phone.hangUp();
  assert.deepEqual(truth(kit), ['CA1', 'CA2']);
});

test('a hang-up that has not arrived keeps its client, though another call is up', async () => {
  const kit = await withTwo();
  kit.devices[1].dead = true;
  kit.phone.hangUp('CA2');
  await kit.pass(1_000);
  assert.equal(kit.devices[1].destroyed, undefined);
  await kit.pass(500);
  assert.deepEqual([...new Set(kit.devices[2]._stream.said)], ['CA2'], 'said again with another socket');
  for (let i = 0; i < 32; i++) await kit.pass(1_000);
  assert.deepEqual(kit.devices.map(({ destroyed }) => Boolean(destroyed)), [false, true, true]);
});

test('a token or another agent reaches both calls; the next call is with the new one', async () => {
  const kit = await withTwo();
  kit.phone.prepare({ ...preparation, token: 'voice-2' });
  assert.deepEqual(kit.devices.map(({ token }) => token), ['voice-2', 'voice-2']);
  kit.phone.prepare({ ...preparation, token: 'voice-3', identity: 'ext_bob' });
  assert.deepEqual(kit.devices.map(({ token }) => token), ['voice-2', 'voice-2']);
  kit.phone.hangUp();
  kit.phone.hangUp();
  for (let i = 0; i < 8; i++) await kit.pass(1_000);
  assert.deepEqual(kit.devices.filter(({ destroyed }) => !destroyed).map(({ token }) => token), ['voice-3']);
});

test('everything is let go of, whoever is on hold', async () => {
  const kit = await withTwo();
  kit.phone.forget();
  await kit.pass(1_000);
  assert.deepEqual([truth(kit), kit.liveMicrophones()], [[null], 0]);
  assert.ok(kit.devices.every(({ destroyed }) => destroyed));
  assert.ok(kit.devices.every(({ calls }) => calls.every(({ disconnected }) => disconnected)));
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
  assert.equal(kit.phone.truth().call.muted, false);
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
