import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import vm from 'node:vm';

const source = readFileSync(new URL('../app/content/bridge.js', import.meta.url), 'utf8');
const origin = 'https://flex.twilio.com';

const listeners = () => {
  const all = new Set();
  return { addListener: (listen) => all.add(listen), emit: (...args) => [...all].forEach((listen) => listen(...args)) };
};

/** A Flex page's window, which scripts of several worlds share. */
function makeWindow(posted) {
  const heard = new Map();
  const of = (type) => heard.get(type) ?? heard.set(type, new Set()).get(type);
  return {
    location: { origin },
    addEventListener: (type, listen) => of(type).add(listen),
    removeEventListener: (type, listen) => of(type).delete(listen),
    dispatchEvent: (event) => [...of(event.type)].forEach((listen) => listen(event)),
    postMessage: (message, target) => posted.push({ message: structuredClone(message), target }),
    listening: (type) => of(type).size > 0,
  };
}

/** Across worlds, what an event carries is copied. */
class CustomEvent {
  constructor(type, { detail = null } = {}) {
    Object.assign(this, { type, detail: structuredClone(detail) });
  }
}

/** A Flex page with the content script in it, and the ports it has opened. A successor shares the window of another. */
function open({ window, posted, element } = {}) {
  posted ??= [];
  window ??= makeWindow(posted);
  const ports = [];
  const timers = new Set();
  const runtime = {
    id: 'ours',
    connect({ name }) {
      if (!runtime.id) throw new Error('Extension context invalidated.');
      const port = { name, sent: [], broken: false, onMessage: listeners(), onDisconnect: listeners(), postMessage(message) {
        if (port.broken) throw new Error('Attempting to use a disconnected port object');
        port.sent.push(structuredClone(message));
      } };
      ports.push(port);
      return port;
    },
  };
  const setTimeout = (task) => {
    const timer = { task };
    timers.add(timer);
    return timer;
  };
  const world = vm.createContext({ window, chrome: { runtime }, setTimeout, clearTimeout: (timer) => timers.delete(timer), CustomEvent, Set, Object, flexvcBridge: element });
  const run = () => vm.runInContext(source, world);
  run();
  return {
    ports, posted, runtime, window, run,
    port: () => ports.at(-1),
    say: (data, event = {}) => window.dispatchEvent({ type: 'message', source: window, origin, data, ...event }),
    listening: () => window.listening('message'),
    restore: () => window.dispatchEvent({ type: 'pageshow', persisted: true }),
    breakPort() {
      const port = ports.at(-1);
      port.broken = true;
      port.onDisconnect.emit(port);
    },
    runTimers() {
      const due = [...timers];
      timers.clear();
      for (const { task } of due) task();
    },
  };
}

const configure = { type: 'VOICE_CLIENT_EXTENSION_CONFIGURE', payload: { accountSid: 'AC1' } };
const resumed = { ...configure, type: 'page.resumed' };
const hangUp = { type: 'VOICE_CLIENT_EXTENSION_HANGUP_CALL' };

test('the page is heard, and only its own known messages', () => {
  const page = open();
  page.say(configure);
  page.say(hangUp);
  page.say({ type: 'VOICE_CLIENT_EXTENSION_HEARTBEAT', payload: {} });
  page.say({ type: 'page.resumed', payload: {} });
  page.say({ type: 'popup.hangUp' });
  for (const junk of [null, undefined, 7, 'VOICE_CLIENT_EXTENSION_HANGUP_CALL', [], { type: 7 }]) page.say(junk);
  assert.deepEqual(page.port().sent.map((m) => m.type), [configure.type, hangUp.type]);
});

test('a frame of another origin that posts the hang-up is not heard, only counted', () => {
  const page = open();
  page.say(hangUp, { source: {}, origin: 'https://evil.example' });
  page.say(hangUp, { source: {} });
  page.say(hangUp, { origin: 'https://evil.example' });
  page.say({ type: 'chat', text: 'as frames do' }, { source: {} });
  assert.deepEqual(page.port().sent, Array(3).fill({ type: 'page.forged' }));
  page.breakPort();
  page.runTimers();
  page.port().broken = true;
  page.say(hangUp, { source: {} });
  page.say(hangUp);
  page.runTimers();
  assert.deepEqual(page.port().sent.map((m) => m.type), [hangUp.type], 'a forgery takes nobody\'s place in the queue');
});

test('what the worker says reaches this page alone', () => {
  const page = open();
  page.port().onMessage.emit({ type: 'VOICE_CLIENT_EXTENSION_CONFIGURED', payload: { protocol: 2 } });
  page.port().onMessage.emit({ type: 'offscreen.prepare', payload: { token: 'secret' } });
  assert.deepEqual(page.posted, [{ message: { type: 'VOICE_CLIENT_EXTENSION_CONFIGURED', payload: { protocol: 2 } }, target: origin }]);
});

test('when the worker restarts, the port comes back, says who it is, and delivers what was said meanwhile', () => {
  const page = open();
  page.say(configure);
  page.breakPort();
  assert.equal(page.ports.length, 2, 'at once: timers of a hidden tab may be held back');
  page.breakPort();
  page.say(hangUp);
  assert.equal(page.ports.length, 2, 'a worker that dies at once is given time');
  page.runTimers();
  assert.deepEqual(page.port().sent.map((m) => m.type), ['page.resumed', hangUp.type]);
  assert.deepEqual(page.posted, [], 'the page notices nothing');
});

