// Calls through the unpacked extension, with the Voice SDK as it ships in it, real signalling and real audio. What is
// asserted is what became of a call and of its packets; how long things took is printed.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { median, ms, pause, startWorld, until } from './world.mjs';

let world, page;

/** A test that hangs ends by itself, so that what it started is ended too. */
const each = { timeout: 100_000 };

before(async () => {
  world = await startWorld();
  page = await world.openFlex();
  await world.registered(page);
});

after(() => world?.stop());

// Every call leaves the extension as it found it: one registered client, one in the document, both at rest.
afterEach(async () => {
  await world.noCall(page);
  await world.atEdge('two sockets', (sockets) => sockets.length === 2 && sockets.filter((s) => s.registered).length === 1 && sockets.every((s) => !s.calls?.length));
  assert.equal((await world.documents()).length, 1, 'offscreen documents');
});

async function answered(more) {
  const sid = await world.ring(more);
  await world.callIs(page, 'open');
  await world.heardMore(sid);
  return sid;
}

async function hangUp(sid) {
  await world.say(page, 'HANGUP_CALL');
  const s = await world.inState(sid, 'ended');
  assert.equal(s.reason, 'agent');
  return s;
}

/** What came, and beside it the emulator's own longest gap in sending: a busy machine shows in both. */
const flow = ({ heard, said }) => `${heard.packets} packets, ${heard.lost} lost, longest gap ${ms(heard.longest_gap)} ms (the emulator's own ${ms(said.longest_gap)} ms)`;

test('a customer calls, is answered at once, and both hear each other', each, async (t) => {
  await world.inDocument(hearPeers);
  const recording = join(world.environment.HOME, 'agent.wav');
  const ended = world.flexvc('emulator', 'call', world.worker.friendly_name, '--seconds', '4', '--record', recording);
  await world.callIs(page, 'open');
  const hears = await until('the customer to be heard', async () => {
    const heard = await world.inDocument(hearing);
    return heard?.packets > 100 && heard.energy > 0 && heard;
  });
  assert.equal(hears.lost, 0);
  const { code, said } = await ended;
  assert.equal(code, 0, said);
  assert.match(said, /^ringing .*\nanswered .*\nended .*: customer\nheard .* 0 lost/m);
  for (const line of said.trim().split('\n')) t.diagnostic(line);

  const s = await world.stats('');
  const talk = await world.heard(s.sid, s.marks.first_packet, s.age);
  assert.ok(talk.level > -20, `the agent's beeps: ${talk.level} dBov`);
  const wav = await readFile(recording);
  let loudest = 0;
  for (let at = 44; at + 1 < wav.length; at += 2) loudest = Math.max(loudest, Math.abs(wav.readInt16LE(at)));
  assert.ok(loudest > 3000, `loudest sample recorded: ${loudest}`);
});

test('the microphone is open in a call, and only then', each, async () => {
  await world.inDocument(watchMicrophone);
  assert.equal(await world.inDocument(openTracks), 0);
  const sid = await answered();
  assert.equal(await world.inDocument(openTracks), 1);
  await hangUp(sid);
  await until('a closed microphone', async () => (await world.inDocument(openTracks)) === 0);
});

test('100 reloads, a closed tab, a killed renderer and two tabs: the customer hears none of it', each, async (t) => {
  const sid = await answered();
  const window = async (name, what, alone) => {
    const from = (await world.stats(sid)).age;
    await what();
    const { age } = await world.stats(sid);
    const heard = await world.heard(sid, from, age);
    const said = await world.order('said', { sid, start: from, end: age });
    t.diagnostic(`${name}, ${(ms(age - from) / 1000).toFixed(1)} s: ${flow({ heard, said })}${alone ? `, ${(heard.longest_gap / alone.longest_gap).toFixed(2)} x of it left alone` : ''}`);
    assert.equal(heard.lost, 0, name);
    assert.equal(said.lost, 0, name);
    return heard;
  };
  const alone = await window('left alone', () => pause(12_000));
  await window('100 reloads', async () => {
    for (let i = 0; i < 100; i += 1) await page.reload();
    await world.callIs(page, 'open');
  }, alone);
  await window('tab closed 5 s', async () => {
    await page.close();
    await pause(5_000);
    page = await world.openFlex();
    await world.callIs(page, 'open');
  }, alone);
  await window('renderer killed', async () => {
    const crashed = page.waitForEvent('crash');
    page.goto('chrome://crash').catch(() => {});
    await crashed;
    await page.close();
    page = await world.openFlex();
    await world.callIs(page, 'open');
  }, alone);
  await window('two tabs', async () => {
    const second = await world.openFlex();
    await world.callIs(second, 'open');
    await world.say(second, 'SET_MUTED', { muted: true });
    await world.waitForPage(page, 'muted in the other tab', () => window.latest.CALL?.muted);
    await world.say(page, 'SET_MUTED', { muted: false });
    await world.waitForPage(second, 'not muted in the other tab', () => window.latest.CALL?.muted === false);
    await second.close();
    await world.callIs(page, 'open');
  }, alone);
  const s = await hangUp(sid);
  assert.equal(s.heard.lost, 0);
  assert.equal(s.reported.lost, 0);
  assert.equal(s.reconnects, 0);
});

