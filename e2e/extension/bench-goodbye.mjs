// How often, and how soon, a call is hung up when the browser is closed: it ends the extension some hundredths of a second after
// it has told it of its last window. It measures, and judges nothing: silence.test.mjs does.
//
//   FLEXVC=bin/flexvc node e2e/extension/bench-goodbye.mjs [10]
import { median, pause, startWorld } from './world.mjs';

const times = Number(process.argv[2] ?? 10);
const freed = [];
const left = [];
for (let i = 0; i < times; i += 1) {
  const world = await startWorld();
  try {
    const page = await world.openFlex();
    await world.registered(page);
    const sid = await world.answered(page);
    const at = Date.now();
    await world.context.close();
    await pause(1_000);
    const events = await world.order('events');
    const after = (event) => event && Date.parse(event.at) - at;
    const bye = after(events.find(({ kind, call_sid: call }) => kind === 'frame.hangup' && call === sid));
    if (bye === undefined) continue;
    freed.push(bye);
    const closed = after(events.findLast(({ kind }) => kind === 'socket.closed'));
    left.push(closed - bye);
  } finally {
    await world.stop();
  }
}
console.log(`the browser is closed in a call: hung up ${freed.length} of ${times} times`);
if (freed.length) console.log(`after                                    median ${median(freed)} ms  (${Math.min(...freed)}-${Math.max(...freed)}), before the sockets went: median ${median(left)} ms  (${Math.min(...left)}-${Math.max(...left)})`);
