// What the plugin adds to Flex's start: as many starts with it as without, in turns, and what its own code takes of them.
//
//   node e2e/flex/bench.mjs [BOOTS]
import { median } from '../extension/world.mjs';
import { startFlex, until } from './world.mjs';

const boots = Number(process.argv[2] ?? 20);
const profiled = 5;
const ms = (value) => value.toFixed(1).padStart(7);

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

  const took = { with: [], without: [], own: [] };
  async function boot(kind) {
    await show(kind === 'with' ? measured : '');
    await page.reload();
    took[kind].push(await flex.booted(page));
    if (kind === 'with') {
      took.own.push(await page.evaluate(() => window.__evaluated + window.__init));
      await ready();
    }
  }
  // Each goes first as often as the other.
  for (let i = 0; i < boots; i += 1) for (const kind of i % 2 ? ['with', 'without'] : ['without', 'with']) await boot(kind);

  const self = [];
  const devtools = await flex.context.newCDPSession(page);
  await devtools.send('Profiler.enable');
  await devtools.send('Profiler.setSamplingInterval', { interval: 100 });
  await show(source);
  for (let i = 0; i < profiled; i += 1) {
    await devtools.send('Profiler.start');
    await page.reload();
    await flex.booted(page);
    const { profile } = await devtools.send('Profiler.stop');
    const ours = new Set(profile.nodes.filter(({ callFrame }) => callFrame.url.includes('/plugins/')).map(({ id }) => id));
    if (!ours.size) throw new Error('the profile knows nothing of the plugin');
    self.push(profile.samples.reduce((sum, id, at) => sum + (ours.has(id) ? profile.timeDeltas[at] : 0), 0) / 1000);
  }

  const { value, low, high } = difference(took.with, took.without);
  const row = (name, list) => console.log(`${ms(median(list))} ms  (${Math.min(...list).toFixed(1)} to ${Math.max(...list).toFixed(1)}, n=${list.length})  ${name}`);
  row("Flex's start with the plugin", took.with);
  row("Flex's start without", took.without);
  console.log(`${ms(value)} ms  median difference of a pair; ${low.toFixed(1)} to ${high.toFixed(1)} ms in 95 of 100 resamples`);
  row("the plugin's own evaluation and init, by the clock", took.own);
  row("the plugin's own code during the start, by the profiler", self);
} finally {
  await flex.stop();
}
