// Figures of calls through the extension: how fast they are answered, and what a refresh of the tab or the death of the
// service worker costs them. It measures, and judges nothing: call.test.mjs does.
//
//   FLEXVC=bin/flexvc node e2e/extension/bench.mjs
import { median, ms, pause, startWorld, until } from './world.mjs';

const calls = 10;
const world = await startWorld();
try {
  const page = await world.openFlex();
  await world.registered(page);
  await world.atEdge('a document that is ready', (sockets) => sockets.length === 2);

  const marks = {};
  const note = (name, value) => (marks[name] ??= []).push(value);
  for (let i = 0; i < calls; i += 1) {
    // At rest, as an agent's browser is before most calls.
    await pause(1_000);
    const sid = await world.ring();
    const s = await until('audio', async () => {
      const now = await world.stats(sid);
      return now.heard.packets > 5 && now;
    });
    for (const mark of ['connect', 'answer', 'ice', 'dtls', 'first_packet']) note(`invite to ${mark}`, ms(s.marks[mark]));
    await world.order('hangup', { sid });
    await world.noCall(page);
  }
  for (const [name, list] of Object.entries(marks)) {
    console.log(`${name.padEnd(24)} median ${median(list).toFixed(1)} ms  (${Math.min(...list)}-${Math.max(...list)}, ${list.length} calls)`);
  }

  const sid = await world.ring();
  await world.callIs(page, 'open');
  await world.heardMore(sid);
  const during = async (name, what, alone) => {
    const from = (await world.stats(sid)).age;
    await what();
    const { age } = await world.stats(sid);
    const heard = await world.heard(sid, from, age);
    const said = await world.order('said', { sid, start: from, end: age });
    const ratio = alone ? `${(heard.longest_gap / alone.longest_gap).toFixed(2)} x` : '';
    console.log(`${name.padEnd(24)} ${(ms(age - from) / 1000).toFixed(1)} s, ${heard.lost} lost, longest gap ${ms(heard.longest_gap)} ms ${ratio} (p99.9 ${ms(heard.gap_p999)}, the emulator's own ${ms(said.longest_gap)})`);
    return heard;
  };
  const alone = await during('left alone', () => pause(20_000));
  await during('100 reloads', async () => {
    for (let i = 0; i < 100; i += 1) {
      await page.reload();
      await world.callIs(page, 'open');
    }
  }, alone);

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
