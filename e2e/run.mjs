// Runs browser tests, a process for each file. A red test is red: nothing is run twice to make it green.
// With --passes each file has to pass so often in a row, with --soak each is run so often on the machine as it is and so often
// beside eight busy processes, whatever comes of it: how far a suite can be trusted.
//
//   node e2e/run.mjs [--at-once N | --passes N | --soak N] FILE...
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals: files } = parseArgs({
  options: { 'at-once': { type: 'string', default: '1' }, passes: { type: 'string' }, soak: { type: 'string' } },
  allowPositionals: true,
});
const limit = 15 * 60_000;
const busy = 8;
const reporter = fileURLToPath(new URL('steps.mjs', import.meta.url));
const running = new Set();

/** Answers what became of the file: its steps in seconds, and what it said. */
async function run(file) {
  const started = Date.now();
  const folder = await mkdtemp(join(tmpdir(), 'flexvc-run-'));
  const report = join(folder, 'steps');
  const child = start(
    ['--test', '--test-reporter=spec', '--test-reporter-destination=stdout', `--test-reporter=${reporter}`, `--test-reporter-destination=${report}`, file],
    ['ignore', 'pipe', 'pipe'],
  );
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data));
  const timer = setTimeout(() => child.kill('SIGTERM'), limit);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  const lines = (await readFile(report, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  await rm(folder, { recursive: true, force: true });
  return { passed: code === 0, seconds: (Date.now() - started) / 1000, steps: lines.map((line) => JSON.parse(line)), said: Buffer.concat(said) };
}

function start(args, stdio) {
  const child = spawn(process.execPath, args, { stdio });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    await Promise.all([...running].map((child) => (child.kill('SIGTERM'), once(child, 'close'))));
    process.exit(1);
  });
}

/** Each file once, several at a time. */
async function onceEach(atOnce) {
  const waiting = [...files];
  const failed = [];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let file; (file = waiting.shift()); ) {
      const { passed, seconds, said } = await run(file);
      process.stdout.write(`\n${file}: ${passed ? 'passed' : 'failed'} after ${Math.round(seconds)} s\n${said}`);
      if (!passed) failed.push(file);
    }
  }));
  console.log(`\n${files.length} files, ${files.length - failed.length} passed${failed.map((file) => `\n${file}: failed`).join('')}`);
  return failed.length === 0;
}

/** One run of a file, with a line about it; the load is the machine's, of the last minute. */
async function runAgain(what, file) {
  const one = await run(file);
  const slowest = one.steps.reduce((most, step) => (step.seconds > (most?.seconds ?? 0) ? step : most), undefined);
  const failed = one.steps.find(({ passed }) => !passed);
  const about = failed ? `failed: ${failed.name}` : slowest && `slowest ${slowest.seconds.toFixed(1)} s: ${slowest.name}`;
  console.log(`${what}: ${one.passed ? 'passed' : 'failed'} after ${one.seconds.toFixed(1)} s, load ${loadavg()[0].toFixed(1)}, ${about}`);
  if (!one.passed) process.stdout.write(one.said);
  return { ...one, failed: failed?.name };
}

/** A file again and again until it fails. */
async function inARow(file, wanted) {
  const took = [];
  const steps = new Map();
  for (let pass = 1; pass <= wanted; pass += 1) {
    const one = await runAgain(`pass ${pass} of ${wanted}`, file);
    if (!one.passed) break;
    took.push(one.seconds);
    for (const { name, seconds } of one.steps) steps.set(name, [...(steps.get(name) ?? []), seconds]);
  }
  console.log(`\n${file}: ${took.length} of ${wanted} passes in a row`);
  const row = (name, list) => `${median(list).toFixed(1).padStart(7)} ${Math.max(...list).toFixed(1).padStart(7)}  ${name}`;
  if (took.length) console.log([' median    most  seconds', ...[...steps].map(([name, list]) => row(name, list)), row('in all', took)].join('\n'));
  return took.length === wanted;
}

/** Every file so often, first as the machine is, then beside processes that take all it has. */
async function soak(times) {
  const table = [];
  for (const loaded of [false, true]) {
    const others = Array.from({ length: loaded ? busy : 0 }, () => start(['-e', 'for (;;);'], 'ignore'));
    for (const file of files) {
      const failures = [];
      for (let i = 1; i <= times; i += 1) {
        const { passed, failed } = await runAgain(`${file}, ${loaded ? 'loaded' : 'quiet'}, ${i} of ${times}`, file);
        if (!passed) failures.push(`run ${i}: ${failed ?? 'the file itself'}`);
      }
      table.push({ file, how: loaded ? `${busy} busy processes` : 'quiet', failures });
    }
    await Promise.all(others.map((other) => (other.kill('SIGKILL'), once(other, 'close'))));
  }
  console.log(`\nfailures of ${times} runs each`);
  for (const { file, how, failures } of table) console.log([`${String(failures.length).padStart(4)}  ${file}, ${how}`, ...failures.map((text) => `        ${text}`)].join('\n'));
  return table.every(({ failures }) => failures.length === 0);
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

function often(name) {
  const number = Number(values[name]);
  if (!(number >= 1)) throw new Error(`--${name} is a number from 1`);
  return number;
}

async function main() {
  if (values.soak) return soak(often('soak'));
  if (!values.passes) return onceEach(often('at-once'));
  for (const file of files) if (!(await inARow(file, often('passes')))) return false;
  return true;
}

if (!(await main())) process.exitCode = 1;
