// Two calls at once, with real signalling and real audio: one customer is spoken with, the other is on hold, and what each of
// them hears is asserted at their end, what the agent hears at the agent's.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { pause, plays, startWorld, until } from './world.mjs';

let world, page;

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
  await world.inDocument(hearPeers);
});

after(() => world?.stop());

const play = plays(async () => {
  await world.atRest(page);
  await world.inDocument('void globalThis.peers?.clear()');
});

/** As Flex calls the agent, who has pressed Accept on this page. */
const accepted = async () => world.ring({ parameters: { flex_session_identifier: await page.evaluate(() => window.session) } });

const sidsOn = (there) => there.evaluate(() => {
  const { call, onHold = [], offers = [] } = window.latest.HEARTBEAT;
  return { call: call?.callSid ?? null, onHold: onHold.map(({ callSid }) => callSid), offers: offers.map(({ callSid }) => callSid) };
});

/** What the page says of the calls, once it says that. */
async function says(wanted, there = page) {
  const whole = { call: null, onHold: [], offers: [], ...wanted };
  let last;
  await until(`a page that says ${JSON.stringify(whole)}`, async () => JSON.stringify((last = await sidsOn(there))) === JSON.stringify(whole))
    .catch((error) => { throw new Error(`${error.message}, but ${JSON.stringify(last)}`); });
  await until('a page whose call is the active one', () => there.evaluate((sid) => (window.latest.CALL?.callSid ?? null) === sid, whole.call));
}

/** A fake microphone beeps every second; what is muted sends silence. What was on its way when it was asked is over soon. */
async function customersHear(expected) {
  await pause(500);
  const from = new Map();
  for (const sid of Object.keys(expected)) from.set(sid, (await world.stats(sid)).age);
  await pause(2_500);
  for (const [sid, hears] of Object.entries(expected)) {
    const { level, packets } = await world.heard(sid, from.get(sid), (await world.stats(sid)).age);
    assert.ok(packets > 100, `${sid}: ${packets} packets`);
    // Chromium takes what the agent hears out of what is sent, and some of the beep with it.
    if (hears) assert.ok(level > -50, `${sid} hears the agent: ${level} dBov`);
    else assert.equal(level, -127, `${sid} hears nothing of the agent`);
  }
}

/** Whom of the customers the agent hears, who all speak, in the order in which they were answered. */
async function agentHears(...expected) {
  let heard;
  await until(`an agent who hears ${JSON.stringify(expected)}`, async () => {
    heard = await world.inDocument(loudness);
    return JSON.stringify(heard.map((peak) => peak > 0.01)) === JSON.stringify(expected);
  }, 10_000).catch((error) => { throw new Error(`${error.message}, but ${JSON.stringify(heard)}`); });
  // Not only for a moment.
  await pause(500);
  assert.deepEqual((await world.inDocument(loudness)).map((peak) => peak > 0.01), expected);
}

/** The customer is still there, and has lost nothing. */
async function isWell(sid) {
  const s = await world.heardMore(sid);
  assert.equal(s.state, 'in-progress');
  assert.equal(s.heard.lost, 0);
}

async function bothEnd(...sids) {
  for (const sid of sids) {
    await world.say(page, 'HANGUP_CALL', { callSid: sid });
    assert.equal((await world.inState(sid, 'ended')).reason, 'agent');
  }
}

play('"I accepted a second call in Flex": the first is on hold, the second is answered, and after it the first is back', async (t) => {
  const first = await world.answered(page);
  await customersHear({ [first]: true });
  const second = await accepted();
  const s = await world.inState(second, 'in-progress');
  t.diagnostic(`invite to connect ${Math.round(s.invite_to_connect / 1e6)} ms, with a client of its own`);
  await says({ call: second, onHold: [first] });
  await customersHear({ [first]: false, [second]: true });
  await agentHears(false, true);
  await isWell(first);
  await world.order('hangup', { sid: second });
  await says({ call: first });
  await customersHear({ [first]: true });
  await isWell(first);
  await bothEnd(first);
});

play('"somebody called while I was talking": I saw who, held the first, went back, and forth', async () => {
  const first = await world.answered(page, { from: '+15550101' });
  const popup = await world.openPopup();
  const row = (sid) => popup.locator(`#others [data-call="${sid}"]`);
  const second = await world.ring({ from: '+15550102' });
  await says({ call: first, offers: [second] });
  assert.equal(await page.evaluate(() => window.latest.HEARTBEAT.offers[0].from), '+15550102');
  await row(second).getByText('+15550102').waitFor();
  // It rings until somebody decides, and nobody notices.
  await customersHear({ [first]: true });
  assert.equal((await world.stats(second)).state, 'ringing');

  await row(second).getByRole('button', { name: 'Hold and answer' }).click();
  await world.inState(second, 'in-progress');
  await says({ call: second, onHold: [first] });
  await customersHear({ [first]: false, [second]: true });
  await agentHears(false, true);

  await row(first).getByRole('button', { name: 'Resume' }).click();
  await says({ call: first, onHold: [second] });
  await customersHear({ [first]: true, [second]: false });
  await agentHears(true, false);

  await world.say(page, 'ANSWER_CALL', { callSid: second });
  await says({ call: second, onHold: [first] });
  await customersHear({ [first]: false, [second]: true });
  await agentHears(false, true);
  for (const sid of [first, second]) await isWell(sid);
  await popup.close();
  await bothEnd(second, first);
});

