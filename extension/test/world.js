// A browser in memory for the service worker: chrome.*, timers, a voice SDK, an offscreen document that really holds its call.
// The worker can be killed and woken as Chromium does it: its globals, timers, ports and sockets go; storage and document stay.
import { EventEmitter } from 'node:events';

const base = 'chrome-extension://ours/';
export const account = `AC${'0'.repeat(32)}`;
export const senders = {
  page: { id: 'ours', url: 'https://flex.twilio.com/agent-desktop', origin: 'https://flex.twilio.com', frameId: 0, tab: { id: 1 } },
  popup: { id: 'ours', url: `${base}popup/popup.html`, origin: 'chrome-extension://ours' },
  offscreen: { id: 'ours', url: `${base}offscreen/offscreen.html`, origin: 'chrome-extension://ours' },
};

function event() {
  const all = new Set();
  return { addListener: (listen) => all.add(listen), size: () => all.size, emit: (...args) => [...all].map((listen) => listen(...args)) };
}

function area(values = {}) {
  return {
    values,
    async get(key) {
      // Another process answers, so whatever woke the worker is there first.
      await new Promise((resolve) => setImmediate(resolve));
      return structuredClone(key === null ? values : { [key]: values[key] });
    },
    set: async (more) => void Object.assign(values, structuredClone(more)),
  };
}

/** Two ends of a port. Messages are copied and arrive later, as they do. */
function portPair(name, sender) {
  const ends = [0, 1].map(() => ({ name, closed: false, received: [], onMessage: event(), onDisconnect: event() }));
  ends.forEach((end, i) => {
    const other = ends[1 - i];
    end.postMessage = (message) => {
      if (end.closed) throw new Error('Attempting to use a disconnected port object');
      const copy = JSON.parse(JSON.stringify(message));
      queueMicrotask(() => {
        if (other.closed) return;
        other.received.push(copy);
        other.onMessage.emit(copy, other);
      });
    };
    end.disconnect = () => {
      if (end.closed) return;
      end.closed = other.closed = true;
      queueMicrotask(() => other.onDisconnect.emit(other));
    };
  });
  ends[0].sender = sender;
  return ends;
}

class FakeCall extends EventEmitter {
  constructor(callSid, connectToken, session) {
    super();
    const customParameters = new Map(session ? [['flex_session_identifier', session]] : []);
    Object.assign(this, { parameters: { CallSid: callSid, From: '+15550100' }, connectToken, customParameters });
  }
  reject() {
    this.rejected = true;
  }
  ignore() {
    this.ignored = true;
  }
}

let lives = 0;

export class World {
  session = area();
  /** The agent has agreed to the token server of these tests. */
  local = area({ consents: [`${account} https://voice.example.com`] });
  managed = area();
  devices = [];
  fetches = [];
  icons = [];
  opened = [];
  /** What is open: { id, pattern, discarded, blocked, scripts }. */
  tabs = [];
  reloads = 0;
  /** Calls that the worker itself hung up. */
  goodbyes = [];
  os = 'linux';
  alive = false;
  document = undefined;
  made = 0;
  timers = new Map();
  answer = () => new Response(JSON.stringify({ identity: 'ext_alice', token: 'a.b.c', ttl: 3600 }));

  /** Starts the worker, as any event for it does. */
  async boot() {
    if (this.alive) return;
    this.alive = true;
    const world = this;
    this.life = ++lives;
    const life = this.life;
    const current = () => this.alive && this.life === life;
    this.chrome = {
      runtime: {
        id: 'ours',
        getURL: (path) => base + path,
        getManifest: () => ({ version: '1.0.0', content_scripts: [{ matches: ['https://flex.twilio.com/*', 'https://flex.acme.example/*'], js: ['content/bridge.js'] }] }),
        getContexts: async () => (this.document ? [{}] : []),
        onConnect: event(),
        onMessage: event(),
        onUpdateAvailable: event(),
        onStartup: event(),
        onInstalled: event(),
        reload: () => void this.reloads++,
        getPlatformInfo: async () => ({ os: this.os }),
      },
      storage: { session: this.session, local: this.local, managed: this.managed, onChanged: event() },
      offscreen: {
        createDocument: async () => {
          if (this.document) throw new Error('Only a single offscreen document may be created.');
          this.made++;
          this.document = new FakeDocument(this);
          await this.document.connect();
        },
        closeDocument: async () => void (this.document = undefined),
      },
      action: { setIcon: async ({ path }) => void this.icons.push(path[16]), setTitle() {} },
      windows: { onCreated: event(), onRemoved: event(), getAll: async () => [{ id: 1 }] },
      tabs: {
        onRemoved: event(),
        create: async ({ url }) => void this.opened.push(url),
        query: async ({ url, discarded }) => this.tabs.filter((tab) => url.includes(tab.pattern) && tab.discarded === discarded),
      },
      scripting: {
        executeScript: async ({ target, files }) => {
          const tab = this.tabs.find(({ id }) => id === target.tabId);
          if (tab.blocked) throw new Error('This page cannot be scripted due to an ExtensionsSettings policy.');
          tab.scripts.push(...files);
        },
      },
      i18n: { getMessage: (key) => key },
    };
    class Device extends EventEmitter {
      state = 'unregistered';
      constructor(token, options) {
        super();
        Object.assign(this, { token, options });
        this._stream = { on() {}, removeListener() {}, hangup: (callSid) => world.goodbyes.push(callSid) };
        world.devices.push(this);
      }
      register() {
        if (!world.silent) queueMicrotask(() => this.become('registered'));
        return new Promise(() => {});
      }
      become(state) {
        if (this.destroyed || !current()) return;
        this.state = state;
        this.emit(state);
      }
      updateToken(token) {
        this.token = token;
      }
      destroy() {
        this.destroyed = true;
      }
    }
    Object.assign(globalThis, {
      chrome: this.chrome,
      Twilio: { Device },
      self: { addEventListener: (name, listen) => void (this[`on${name}`] = listen) },
      fetch: async (url, init) => {
        this.fetches.push({ url, body: String(init.body) });
        return this.answer();
      },
      setTimeout: (task, ms) => this.#timer(task, ms, 0),
      setInterval: (task, ms) => this.#timer(task, ms, ms),
      clearTimeout: (id) => this.timers.delete(id),
    });
    await import(`../app/background/worker.js?life=${life}`);
    this.listenersInTime = this.chrome.runtime.onConnect.size();
    // What woke the worker, or happened meanwhile, comes before it has loaded its state.
    await this.meanwhile?.();
    await this.settle();
  }

