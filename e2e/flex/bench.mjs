// What the plugin adds to Flex's start: as many starts with it as without, in turns, and what its own code takes of them.
//
//   node e2e/flex/bench.mjs [BOOTS]
import { startFlex, until } from './world.mjs';

const boots = Number(process.argv[2] ?? 20);
if (!(boots >= 1)) throw new Error(`${process.argv[2]} is no number of starts`);
const wanted = 50; // ms, of evaluation and init
const ms = (value) => value.toFixed(1).padStart(7);

/** Of an even number the mean of the two in the middle: the upper one alone would make every difference larger. */
function median(list) {
  const sorted = list.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/** Measures the bundle from within: its evaluation, and its init, up to where Flex goes on. */
const clocks = `(() => {
  const plugins = Twilio.Flex.Plugins;
  const { init } = plugins;
  plugins.init = (Plugin) => {
    plugins.init = init;
    const own = Plugin.prototype.init;
    Plugin.prototype.init = function (...given) {
      const at = performance.now();
      try {
        return own.apply(this, given);
      } finally {
        window.__init = performance.now() - at;
      }
    };
    return init.call(plugins, Plugin);
  };
  window.__at = performance.now();
})();`;

/** The median of what the pairs differ by, and where it lies in 95 of 100 samples like these. Both of a pair had the same load. */
function difference(a, b) {
  const pairs = a.map((value, at) => value - b[at]);
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const all = Array.from({ length: 5000 }, () => median(pairs.map(() => pairs[Math.floor(random() * pairs.length)]))).sort((x, y) => x - y);
  return { value: median(pairs), low: all[125], high: all[4874] };
}

const flex = await startFlex();
try {
  const { source } = await flex.deployPlugin();
  await flex.enable(true);
  const show = (source) => flex.flexOrder('plugin', { name: 'flexvc', version: '0.0.1', source });
  const measured = `${clocks}${source};window.__evaluated = performance.now() - window.__at;`;
  await show(measured);
  const page = await flex.openFlex();
  const badge = page.locator('[data-flexvc=badge] [role=status]');
  const ready = () => until('the plugin at work', async () => (await badge.innerText()) === 'Voice ready');
  await ready();

  /** Answers what Flex took, and what of it the plugin's own evaluation and init did. */
  async function boot(kind) {
    await show(kind === 'with' ? measured : '');
    await page.reload();
    const start = await flex.booted(page);
    if (kind === 'without') return { start };
    const own = await page.evaluate(() => window.__evaluated + window.__init);
    if (!(own > 0)) throw new Error('the plugin was not measured');
    await ready(); // or it would be at work when the next start is measured
    return { start, own };
  }
  async function pair(turn) {
    const both = {};
    for (const kind of turn % 2 ? ['with', 'without'] : ['without', 'with']) both[kind] = await boot(kind);
    return both;
  }
  // Chromium keeps the compiled script only after it has seen it some times.
  await pair(0);
  await pair(1);

  const began = performance.now();
  const took = { with: [], without: [], own: [] };
  // Each goes first as often as the other.
  for (let turn = 0; turn < boots; turn += 1) {
    const both = await pair(turn);
    took.with.push(both.with.start);
    took.without.push(both.without.start);
    took.own.push(both.with.own);
    console.error(`${String(turn + 1).padStart(3)} of ${boots}: ${ms(both.with.start)} ms with, ${ms(both.without.start)} ms without, ${ms(both.with.own)} ms its own`);
  }
  const seconds = (performance.now() - began) / 1000;

  const { value, low, high } = difference(took.with, took.without);
  const row = (name, list) => console.log(`${ms(median(list))} ms  (${Math.min(...list).toFixed(1)} to ${Math.max(...list).toFixed(1)}, n=${list.length})  ${name}`);
  row("Flex's start with the plugin", took.with);
  row("Flex's start without", took.without);
  console.log(`${ms(value)} ms  median difference of a pair; ${low.toFixed(1)} to ${high.toFixed(1)} ms in 95 of 100 resamples`);
  row(`the plugin's own evaluation and init; at most ${wanted} ms are wanted, which ${took.own.filter((own) => own <= wanted).length} starts kept`, took.own);
  console.log(`${seconds.toFixed(0).padStart(7)} s   for ${boots} pairs, ${(seconds / boots).toFixed(1)} s each`);
} finally {
  await flex.stop();
}
