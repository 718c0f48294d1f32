// Figures of calls through the extension: how fast they are answered, and what a refresh of the tab or the death of the
// service worker costs them. It measures, and judges nothing: call.test.mjs does.
//
//   FLEXVC=bin/flexvc node e2e/extension/bench.mjs
//   FLEXVC=bin/flexvc node e2e/extension/bench.mjs --one-client   the other architecture, see ARCHITECTURE.md
import { median, ms, pause, startWorld, until } from './world.mjs';

const calls = 10;

// What runs in the offscreen document.
const watchPeers = `(() => {
  globalThis.peers = [];
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (...args) { peers.push(this); return set.apply(this, args); };
})()`;
const inbound = `(async () => {
  const stats = [...(await peers.findLast((p) => p.connectionState === 'connected').getStats()).values()].find((s) => s.type === 'inbound-rtp');
  const { packetsReceived, packetsLost, packetsDiscarded = 0, concealedSamples, totalSamplesReceived } = stats;
  return { packets: packetsReceived, lost: packetsLost, discarded: packetsDiscarded, concealed: concealedSamples, samples: totalSamplesReceived };
})()`;

const world = await startWorld();
try {
  const page = await world.openFlex();
  await world.registered(page);
  await world.atEdge('a document that is ready', (sockets) => sockets.length === 2);

  const ways = { 'handed over': world.identity };
  if (process.argv.includes('--one-client')) ways['one client'] = await oneClient();
  const marks = {};
  for (let i = 0; i < calls; i += 1) {
    for (const [way, identity] of Object.entries(ways)) {
      // At rest, as an agent's browser is before most calls.
      await pause(1_000);
      const sid = await world.ring({ identity });
      const s = await until('audio', async () => {
        const now = await world.stats(sid);
        return now.heard.packets > 5 && now;
      });
      for (const mark of ['connect', 'answer', 'ice', 'dtls', 'first_packet']) ((marks[mark] ??= {})[way] ??= []).push(ms(s.marks[mark]));
      await world.order('hangup', { sid });
      await world.noCall(page);
    }
  }
  for (const mark of ['connect', 'first_packet']) console.log(`${`invite to ${mark}, first of session`.padEnd(36)} ${marks[mark]['handed over'][0].toFixed(1)} ms`);
  for (const [mark, byWay] of Object.entries(marks)) {
    for (const [way, list] of Object.entries(byWay)) {
      const who = Object.keys(ways).length > 1 ? `, ${way}` : '';
      console.log(`${`invite to ${mark}${who}`.padEnd(36)} median ${median(list).toFixed(1)} ms  (${Math.min(...list)}-${Math.max(...list)}, ${list.length} calls)`);
    }
  }

  await world.inDocument(watchPeers);
  const sid = await world.ring();
  await world.callIs(page, 'open');
  await world.heardMore(sid);
  const flows = {};
  const during = async (name, what) => {
    const before = await world.inDocument(inbound);
    const from = (await world.stats(sid)).age;
    await what();
    const { age } = await world.stats(sid);
    const after = await world.inDocument(inbound);
    const heard = await world.heard(sid, from, age);
    const said = await world.order('said', { sid, start: from, end: age });
    (flows[name] ??= []).push({ ns: age - from, heard, said, browser: Object.fromEntries(Object.entries(after).map(([k, v]) => [k, v - before[k]])) });
  };
  const reload = async () => {
    await page.reload();
    await world.callIs(page, 'open');
  };
  // In turns, so that what else this machine does weighs on all alike.
  for (let turn = 0; turn < 10; turn += 1) {
    await during('left alone', () => pause(5_000));
    await during('100 reloads, 2 a second', async () => {
      for (let i = 0; i < 10; i += 1) await Promise.all([reload(), pause(500)]);
    });
    await during('100 reloads, no pause', async () => {
      for (let i = 0; i < 10; i += 1) await reload();
    });
  }
  const gaps = (list, way) => list.map((one) => one[way].longest_gap);
  const typical = (name) => median(gaps(flows[name], 'heard'));
  const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
  for (const [name, list] of Object.entries(flows)) {
    console.log(`${name.padEnd(24)} ${(sum(list, (one) => one.ns) / 1e9).toFixed(1)} s, ${sum(list, (one) => one.heard.lost)} of ${sum(list, (one) => one.heard.packets)} lost, longest gap of ${list.length} turns ${ms(Math.max(...gaps(list, 'heard')))} ms, median ${ms(typical(name))} ms, ${(typical(name) / typical('left alone')).toFixed(2)} x left alone (the emulator's own ${ms(median(gaps(list, 'said')))})`);
    const share = (100 * sum(list, (one) => one.browser.concealed)) / sum(list, (one) => one.browser.samples);
    console.log(`${''.padEnd(24)} the agent's browser: ${sum(list, (one) => one.browser.lost)} of ${sum(list, (one) => one.browser.packets)} lost, ${sum(list, (one) => one.browser.discarded)} too late, ${share.toFixed(2)} % of the sound made up`);
  }

  const took = { 'worker to registered': [], 'worker to muted': [] };
  for (let i = 0; i < 20; i += 1) {
    const number = Math.max(...(await world.sockets()).map((socket) => socket.id));
    const at = await world.stopWorker(page);
    const muted = i % 2 === 0;
    const registered = world.atEdge('registered', (sockets) => sockets.some((s) => s.registered && s.id > number))
      .then(() => took['worker to registered'].push(Date.now() - at));
    await world.say(page, 'SET_MUTED', { muted });
    await world.waitForPage(page, 'muted', (muted) => window.latest.CALL?.muted === muted, muted);
    took['worker to muted'].push(Date.now() - at);
    await registered;
  }
  for (const [name, list] of Object.entries(took)) {
    console.log(`${name.padEnd(24)} median ${median(list)} ms  (${Math.min(...list)}-${Math.max(...list)}, ${list.length} stops)`);
  }
  await world.order('hangup', { sid });
} finally {
  await world.stop();
}

