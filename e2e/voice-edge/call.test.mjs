// The unmodified Voice SDK in Chromium against the emulated voice edge.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { eventCount, eventOf, openPhone, startBrowser, startEdge, until } from './edge.mjs';

const ms = (ns) => Math.round(ns / 1e4) / 100;
const SECOND = 1e9;

let edge;
let browser;

before(async () => {
  edge = await startEdge();
  browser = await startBrowser(edge);
});

after(async () => {
  await browser?.stop();
  assert.equal(await edge?.stop(), 0);
});

const stats = (sid) => edge.order('stats', { sid });
const inState = (sid, state) => until(state, () => stats(sid), (s) => s.state === state);
const heardMore = async (sid, seconds) => {
  const { heard } = await stats(sid);
  return until(`${seconds} s of audio`, () => stats(sid), (s) => s.heard.packets >= heard.packets + 50 * seconds);
};
const figures = (s) => `invite to connect ${ms(s.invite_to_connect)} ms, to first packet ${ms(s.invite_to_first_packet)} ms, `
  + `longest gap ${ms(s.heard.longest_gap)} ms, own ${ms(s.said.longest_gap)} ms, lost ${s.heard.lost}, `
  + `reordered ${s.heard.reordered}, jitter ${ms(s.heard.jitter)} ms`;

// A page that is closed leaves no socket behind.
afterEach(async () => {
  await Promise.all(browser.context.pages().slice(1).map((page) => page.close()));
  await until('closed sockets', () => edge.order('sockets'), (list) => list.length === 0);
});

test('a page registers, answers, talks, presses keys, mutes and hangs up', async (t) => {
  const phone = await openPhone(edge, browser, 'alice');
  await phone.register();
  const sid = await edge.order('call', { identity: 'alice', parameters: { taskSid: 'WT1', name: 'Jürgen & Söhne + Co' } });
  const incoming = await eventOf(phone, 'device.incoming');
  assert.deepEqual(incoming.detail, { from: '+15550100', custom: { taskSid: 'WT1', name: 'Jürgen & Söhne + Co' } });
  await phone.accept();
  await eventOf(phone, 'call.accept');
  let s = await heardMore(sid, 2);
  assert.equal(s.heard.lost, 0);
  const talk = await edge.order('heard', { sid, start: s.age - 2 * SECOND, end: s.age });
  assert.ok(talk.level > -20, `the agent's beeps are heard: ${talk.level} dBov`);
  const hears = await phone.heard();
  assert.ok(hears.packets > 90 && hears.lost === 0 && hears.level > 0.1, JSON.stringify(hears));

  await phone.digits('159#*0');
  s = await until('six digits', () => stats(sid), (x) => x.digits?.length === 6);
  assert.deepEqual(s.digits.map((d) => d.key + d.via).join(' '), '1rtp 5rtp 9rtp #rtp *rtp 0rtp');
  await edge.order('press', { sid, keys: '42' });

  await phone.mute(true);
  await until('silence', () => stats(sid), (x) => x.heard.last - x.heard.heard > 1.5 * SECOND);
  s = await stats(sid);
  const muted = await edge.order('heard', { sid, start: s.age - SECOND, end: s.age });
  assert.ok(muted.packets >= 48 && muted.level === -127 && muted.lost === 0, JSON.stringify(muted));
  await phone.mute(false);
  await until('sound', () => stats(sid), (x) => x.heard.heard > s.age);

  await phone.hangup();
  s = await inState(sid, 'ended');
  assert.equal(s.reason, 'agent');
  t.diagnostic(figures(s));
  const insights = (await edge.order('insights')).map((i) => `${i.group}/${i.name}`);
  for (const seen of ['connection/incoming', 'connection/accepted-by-local', 'connection/muted', 'connection/disconnected-by-local']) {
    assert.ok(insights.includes(seen), `${seen} in ${insights}`);
  }
});

test('ten calls are handed to another document by connectToken', async (t) => {
  const worker = await openPhone(edge, browser, 'alice');
  const page = await openPhone(edge, browser, 'alice');
  await worker.register();
  const connects = [];
  const packets = [];
  for (let i = 0; i < 10; i += 1) {
    const [seenByWorker, seenByPage] = [await eventCount(worker), await eventCount(page)];
    const sid = await edge.order('call', { identity: 'alice' });
    await eventOf(worker, 'device.incoming', seenByWorker);
    await page.takeover(await worker.connectToken());
    await eventOf(page, 'call.accept', seenByPage);
    await eventOf(worker, 'call.cancel', seenByWorker);
    const s = await heardMore(sid, 0.5);
    assert.equal(s.state, 'in-progress');
    assert.equal(s.heard.lost, 0);
    connects.push(s.invite_to_connect);
    packets.push(s.invite_to_first_packet);
    await edge.order('hangup', { sid });
    await eventOf(page, 'call.disconnect', seenByPage);
    t.diagnostic(figures(await inState(sid, 'ended')));
  }
  const median = (list) => list.sort((a, b) => a - b)[list.length / 2];
  t.diagnostic(`median of 10: connect ${ms(median(connects))} ms, first packet ${ms(median(packets))} ms`);
});