play('"I had no time for another one": declined, the second caller hears busy and the first does not notice', async () => {
  const first = await world.answered(page);
  const popup = await world.openPopup();
  for (const decline of [
    () => popup.getByRole('button', { name: 'Decline' }).click(),
    (sid) => world.say(page, 'DECLINE_CALL', { callSid: sid }),
    (sid) => world.say(page, 'HANGUP_CALL', { callSid: sid }),
  ]) {
    const second = await world.ring();
    await says({ call: first, offers: [second] });
    await decline(second);
    assert.equal((await world.inState(second, 'ended')).reason, 'busy');
    await says({ call: first });
  }
  await popup.close();
  await isWell(first);
  await bothEnd(first);
});

play('"the second one gave up before I had decided": nothing is left of it', async () => {
  const first = await world.answered(page);
  for (const wait of [0, 200]) {
    const second = await world.ring();
    if (wait) await says({ call: first, offers: [second] });
    await world.order('hangup', { sid: second });
    await world.inState(second, 'ended');
    await says({ call: first });
  }
  // At the very moment in which the agent answers: taken and ended, or never taken, but the first goes on.
  for (const wait of [0, 20, 40, 80]) {
    const second = await world.ring();
    await says({ call: first, offers: [second] });
    await world.say(page, 'ANSWER_CALL', { callSid: second });
    await pause(wait);
    await world.order('hangup', { sid: second });
    await world.inState(second, 'ended');
    await says({ call: first });
  }
  await customersHear({ [first]: true });
  await isWell(first);
  await bothEnd(first);
});

play('"the customer I spoke with hung up while another was calling": that one rings on until I answer', async () => {
  const first = await world.answered(page);
  const second = await world.ring();
  await says({ call: first, offers: [second] });
  await world.order('hangup', { sid: first });
  await says({ offers: [second] });
  await pause(1_000);
  assert.equal((await world.stats(second)).state, 'ringing', 'nobody answers but the agent');
  await world.say(page, 'ANSWER_CALL', { callSid: second });
  await says({ call: second });
  await customersHear({ [second]: true });
  await bothEnd(second);
});

play('"I was muted, put one on hold, and was not unmuted by it": each call keeps its own mute', async () => {
  const first = await world.answered(page);
  await world.say(page, 'SET_MUTED', { muted: true });
  await world.waitForPage(page, 'muted', () => window.latest.CALL?.muted);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  await customersHear({ [first]: false, [second]: true });
  await world.say(page, 'SET_MUTED', { muted: true, callSid: second });
  await world.say(page, 'ANSWER_CALL', { callSid: first });
  await says({ call: first, onHold: [second] });
  await customersHear({ [first]: false, [second]: false });
  await agentHears(true, false);
  await world.say(page, 'SET_MUTED', { muted: false });
  await customersHear({ [first]: true, [second]: false });
  // Unmuted on hold, it is on hold.
  await world.say(page, 'SET_MUTED', { muted: false, callSid: second });
  await customersHear({ [first]: true, [second]: false });
  await bothEnd(second, first);
});

play('"I pressed keys for the one on hold, and hung up on it": the call that is named, and no other', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  await world.heardMore(second);
  await world.say(page, 'SEND_DTMF_DIGITS', { digits: '42', callSid: first });
  await world.say(page, 'SEND_DTMF_DIGITS', { digits: '7' });
  const pressed = async (sid) => ((await world.stats(sid)).digits ?? []).map(({ key }) => key).join('');
  await until('the keys', async () => (await pressed(first)) === '42' && (await pressed(second)) === '7');
  await world.say(page, 'HANGUP_CALL', { callSid: first });
  assert.equal((await world.inState(first, 'ended')).reason, 'agent');
  await says({ call: second });
  await isWell(second);
  await customersHear({ [second]: true });
  await bothEnd(second);
});

play('"the one on hold hung up": the other does not notice', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  await world.order('hangup', { sid: first });
  await says({ call: second });
  await customersHear({ [second]: true });
  await isWell(second);
  await bothEnd(second);
});

play('"I reloaded Flex with two calls and a third one ringing": all of them are still there', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  const third = await world.ring();
  await says({ call: second, onHold: [first], offers: [third] });
  for (let i = 0; i < 5; i += 1) await page.reload();
  await world.waitForPage(page, 'a heartbeat', () => window.latest?.HEARTBEAT);
  await says({ call: second, onHold: [first], offers: [third] });
  await customersHear({ [first]: false, [second]: true });
  await world.say(page, 'ANSWER_CALL', { callSid: third });
  await says({ call: third, onHold: [first, second] });
  await customersHear({ [first]: false, [second]: false, [third]: true });
  await agentHears(false, false, true);
  for (const sid of [first, second]) await isWell(sid);
  await world.order('hangup', { sid: third });
  await says({ call: second, onHold: [first] });
  await bothEnd(second, first);
});