test('the service worker is stopped 20 times in a call: mute, keys and hang-up work again', each, async (t) => {
  const took = { registered: [], mute: [], keys: [], hangup: [] };
  const back = async (after) => {
    const { number } = after;
    await world.atEdge('registered again', (sockets) => sockets.some((s) => s.registered && s.id > number));
    took.registered.push(Date.now() - after.at);
  };
  const stop = async () => {
    const number = Math.max(...(await world.sockets()).map((s) => s.id));
    return { number, at: await world.stopWorker(page) };
  };
  const popup = await world.openPopup();
  const sid = await answered();
  for (let i = 0; i < 20; i += 1) {
    const stopped = await stop();
    const muted = i % 2 === 0;
    const { digits } = await world.stats(sid);
    await world.say(page, 'SET_MUTED', { muted });
    await world.say(page, 'SEND_DTMF_DIGITS', { digits: '7' });
    await world.waitForPage(page, `muted ${muted}`, (muted) => window.latest.CALL?.muted === muted, muted);
    took.mute.push(Date.now() - stopped.at);
    await until('a digit', async () => (await world.stats(sid)).digits?.length === (digits?.length ?? 0) + 1);
    took.keys.push(Date.now() - stopped.at);
    await back(stopped);
    await popup.getByRole('heading', { name: 'In a call' }).waitFor();
    await popup.locator(`#mute[aria-pressed=${muted}]`).waitFor();
  }
  let s = await world.stats(sid);
  assert.equal(s.heard.lost, 0);
  assert.equal(s.state, 'in-progress');
  t.diagnostic(`in the call: ${flow(s)}`);
  const last = await stop();
  s = await hangUp(sid);
  took.hangup.push(Date.now() - last.at);
  await back(last);
  await popup.getByText('You ended the call.').waitFor();
  await popup.close();
  // And in the other states: at rest, at any moment between invite and answer, and as the customer leaves.
  await back(await stop());
  const handed = [];
  for (const wait of [0, 10, 30, 60, 100]) {
    const during = await world.ring();
    await pause(wait);
    await back(await stop());
    // An invite that died with the worker is nobody's: the agent can be called again, and this customer gives up.
    handed.push(`${wait} ms: ${(await world.stats(during)).state}`);
    if ((await world.stats(during)).state === 'in-progress') await world.callIs(page, 'open');
    const leaving = await stop();
    await world.order('hangup', { sid: during });
    await world.inState(during, 'ended');
    await back(leaving);
    await world.noCall(page);
  }
  t.diagnostic(`stopped after the invite: ${handed.join(', ')}`);
  await hangUp(await answered());
  for (const [what, list] of Object.entries(took)) {
    t.diagnostic(`stopped to ${what}: median ${median(list)} ms, longest ${Math.max(...list)} ms, of ${list.length}`);
  }
});

test('signalling is dropped in a call: it goes on', each, async (t) => {
  const sid = await answered();
  for (const code of [0, 1011]) {
    const { reconnects, age } = await world.stats(sid);
    const at = Date.now();
    await world.order('drop', { identity: world.identity, code });
    await until('the call is held again', async () => {
      const s = await world.stats(sid);
      return s.reconnects === reconnects + 1 && s.state === 'in-progress';
    });
    const held = Date.now() - at;
    await world.atEdge('registered', (sockets) => sockets.some((s) => s.registered));
    t.diagnostic(`dropped (${code}): held again after ${held} ms, registered after ${Date.now() - at} ms`);
    const s = await world.heardMore(sid);
    assert.equal((await world.heard(sid, age, s.age)).lost, 0);
    await world.callIs(page, 'open');
  }
  await hangUp(sid);
});

test('the network is gone for 25 s in a call: it comes back by itself', each, async (t) => {
  const sid = await answered();
  const outage = { refuse_sockets: true, block_media: true };
  await world.order('faults', { faults: outage, seconds: 25 });
  await world.order('drop', { identity: world.identity, code: 0 });
  await world.callIs(page, 'reconnecting');
  await until('the network is back', async () => (await world.order('events')).filter((e) => e.kind === 'faults').length % 2 === 0, 40_000);
  const at = Date.now();
  await world.heardMore(sid);
  const s = await world.inState(sid, 'in-progress');
  t.diagnostic(`heard again ${Date.now() - at} ms after the network was back, ${s.ice_restarts} ICE restarts; ${flow(s)}`);
  await world.callIs(page, 'open');
  await world.registered(page);
  const { age } = await world.heardMore(sid, 50);
  assert.equal((await world.heard(sid, age - 500e6, age)).lost, 0);
  const fired = await world.order('fired');
  assert.ok(fired.refuse_sockets > 0 && fired.block_media > 0, JSON.stringify(fired));
  await hangUp(sid);
});