test('"I had logged out, and the phone was there again": a page that said so is not resumed', () => {
  const page = open();
  page.say(configure);
  page.say({ type: 'VOICE_CLIENT_EXTENSION_LOGGED_OUT', payload: { accountSid: 'AC1' } });
  page.breakPort();
  assert.deepEqual(page.port().sent, []);
  page.say(configure);
  page.breakPort();
  page.runTimers();
  assert.deepEqual(page.port().sent.map((m) => m.type), ['page.resumed'], 'the next agent');
});

test('a port that broke unnoticed does not swallow the message that finds out', () => {
  const page = open();
  page.port().broken = true;
  page.say(hangUp);
  page.runTimers();
  assert.deepEqual(page.port().sent.map((m) => m.type), [hangUp.type]);
});

test('an orphaned script says so once and is silent from then on', () => {
  const page = open();
  page.say(configure);
  page.runtime.id = undefined;
  page.breakPort();
  page.say(hangUp);
  assert.deepEqual(page.posted, [], 'its successor may be on its way');
  page.runTimers();
  page.runTimers();
  assert.deepEqual(page.posted.map((p) => p.message.type), ['VOICE_CLIENT_EXTENSION_DISCONNECTED']);
  assert.equal(page.listening(), false);
  assert.equal(page.ports.length, 1);
});

test('a script that is orphaned unnoticed, under a page at rest, finds out by itself', () => {
  const page = open();
  page.say(configure);
  page.runTimers();
  assert.deepEqual(page.posted, []);
  page.runtime.id = undefined;
  for (let i = 0; i < 4; i++) page.runTimers();
  assert.deepEqual(page.posted.map((p) => p.message.type), ['VOICE_CLIENT_EXTENSION_DISCONNECTED']);
});

test('a script that is orphaned between two messages finds out at the next one', () => {
  const page = open();
  page.runtime.id = undefined;
  page.say(hangUp);
  page.runTimers();
  assert.deepEqual(page.posted.map((p) => p.message.type), ['VOICE_CLIENT_EXTENSION_DISCONNECTED']);
});

/** The extension is replaced, and the next version's script comes into the same page. */
const replace = (page) => {
  page.runtime.id = undefined;
  return open(page);
};

for (const [when, notice] of Object.entries({
  'has not noticed yet': () => {},
  'waits': (page) => page.breakPort(),
  'has said that it is gone': (page) => {
    page.breakPort();
    page.runTimers();
  },
})) {
  test(`the next version's script takes over from an orphan that ${when}, and the page need not say again who it is`, () => {
    const page = open();
    page.say(configure);
    page.runtime.id = undefined;
    notice(page);
    const told = page.posted.length;
    const successor = replace(page);
    page.runTimers();
    page.say(hangUp);
    assert.deepEqual(successor.port().sent, [resumed, { ...hangUp, payload: undefined }]);
    assert.deepEqual(page.port().sent, [configure], 'the orphan hears nothing any more');
    assert.equal(page.posted.length, told, 'the page is not told of it');
  });
}

test('over two updates the page still need not say again who it is', () => {
  const page = open();
  page.say(configure);
  assert.deepEqual(replace(replace(page)).port().sent, [resumed]);
});

test('what a page says of itself while nobody can hear it is passed on', () => {
  const page = open();
  page.runtime.id = undefined;
  page.breakPort();
  page.say(configure);
  assert.deepEqual(replace(page).port().sent, [resumed]);
});

test('an element of the page does not pass for a script that is there already', () => {
  const page = open({ element: {} });
  page.say(hangUp);
  assert.equal(page.port().sent.length, 1);
});

test('put into a page twice it runs once', () => {
  const page = open();
  page.run();
  page.say(hangUp);
  assert.equal(page.ports.length, 1);
  assert.deepEqual(page.port().sent.map((m) => m.type), [hangUp.type]);
});

test('a page that plays the successor sends nobody away', () => {
  const page = open();
  page.window.dispatchEvent(new CustomEvent('flexvc.bridge.arrival'));
  page.window.dispatchEvent(new CustomEvent('flexvc.bridge.legacy', { detail: { accountSid: 'AC2' } }));
  page.say(configure);
  page.breakPort();
  assert.deepEqual(page.port().sent, [resumed]);
  assert.deepEqual(page.posted, []);
});

test('a worker that stays away is not flooded later', () => {
  const page = open();
  page.breakPort();
  page.breakPort();
  for (let i = 0; i < 1000; i++) page.say(hangUp);
  page.runTimers();
  assert.equal(page.port().sent.length, 20);
});

test('a page back from the back/forward cache connects again', () => {
  const page = open();
  page.say(configure);
  page.breakPort();
  page.restore();
  assert.deepEqual(page.port().sent.map((m) => m.type), ['page.resumed']);
});

test('heartbeats are answered now and then, which keeps the worker alive without a voice client', () => {
  const page = open();
  for (let i = 0; i < 25; i++) page.port().onMessage.emit({ type: 'VOICE_CLIENT_EXTENSION_HEARTBEAT', payload: {} });
  assert.deepEqual(page.port().sent.map((m) => m.type), ['page.alive', 'page.alive']);
});