  #timer(task, ms, every) {
    const id = Symbol('timer');
    this.timers.set(id, { task, ms, every, life: this.life });
    return id;
  }

  /** Runs the timers that are due within ms, once each. */
  async pass(ms) {
    for (const [id, timer] of [...this.timers]) {
      if (timer.ms > ms) continue;
      if (!timer.every) this.timers.delete(id);
      timer.task();
    }
    await this.settle();
  }

  /** What the browser does to an idle worker, or chrome://serviceworker-internals to any. */
  async kill() {
    this.alive = false;
    this.timers.clear();
    for (const device of this.devices) device.removeAllListeners();
    for (const port of this.ports ?? []) port.disconnect();
    this.ports = [];
    await this.settle();
  }

  /** @returns the far end of a port to the worker, which is woken if need be */
  async connect(name, sender = senders[name]) {
    const far = await this.attach(name, sender);
    await this.settle();
    return far;
  }

  async attach(name, sender = senders[name]) {
    await this.boot();
    const [near, far] = portPair(name, sender);
    this.ports = [...(this.ports ?? []), near];
    this.chrome.runtime.onConnect.emit(near);
    return far;
  }

  /** runtime.sendMessage: resolves with the one reply. */
  async send(message, sender = senders.popup) {
    await this.boot();
    const replies = [];
    this.chrome.runtime.onMessage.emit(message, sender, (reply) => replies.push(reply));
    await this.settle();
    return replies;
  }

  get device() {
    return this.devices.at(-1);
  }

  call(callSid, connectToken = 'connect', session = undefined) {
    return new FakeCall(callSid, connectToken, session);
  }

  /** Twilio offers a call. */
  async ring(callSid, connectToken, session) {
    const call = this.call(callSid, connectToken, session);
    this.device.emit('incoming', call);
    await this.settle();
    return call;
  }

  /** Lets everything that is under way arrive. */
  async settle() {
    for (let i = 0; i < 40; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  state() {
    return this.session.values.snapshot.state;
  }
}

/** Holds its calls whatever becomes of the worker, and comes back to the worker when the port breaks. */
class FakeDocument {
  call = null;
  onHold = [];
  ended = null;
  heard = [];
  constructor(world) {
    this.world = world;
  }

  async connect() {
    this.port = await this.world.attach('offscreen');
    this.port.onMessage.addListener((message) => this.hear(message));
    this.tell('offscreen.truth', { call: this.call, onHold: this.onHold, ended: this.ended, microphone: 'granted', inputs: [], outputs: [] });
  }

  tell(type, payload) {
    if (!this.port.closed) this.port.postMessage({ type, payload });
  }

  hear({ type, payload }) {
    this.heard.push({ type, payload });
    if (type === 'offscreen.takeCall') {
      if ([this.call, ...this.onHold].some((call) => call?.callSid === payload.callSid)) return;
      if (this.call) this.onHold.push(this.call);
      this.call = { callSid: payload.callSid, from: payload.from, status: 'connecting', muted: false, direction: 'inbound', startedAt: null, quality: null };
      this.changed();
    }
    if (type === 'offscreen.resume') {
      const next = this.onHold.find(({ callSid }) => callSid === payload.callSid);
      if (!next) return;
      this.onHold = [...this.onHold.filter((call) => call !== next), this.call];
      this.call = next;
      this.changed();
    }
    if (type === 'offscreen.mute') this.become({ muted: payload.muted });
    if (type === 'offscreen.hangUp') this.end('hung_up', payload.callSid);
    if (type === 'offscreen.forget') {
      this.call = null;
      this.onHold = [];
      this.port.disconnect();
    }
  }

  changed() {
    this.tell('offscreen.callChanged', { call: this.call, onHold: this.onHold });
  }

  become(change) {
    this.call = { ...this.call, ...change };
    this.changed();
  }

  end(reason, callSid = this.call.callSid) {
    if (![this.call, ...this.onHold].some((call) => call?.callSid === callSid)) return;
    if (this.call.callSid === callSid) this.call = this.onHold.pop() ?? null;
    else this.onHold = this.onHold.filter((call) => call.callSid !== callSid);
    this.ended = { callSid, reason };
    this.tell('offscreen.callEnded', this.ended);
    if (this.call) this.changed();
  }

  times(type) {
    return this.heard.filter((message) => message.type === type).length;
  }
}