test('voice tokens of 25 s, a Flex token that expires and a token endpoint out of order: a call outlives them all', each, async (t) => {
  const events = async () => (await world.order('events')).filter((e) => e.identity === world.identity);
  const first = (await events()).at(-1).number;
  await world.serve('25s');
  world.flex.tokenTTL = '8s';
  const anew = world.tokens.served;
  await page.evaluate(async () => window.say('FLEX_TOKEN', await (await fetch('/session')).json()));
  await until('a voice token of 25 s', () => world.tokens.served > anew);
  const began = Date.now();
  const sid = await answered();
  world.tokens.mode = 'down';
  const { asked } = world.tokens;
  await until('a request that fails', () => world.tokens.asked > asked, 40_000);
  world.tokens.mode = 'nonsense';
  const again = world.tokens.asked;
  await until('a request that is answered with nonsense', () => world.tokens.asked > again, 40_000);
  const { asked: logins } = world.flex;
  world.tokens.mode = 'well';
  const { served } = world.tokens;
  await until('a new voice token', () => world.tokens.served > served, 40_000);
  assert.ok(world.flex.asked > logins, 'the plugin was asked for a new Flex token');
  t.diagnostic(`the token endpoint was back, and a new voice token there, ${((Date.now() - began) / 1000).toFixed(1)} s after the first of 25 s`);
  const s = await until('the first token is over', async () => {
    const now = await world.stats(sid);
    return Date.now() - began > 26_000 && now;
  }, 40_000);
  assert.equal(s.state, 'in-progress');
  assert.equal(s.heard.lost, 0);
  t.diagnostic(flow(s));
  const bad = (await events()).filter((e) => e.number > first && /^token\.(expired|refused)/.test(e.kind));
  assert.deepEqual(bad, [], 'the edge never saw an expired token');
  await world.registered(page);
  await hangUp(sid);
  world.flex.tokenTTL = '1h';
  await world.serve();
  const long = world.tokens.served;
  await page.evaluate(async () => window.say('FLEX_TOKEN', await (await fetch('/session')).json()));
  await until('a long voice token', () => world.tokens.served > long);
});

test('a customer who gives up 0 to 300 ms after the invite leaves nothing behind', each, async (t) => {
  const ends = [];
  for (let wait = 0; wait <= 300; wait += 15) {
    const sid = await world.ring();
    await pause(wait);
    await world.order('hangup', { sid });
    const s = await world.inState(sid, 'ended');
    ends.push(`${wait}:${s.reason}`);
    await world.noCall(page);
  }
  t.diagnostic(ends.join(' '));
  const sid = await answered();
  await hangUp(sid);
});

test('fifty calls in a row', each, async (t) => {
  const [connect, packet] = [[], []];
  for (let i = 0; i < 50; i += 1) {
    const sid = await world.ring();
    const s = await until('audio', async () => {
      const now = await world.stats(sid);
      return now.heard.packets > 2 && now;
    });
    assert.equal(s.heard.lost, 0);
    connect.push(ms(s.invite_to_connect));
    packet.push(ms(s.invite_to_first_packet));
    if (i % 2) await world.order('hangup', { sid });
    else {
      await world.callIs(page, 'open');
      await hangUp(sid);
    }
    await world.inState(sid, 'ended');
    await world.noCall(page);
  }
  t.diagnostic(`invite to connect: median ${median(connect)} ms; invite to first packet: median ${median(packet)} ms`);
});

test('a second call is refused as busy, and the first goes on', each, async () => {
  const sid = await answered();
  const { age } = await world.stats(sid);
  const second = await world.ring();
  assert.equal((await world.inState(second, 'ended')).reason, 'busy');
  const s = await world.heardMore(sid);
  assert.equal((await world.heard(sid, age, s.age)).lost, 0);
  assert.equal(s.state, 'in-progress');
  await hangUp(sid);
});

// What runs in the offscreen document --------------------------------------------------------------------------------

// Keeps the connections that the SDK makes, to ask them what they heard.
const hearPeers = `(() => {
  globalThis.peers = [];
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (...args) { peers.push(this); return set.apply(this, args); };
})()`;

const hearing = `(async () => {
  const peer = peers.findLast((p) => p.connectionState === 'connected');
  const inbound = peer && [...(await peer.getStats()).values()].find((s) => s.type === 'inbound-rtp');
  return inbound && { packets: inbound.packetsReceived, lost: inbound.packetsLost, energy: inbound.totalAudioEnergy };
})()`;

const watchMicrophone = `(() => {
  globalThis.opened = [];
  const get = navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.getUserMedia = async (...args) => {
    const stream = await get.apply(navigator.mediaDevices, args);
    opened.push(...stream.getAudioTracks());
    return stream;
  };
})()`;

const openTracks = `opened.filter((track) => track.readyState === 'live').length`;