/** Puts a second agent's client wholly into the offscreen document: registered there, answering there. Gives its identity. */
async function oneClient() {
  const { workers } = await world.control('state');
  const other = workers.find(({ sid, attributes }) => sid !== world.worker.sid && attributes.includes('contact_uri'));
  const { token } = await world.control('token', { worker: other.sid, ttl: '1h' });
  const answer = await fetch(world.tokens.url, { method: 'POST', headers: { Origin: world.base.slice(0, -1) }, body: new URLSearchParams({ Token: token }) });
  const voice = await answer.json();
  await world.inDocument(`(${answerHere})(${JSON.stringify(voice.token)})`);
  await until('the one client registered', async () => (await world.order('sockets')).some((s) => s.identity === voice.identity && s.registered));
  return voice.identity;
}

// Runs in the offscreen document, with all that makes the phone there fast.
async function answerHere(token) {
  const { createPeers } = await import('/offscreen/peers.js');
  const peers = createPeers(window);
  await peers.rehearse();
  let seat;
  const device = new Twilio.Device(token, { maxCallSignalingTimeoutMs: 30_000, logLevel: 'silent', getUserMedia: async () => seat.stream, RTCPeerConnection: peers.Peer });
  for (const sound of ['incoming', 'outgoing', 'disconnect']) device.audio[sound](false);
  device.on('error', () => {});
  device.on('incoming', (call) => {
    const opening = navigator.mediaDevices.getUserMedia({ audio: true });
    seat = peers.take();
    const { give } = seat;
    call.accept();
    opening.then((stream) => give(stream.getAudioTracks()[0]));
    call.on('disconnect', async () => {
      for (const track of (await opening).getTracks()) track.stop();
      peers.prepare();
    });
  });
  device.register();
}