play('"something crashed in the background": two calls go on, and a third that rings can still be answered', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  const third = await world.ring();
  await says({ call: second, onHold: [first], offers: [third] });
  await world.stopWorker(page);
  await world.registered(page);
  await says({ call: second, onHold: [first], offers: [third] });
  await customersHear({ [first]: false, [second]: true });
  await world.say(page, 'ANSWER_CALL', { callSid: third });
  await says({ call: third, onHold: [first, second] });
  await customersHear({ [first]: false, [second]: false, [third]: true });
  for (const sid of [first, second]) await isWell(sid);
  await bothEnd(third, second, first);
});

play('"it crashed in the very moment in which I answered": the first is back, or the second is answered', async (t) => {
  const became = [];
  for (const wait of [0, 10, 25, 50, 100, 200]) {
    const first = await world.answered(page);
    const second = await world.ring();
    await says({ call: first, offers: [second] });
    await world.stopWorker(page, wait, () => void world.say(page, 'ANSWER_CALL', { callSid: second }));
    await world.registered(page);
    // Heard by nobody, the agent's click is not lost with it: the call is offered still, or it is up.
    const after = await until('one or the other', async () => {
      const said = await sidsOn(page);
      return (said.call === second || said.offers.includes(second)) && said;
    });
    became.push(`${wait}:${after.call === second ? 'answered' : 'offered'}`);
    if (after.call !== second) await world.say(page, 'ANSWER_CALL', { callSid: second });
    await says({ call: second, onHold: [first] });
    await world.inState(second, 'in-progress');
    await isWell(first);
    await bothEnd(second, first);
    await world.noCall(page);
  }
  t.diagnostic(became.join(' '));
});

play('"the call on hold ended while the background was away": it is not shown any more', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  await world.stopWorker(page, 0, () => void world.order('hangup', { sid: first }));
  await world.inState(first, 'ended');
  await world.registered(page);
  await says({ call: second });
  await customersHear({ [second]: true });
  await bothEnd(second);
});

play('"the network was gone for a moment": both calls are there again, and the one on hold is still on hold', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  await world.heardMore(second);
  await world.order('drop', { identity: world.identity });
  await until('both sockets to be back', async () => (await Promise.all([first, second].map((sid) => world.stats(sid)))).every(({ state, reconnects }) => state === 'in-progress' && reconnects === 1));
  await world.registered(page);
  await says({ call: second, onHold: [first] });
  await customersHear({ [first]: false, [second]: true });
  await agentHears(false, true);
  await bothEnd(second, first);
});

play('"I walked over to another network with two customers on the line": both come along, and the one on hold is still on hold', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  await world.heardMore(second);
  await world.order('strand', { identity: world.identity, calls: true });
  for (const sid of [first, second]) await world.heardMore(sid, 50);
  await world.registered(page);
  await says({ call: second, onHold: [first] });
  await customersHear({ [first]: false, [second]: true });
  await agentHears(false, true);
  await world.say(page, 'ANSWER_CALL', { callSid: first });
  await says({ call: first, onHold: [second] });
  await customersHear({ [first]: true, [second]: false });
  await agentHears(true, false);
  await bothEnd(second, first);
});

// The last: a document that was made anew has nothing to listen with.
play('"the phone itself crashed with two customers on the line": neither is left in silence, a third that rings is still offered, and answered', async () => {
  const first = await world.answered(page);
  const second = await accepted();
  await says({ call: second, onHold: [first] });
  await world.heardMore(second);
  const third = await world.ring();
  await says({ call: second, onHold: [first], offers: [third] });
  const worker = await world.background();
  await worker.evaluate(() => chrome.offscreen.closeDocument());
  for (const sid of [first, second]) await world.inState(sid, 'ended');
  await says({ offers: [third] });
  await world.say(page, 'ANSWER_CALL', { callSid: third });
  await says({ call: third });
  await customersHear({ [third]: true });
  await bothEnd(third);
});

// What runs in the offscreen document --------------------------------------------------------------------------------

// Keeps the connections that the SDK makes, in the order in which they were answered.
const hearPeers = `(() => {
  globalThis.peers = new Set();
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (...args) { peers.add(this); return set.apply(this, args); };
  globalThis.ears = new AudioContext();
})()`;

// The peak of what each of them plays, within a quarter of a second.
const loudness = `Promise.all([...peers].filter((peer) => peer.connectionState === 'connected').map(async (peer) => {
  const [{ track }] = peer.getReceivers();
  const source = ears.createMediaStreamSource(new MediaStream([track]));
  const analyser = new AnalyserNode(ears, { fftSize: 2048 });
  source.connect(analyser);
  const samples = new Float32Array(2048);
  let peak = 0;
  for (let i = 0; i < 6; i += 1) {
    await new Promise((then) => setTimeout(then, 50));
    analyser.getFloatTimeDomainData(samples);
    // A new source fades in.
    if (i > 0) peak = Math.max(peak, ...samples.map(Math.abs));
  }
  source.disconnect();
  return peak;
}))`;
