// Calls through the unpacked extension, with the Voice SDK as it ships in it, real signalling and real audio. What is
// asserted is what became of a call and of its packets; how long things took is printed.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { flow, median, ms, pause, plays, startWorld, until } from './world.mjs';

let world, page;

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
  await world.inDocument(watchMicrophone);
});

after(() => world?.stop());

const play = plays(async () => {
  await world.atRest(page);
  await until('a closed microphone', async () => (await world.inDocument(openTracks)) === 0);
});

play('a customer calls, is answered at once, and both hear each other', async (t) => {
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

  const wav = await readFile(recording);
  let loudest = 0;
  for (let at = 44; at + 1 < wav.length; at += 2) loudest = Math.max(loudest, Math.abs(wav.readInt16LE(at)));
  assert.ok(loudest > 3000, `loudest sample recorded: ${loudest}`);

  // Without a customer who talks: Chromium takes what is left of the beeps beside speech for an echo, by chance all of them.
  await world.noCall(page);
  const sid = await world.answered(page);
  const { age } = await world.heardMore(sid, 150);
  const talk = await world.heard(sid, 0, age);
  assert.ok(talk.level > -20, `the agent's beeps: ${talk.level} dBov`);
  await world.hangUp(page, sid);
});

play('the microphone is open in a call, and only then', async () => {
  assert.equal(await world.inDocument(openTracks), 0);
  const sid = await world.answered(page);
  assert.equal(await world.inDocument(openTracks), 1);
  // A call that is declined opens none, and does not close this one.
  const other = await world.ring();
  await world.waitForPage(page, 'an offer', () => window.latest.HEARTBEAT.offers.length > 0);
  await world.say(page, 'DECLINE_CALL', { callSid: other });
  await world.inState(other, 'ended');
  assert.equal(await world.inDocument(openTracks), 1);
  await world.hangUp(page, sid);
  await until('a closed microphone', async () => (await world.inDocument(openTracks)) === 0);
});

/** Looks at what the customer hears meanwhile: nothing may be lost. With `alone`, a call left alone, the gap is compared. */
async function listening(t, sid, name, what, alone) {
  const from = (await world.stats(sid)).age;
  await what();
  const { age } = await world.stats(sid);
  const heard = await world.heard(sid, from, age);
  const said = await world.order('said', { sid, start: from, end: age });
  t.diagnostic(`${name}, ${(ms(age - from) / 1000).toFixed(1)} s: ${flow({ heard, said })}${alone ? `, ${(heard.longest_gap / alone.longest_gap).toFixed(2)} x of it left alone` : ''}`);
  assert.equal(heard.lost, 0, name);
  assert.equal(said.lost, 0, name);
  return heard;
}

async function heardAll(sid) {
  const s = await world.hangUp(page, sid);
  assert.equal(s.heard.lost, 0);
  assert.equal(s.reported.lost, 0);
  assert.equal(s.reconnects, 0);
}

play('100 reloads: the customer hears none of it', async (t) => {
  const sid = await world.answered(page);
  const alone = await listening(t, sid, 'left alone', () => pause(12_000));
  await listening(t, sid, '100 reloads', async () => {
    for (let i = 0; i < 100; i += 1) await page.reload();
    await world.callIs(page, 'open');
  }, alone);
  await heardAll(sid);
});

play('a closed tab, a killed renderer and two tabs: the customer hears none of it', async (t) => {
  const sid = await world.answered(page);
  await listening(t, sid, 'tab closed 30 s', async () => {
    await page.close();
    await pause(30_000);
    page = await world.openFlex();
    await world.callIs(page, 'open');
  });
  await listening(t, sid, 'renderer killed', async () => {
    const crashed = page.waitForEvent('crash');
    page.goto('chrome://crash').catch(() => {});
    await crashed;
    await page.close();
    page = await world.openFlex();
    await world.callIs(page, 'open');
  });
  await listening(t, sid, 'two tabs', async () => {
    const second = await world.openFlex();
    await world.callIs(second, 'open');
    await world.say(second, 'SET_MUTED', { muted: true });
    await world.waitForPage(page, 'muted in the other tab', () => window.latest.CALL?.muted);
    await world.say(page, 'SET_MUTED', { muted: false });
    await world.waitForPage(second, 'not muted in the other tab', () => window.latest.CALL?.muted === false);
    await second.close();
    await world.callIs(page, 'open');
  });
  await heardAll(sid);
});

play('a customer who gives up 0 to 300 ms after the invite leaves nothing behind', async (t) => {
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
  const sid = await world.answered(page);
  await world.hangUp(page, sid);
});

play('fifty calls in a row', async (t) => {
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
      await world.hangUp(page, sid);
    }
    await world.inState(sid, 'ended');
    await world.noCall(page);
  }
  t.diagnostic(`invite to connect: median ${median(connect)} ms; invite to first packet: median ${median(packet)} ms`);
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
