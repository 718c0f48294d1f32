// What another network costs: how long the agent is unreachable, how long the heartbeat is wrong, how long a call is silent. It
// measures, and judges nothing: network.test.mjs does.
//
//   FLEXVC=bin/flexvc node e2e/extension/bench-links.mjs [10]
import { median, ms, pause, startWorld, until } from './world.mjs';

const switches = Number(process.argv[2] ?? 10);

const world = await startWorld();
try {
  const page = await world.openFlex();
  await world.registered(page);
  await world.atEdge('a document that is ready', (sockets) => sockets.length === 2);

  // What is open stays open, and nothing comes through.
  const idle = { 'heartbeat tells': [], 'reachable': [] };
  for (let i = 0; i < switches; i += 1) {
    await pause(1_000 + 300 * i);
    const before = Math.max(...(await world.sockets()).map((s) => s.id));
    const at = Date.now();
    await world.order('strand', { identity: world.identity });
    await world.atEdge('a new registration', (sockets) => sockets.some((s) => s.registered && s.id > before));
    idle.reachable.push(Date.now() - at);
    const told = await until('a heartbeat that said so', () => page.evaluate((at) => window.problems.find((p) => p.problem === 'signalling_lost' && p.at > at)?.at, at));
    idle['heartbeat tells'].push(told - at);
    await world.registered(page);
  }
  for (const [what, list] of Object.entries(idle)) print(`link switch, idle, ${what}`, list, 'ms');

  const gaps = [];
  const restarts = [];
  for (let i = 0; i < switches; i += 1) {
    const sid = await world.answered(page);
    await pause(2_000 + 100 * i);
    const { age: from } = await world.stats(sid);
    await world.order('strand', { identity: world.identity, calls: true });
    const after = await until('audio over the other link', async () => {
      const s = await world.stats(sid);
      return s.age - from > 1e9 && (await world.heard(sid, s.age - 500e6, s.age)).packets > 20 && s;
    }, 60_000);
    gaps.push(ms((await world.heard(sid, from, after.age)).longest_gap));
    restarts.push(after.ice_restarts);
    await world.order('hangup', { sid });
    await world.atRest(page);
  }
  print('link switch, in a call, gap', gaps, 'ms');
  console.log(`${'ICE restarts'.padEnd(40)} ${restarts.join(', ')}`);
} finally {
  await world.stop();
}

function print(what, list, unit) {
  console.log(`${what.padEnd(40)} median ${median(list)} ${unit}  (${Math.min(...list)}-${Math.max(...list)}, ${list.length} switches)`);
}