test('a call lives through a lost socket, a new token and an ICE restart', async (t) => {
  const phone = await openPhone(edge, browser, 'alice');
  await phone.register();
  const sid = await edge.order('call', { identity: 'alice' });
  await eventOf(phone, 'device.incoming');
  await phone.accept();
  await heardMore(sid, 1);

  for (const code of [0, 1011]) {
    const seen = await eventCount(phone);
    await edge.order('drop', { identity: 'alice', code });
    await eventOf(phone, 'call.reconnecting', seen);
    await eventOf(phone, 'call.reconnected', seen);
    const s = await heardMore(sid, 1);
    assert.equal(s.state, 'in-progress');
    assert.equal(s.heard.lost, 0);
    t.diagnostic(`socket dropped (${code}): ${figures(s)}`);
  }

  const invites = async () => (await edge.order('events')).filter((e) => e.kind === 'frame.invite').length;
  const before = await invites();
  await phone.updateToken(await edge.order('token', { identity: 'alice', seconds: 3600 }));
  await until('the reconnect invite', invites, (n) => n === before + 1);
  let s = await heardMore(sid, 1);
  assert.equal(s.heard.lost, 0);
  t.diagnostic(`token updated: ${figures(s)}`);

  await phone.restartICE();
  await until('an ICE restart', () => stats(sid), (x) => x.ice_restarts === 1);
  s = await heardMore(sid, 1);
  t.diagnostic(`ICE restarted: ${figures(s)}`);
  assert.equal(s.state, 'in-progress');

  await phone.hangup();
  assert.equal((await inState(sid, 'ended')).reason, 'agent');
});

test('caller gives up, agent is busy, agent calls, token is refused', async (t) => {
  const phone = await openPhone(edge, browser, 'alice');
  await phone.register();

  const given = await edge.order('call', { identity: 'alice' });
  await eventOf(phone, 'device.incoming');
  await edge.order('hangup', { sid: given });
  await eventOf(phone, 'call.cancel');
  assert.equal((await stats(given)).reason, 'canceled');

  let seen = await eventCount(phone);
  const busy = await edge.order('call', { identity: 'alice' });
  await eventOf(phone, 'device.incoming', seen);
  await phone.reject();
  assert.equal((await inState(busy, 'ended')).reason, 'busy');

  seen = await eventCount(phone);
  await phone.dial({ To: '+15550111' });
  await eventOf(phone, 'call.ringing', seen);
  await eventOf(phone, 'call.accept', seen);
  const sid = await phone.sid();
  const s = await heardMore(sid, 1);
  assert.equal(s.direction, 'outbound');
  assert.equal(s.to, '+15550111');
  const hears = await until('the echo', () => phone.heard(), (h) => h?.packets > 40);
  assert.equal(hears.lost, 0);
  await edge.order('hangup', { sid });
  await eventOf(phone, 'call.disconnect', seen);
  t.diagnostic(`outgoing: ${figures(await stats(sid))}`);

  for (const [code, reported] of [[31204, 20101], [31205, 20104]]) {
    seen = await eventCount(phone);
    await edge.order('faults', { faults: { token_error: code } });
    await phone.updateToken(await edge.order('token', { identity: 'alice', seconds: 3600 }));
    assert.equal((await eventOf(phone, 'device.error', seen)).detail, reported);
    await edge.order('faults', {});
  }
});

test('media blocked for a while is lost and comes back', async (t) => {
  const phone = await openPhone(edge, browser, 'alice');
  await phone.register();
  const sid = await edge.order('call', { identity: 'alice' });
  await eventOf(phone, 'device.incoming');
  await phone.accept();
  await heardMore(sid, 1);
  await edge.order('faults', { faults: { block_media: true }, seconds: 9 });
  await eventOf(phone, 'call.reconnecting');
  await eventOf(phone, 'call.reconnected');
  const s = await heardMore(sid, 1);
  assert.ok(s.heard.longest_gap > 5 * SECOND, figures(s));
  assert.equal(s.state, 'in-progress');
  t.diagnostic(`${figures(s)}, ICE restarts ${s.ice_restarts}`);
  await phone.hangup();
  await inState(sid, 'ended');
});
