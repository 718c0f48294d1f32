// Runs browser tests, a process for each file, and a file that failed once more when nothing else runs: real browsers on a
// busy machine now and then miss a deadline. A second attempt is named in the last lines, and a second failure is one.
// With --passes each file has to pass so often in a row, without a second attempt: how far a suite can be trusted.
//
//   node e2e/run.mjs [--at-once N | --passes N] FILE...
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: { 'at-once': { type: 'string', default: '1' }, passes: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const limit = 15 * 60_000;
const reporter = fileURLToPath(new URL('steps.mjs', import.meta.url));

/** Answers what became of the file: its steps in seconds, and what it said. */
async function run(file) {
  const started = Date.now();
  const folder = await mkdtemp(join(tmpdir(), 'flexvc-run-'));
  const report = join(folder, 'steps');
  const child = spawn(
    process.execPath,
    ['--test', '--test-reporter=spec', '--test-reporter-destination=stdout', `--test-reporter=${reporter}`, `--test-reporter-destination=${report}`, file],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  running.add(child);
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data));
  const timer = setTimeout(() => child.kill('SIGTERM'), limit);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  running.delete(child);
  const lines = (await readFile(report, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  await rm(folder, { recursive: true, force: true });
  return { passed: code === 0, seconds: (Date.now() - started) / 1000, steps: lines.map((line) => JSON.parse(line)), said: Buffer.concat(said) };
}

async function runAndShow(file) {
  const { passed, seconds, said } = await run(file);
  process.stdout.write(`\n${file}: ${passed ? 'passed' : 'failed'} after ${Math.round(seconds)} s\n${said}`);
  return passed;
}

const running = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    await Promise.all([...running].map((child) => (child.kill('SIGTERM'), once(child, 'close'))));
    process.exit(1);
  });
}

/** Each file once, several at a time; what failed gets its second attempt alone. */
async function onceEach() {
  const waiting = [...positionals];
  const failed = [];
  await Promise.all(Array.from({ length: Number(values['at-once']) }, async () => {
    for (let file; (file = waiting.shift()); ) if (!(await runAndShow(file))) failed.push(file);
  }));

  const verdicts = [];
  for (const file of failed) {
    const passed = await runAndShow(file);
    if (!passed) process.exitCode = 1;
    verdicts.push(`${file}: ${passed ? 'passed at the second attempt only' : 'failed twice'}`);
  }
  console.log(`\n${positionals.length} files, ${positionals.length - failed.length} passed at once${verdicts.map((line) => `\n${line}`).join('')}`);
}

/** A file again and again until it fails; the load is the machine's, of the last minute. */
async function inARow(file, wanted) {
  const took = [];
  const steps = new Map();
  for (let pass = 1; pass <= wanted; pass += 1) {
    const one = await run(file);
    const slowest = one.steps.reduce((most, step) => (step.seconds > (most?.seconds ?? 0) ? step : most), undefined);
    const failed = one.steps.find(({ passed }) => !passed);
    const what = failed ? `failed: ${failed.name}` : slowest && `slowest ${slowest.seconds.toFixed(1)} s: ${slowest.name}`;
    console.log(`pass ${pass} of ${wanted}: ${one.passed ? 'passed' : 'failed'} after ${one.seconds.toFixed(1)} s, load ${loadavg()[0].toFixed(1)}, ${what}`);
    if (!one.passed) {
      process.stdout.write(one.said);
      process.exitCode = 1;
      break;
    }
    took.push(one.seconds);
    for (const { name, seconds } of one.steps) steps.set(name, [...(steps.get(name) ?? []), seconds]);
  }
  console.log(`\n${file}: ${took.length} of ${wanted} passes in a row`);
  const row = (name, list) => `${median(list).toFixed(1).padStart(7)} ${Math.max(...list).toFixed(1).padStart(7)}  ${name}`;
  if (took.length) console.log([' median    most  seconds', ...[...steps].map(([name, list]) => row(name, list)), row('in all', took)].join('\n'));
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

const passes = Number(values.passes);
if (!(passes >= 1)) throw new Error('--passes is how often, at least once');
if (passes === 1) await onceEach();
else for (const file of positionals) if (!process.exitCode) await inARow(file, passes);
