// What a run of Node's tests did, a line of JSON for each test: for run.mjs, which adds up the passes of one file.
export default async function* (events) {
  for await (const { type, data } of events) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.skip !== undefined) continue;
    yield `${JSON.stringify({ name: data.name, seconds: data.details.duration_ms / 1000, passed: type === 'test:pass' })}\n`;
  }
}
