// A small Flex, an extension, and a clock that only a test moves.
import type { ActionListener, Activity, Flex, FlexState, Manager, Payload, Task } from '../flex';
import * as messages from '../messages';
import type { Outside } from '../outside';
import { start } from '../plugin';
import type { Settings } from '../settings';
import { createBoard } from '../state';
import { type Language, english, speak } from '../words';

export const origin = 'https://flex.twilio.com';
export const offline = 'WA-offline';
export const settings: Settings = { version: '1.4.0', tokenURL: 'https://tokens.example.com/generateToken', identityPrefix: 'ext_', offlineActivitySID: offline };
export const callSid = 'CA1';
export const call = { callSid, status: 'open', muted: false, direction: 'inbound', startedAt: 1, quality: null };
export const beat = {
  voiceClientIdentity: 'ext_alice',
  error: null,
  protocol: 3,
  extensionVersion: '0.1.0',
  status: 'registered',
  call: null as typeof call | null,
  audioDevices: { inputs: ['Headset', 'Built-in'], outputs: ['Headset'], selected: { input: 'Headset', output: '', ringtone: '' } },
  tokenExpiresAt: null,
};
/** All that an extension of the first generation says. */
export const oldBeat = { voiceClientIdentity: 'ext_alice', error: null };

const activities: Activity[] = [
  { sid: offline, name: 'Voice Client Offline', available: false },
  { sid: 'WA-available', name: 'Available', available: true },
  { sid: 'WA-break', name: 'Break', available: false },
  { sid: 'WA-wrap-up', name: 'Wrap Up, No ACD', available: false },
];

type Listener = (...args: any[]) => void;

function emitter() {
  const heard = new Map<string, Set<Listener>>();
  return {
    addListener: (event: string, listener: Listener) => void heard.set(event, (heard.get(event) ?? new Set()).add(listener)),
    removeListener: (event: string, listener: Listener) => void heard.get(event)?.delete(listener),
    emit: (event: string, ...args: unknown[]) => [...(heard.get(event) ?? [])].forEach((listener) => listener(...args)),
    count: () => [...heard.values()].reduce((sum, listeners) => sum + listeners.size, 0),
  };
}

function createClock() {
  let now = 1_700_000_000_000;
  const timers = new Set<{ ms: number; due: number; task: () => void }>();
  return {
    now: () => now,
    every(ms: number, task: () => void) {
      const timer = { ms, due: now + ms, task };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    count: () => timers.size,
    /** Moves on second by second, as a page that is awake does. */
    tick(ms: number) {
      for (const end = now + ms; now < end; ) this.leap(Math.min(1_000, end - now));
    },
    /** All at once, as a page that slept does. */
    leap(ms: number) {
      now += ms;
      for (const timer of timers) {
        if (timer.due > now) continue;
        timer.due = now + timer.ms;
        timer.task();
      }
    },
  };
}

interface Options {
  attributes?: Record<string, unknown>;
  activity?: string;
  /** What a release of Flex may do away with. */
  withoutPhone?: boolean;
  settings?: Settings | null;
  /** What another page of the same browser has kept. */
  memory?: Map<string, string>;
  /** How many calls the agent may have at once. */
  capacity?: number;
  language?: Language;
}

export const enabled = { extensionVoiceClientEnabled: true, contact_uri: 'client:alice', full_name: 'Alice', skills: ['a', { b: 1 }] };

export function createWorld(options: Options = {}) {
  const clock = createClock();
  const logged: string[] = [];
  console.info = (...args: unknown[]) => void logged.push(args.map(String).join(' '));
  const events = emitter();
  const strings: Record<string, string> = {};
  const subscribers = new Set<() => void>();
  const reduced = new Set<string>();
  const flexState = {
    config: { sso: { accountSid: 'AC1' } },
    session: { ssoTokenPayload: { token: 'flex-token', expiration: new Date(clock.now() + 3_600_000).toISOString(), identity: 'alice' } },
    worker: {
      activity: activities.find(({ sid }) => sid === (options.activity ?? 'WA-available'))!,
      activities: new Map(activities.map((activity) => [activity.sid, activity])),
      tasks: new Map<string, Task>(),
    },
    phone: { listener: { isMicrophoneSet: false } } as FlexState['phone'],
    supervisor: undefined as FlexState['supervisor'],
    view: { isOutboundDialerOpen: false } as { isOutboundDialerOpen: boolean; selectedTaskSid?: string | undefined },
  };
  const store = {
    getState: () => ({ flex: flexState }),
    dispatch({ type, payload }: { type: string; payload?: unknown }) {
      reduced.add(type);
      if (!options.withoutPhone) {
        if (type === 'PHONE_ADD_CALL' || type === 'PHONE_TOGGLE_MUTE') flexState.phone = { ...flexState.phone, activeCall: payload };
        if (type === 'PHONE_REMOVE_CALL') flexState.phone = { ...flexState.phone, activeCall: undefined };
      }
      changed();
    },
    subscribe: (listener: () => void) => (subscribers.add(listener), () => void subscribers.delete(listener)),
  };
  const changed = () => [...subscribers].forEach((listener) => listener());

  const workerEvents = emitter();
  const written: Record<string, unknown>[] = [];
  const worker = {
    ...workerEvents,
    sid: 'WK1',
    attributes: (options.attributes ?? enabled) as Record<string, unknown>,
    /** What TaskRouter holds, where that is newer than what the page knows. */
    newer: null as Record<string, unknown> | null,
    channels: new Map([['WC1', { taskChannelUniqueName: 'voice', capacity: options.capacity ?? 1 }]]),
    refuses: false,
    async fetchLatestVersion() {
      if (worker.newer) worker.attributes = worker.newer;
      worker.newer = null;
    },
    async setAttributes(attributes: Record<string, unknown>) {
      if (worker.refuses) throw new Error('412');
      written.push(attributes);
      worker.become(attributes);
    },
    /** A change from anywhere. */
    become(attributes: Record<string, unknown>) {
      worker.attributes = attributes;
      workerEvents.emit('attributesUpdated', worker);
    },
  };

  const chosen: string[] = [];
  const audio = {
    setInputDevice: async (id: string) => void chosen.push(`input ${id}`),
    speakerDevices: { set: async (id: string | string[]) => void chosen.push(`output ${id}`) },
    ringtoneDevices: { set: async (id: string | string[]) => void chosen.push(`ringtone ${id}`) },
  };

  const manager = { store, workerClient: worker, voiceClient: { audio }, events, strings, serviceConfiguration: { account_sid: 'AC1' } };

  // Flex itself.
  /** It acts on the one call that it has. */
  function onCall(action: string, payload: Payload) {
    if (!['HangupCall', 'ToggleMute', 'SendDTMFDigits'].includes(action)) return;
    const call = flexState.phone.activeCall as { disconnect(): void; mute(muted: boolean): void; isMuted(): boolean; sendDigits(digits: string): void } | undefined;
    if (!call) throw new Error('no active call');
    if (action === 'HangupCall') call.disconnect();
    else if (action === 'ToggleMute') call.mute(!call.isMuted());
    else call.sendDigits(payload.digits);
  }
  /** Flex has filled in all of it before any listener hears. */
  function fill(payload: Payload) {
    const chosen = activities.find(({ sid, name }) => sid === payload.activitySid || name === payload.activityName);
    Object.assign(payload, { activitySid: chosen?.sid, activityName: chosen?.name, activityAvailable: chosen?.available });
    payload.options = { rejectPendingReservations: true, ...payload.options };
  }
  const actionListeners = new Map<string, Set<ActionListener>>();
  const invoked: [string, Payload][] = [];
  const pace = { activity: Promise.resolve() };
  const shown: string[] = [];
  const contents = () => {
    const added = new Map<string, any>();
    const removed: [string, Payload | undefined][] = [];
    return {
      added,
      removed,
      add: (element: any, given?: Payload) => void added.set(element.key, { element, options: given }),
      remove: (key: string, given?: Payload) => void (added.delete(key) || removed.push([key, given])),
    };
  };
  const flex = {
    Actions: {
      addListener: (event: string, listener: ActionListener) => void actionListeners.set(event, (actionListeners.get(event) ?? new Set()).add(listener)),
      removeListener: (event: string, listener: ActionListener) => void actionListeners.get(event)?.delete(listener),
      async invokeAction(action: string, payload: Payload = {}) {
        let aborted = false;
        if (action === 'SetActivity') fill(payload);
        for (const listener of actionListeners.get(`before${action}`) ?? []) await listener(payload, () => (aborted = true));
        if (aborted) throw new Error(`Action ${action} cancelled by before event`);
        invoked.push([action, payload]);
        onCall(action, payload);
        if (action === 'SetActivity') {
          await pace.activity;
          flexState.worker = { ...flexState.worker, activity: activities.find(({ sid, name }) => sid === payload.activitySid || name === payload.activityName)! };
          changed();
        }
        for (const listener of actionListeners.get(`after${action}`) ?? []) await listener(payload, () => {});
      },
    },
    Notifications: {
      registerNotification: ({ id, timeout }: Payload) => {
        if (!strings[id]) throw new Error(`${id} has no sentence`);
        if (!(timeout > 0)) throw new Error(`${id} would stay over the Accept button`);
      },
      showNotificationSingle: (id: string) => void shown.push(id),
      dismissNotificationById: (id: string) => void (shown.includes(id) && shown.splice(shown.indexOf(id), 1)),
    },
    getSessionIdentifier: () => 'this-load',
    MainHeader: { Content: contents() },
    CallCanvasActions: { Content: contents() },
    TaskCanvasHeader: { Content: contents() },
  };

  // The page, and the extension's content script in it.
  const on: Record<string, Set<(event: any) => void>> = {};
  const posted: { type: string; payload: any }[] = [];
  const memory = options.memory ?? new Map<string, string>();
  const page = {
    location: { origin },
    addEventListener: (type: string, listener: (event: any) => void) => void (on[type] ??= new Set()).add(listener),
    removeEventListener: (type: string, listener: (event: any) => void) => void on[type]?.delete(listener),
    postMessage: (message: { type: string; payload: unknown }, target: string) => {
      if (target !== origin) throw new Error(`a message for ${target}`);
      posted.push(structuredClone(message));
    },
    localStorage: {
      getItem: (key: string) => memory.get(key) ?? null,
      setItem: (key: string, value: string) => void memory.set(key, value),
      removeItem: (key: string) => void memory.delete(key),
    },
    navigator: { mediaDevices: { enumerateDevices: async () => [{ deviceId: 'd1', label: 'Headset' }, { deviceId: 'd2', label: '' }] } },
  };
  /** As the content script speaks; `event` forges what a test wants to forge. */
  const say = (type: string, payload?: unknown, event: object = {}) =>
    [...(on.message ?? [])].forEach((listener) => listener({ source: page, origin, data: { type, payload }, ...event }));

  const typed = { flex: flex as unknown as Flex, manager: manager as unknown as Manager, page: page as unknown as Window };
  return {
    ...typed,
    clock,
    logged,
    /** Flex changes the activity once this is settled. */
    pace,
    worker,
    written,
    audio,
    chosen,
    invoked,
    shown,
    posted,
    memory,
    reduced,
    strings,
    events,
    state: flexState,
    header: flex.MainHeader.Content,
    canvas: flex.CallCanvasActions.Content,
    taskHeader: flex.TaskCanvasHeader.Content,
    changed,
    say,
    sent: (type: string) => posted.filter((message) => message.type === type).map(({ payload }) => payload),
    activity: () => flexState.worker.activity.sid,
    /** What the badge was drawn with. */
    badge: () => flex.MainHeader.Content.added.get('flexvc-badge').element.props.children.props.children.props,
    /** Another tab of the same browser has written what it remembers. */
    stored: (key: string, value: string) => {
      memory.set(key, value);
      on.storage?.forEach((listener) => listener({ key }));
    },
    /** From anywhere. */
    setActivity(wanted: string) {
      flexState.worker = { ...flexState.worker, activity: activities.find(({ sid }) => sid === wanted)! };
      changed();
    },
    /** As the agent does, in Flex's menu. */
    async choose(activityName: string) {
      for (const listener of on.click ?? []) listener({ target: { closest: () => ({}) } });
      await flex.Actions.invokeAction('SetActivity', { activityName });
    },
    setTasks(...tasks: Task[]) {
      flexState.worker.tasks.clear();
      for (const task of tasks) flexState.worker.tasks.set(task.sid, task);
      changed();
    },
    actions: () => invoked.map(([name]) => name),
    setTask(task: Task | null) {
      flexState.worker.tasks.clear();
      if (task) flexState.worker.tasks.set(task.sid, task);
      if (task?.status === 'pending') workerEvents.emit('reservationCreated', task);
      changed();
    },
    /** What is left behind: listeners, timers, things on the page. */
    residue: () =>
      Object.values(on).reduce((sum, listeners) => sum + listeners.size, 0) + subscribers.size + clock.count() + events.count() + workerEvents.count() + flex.MainHeader.Content.added.size +
      flex.CallCanvasActions.Content.added.size + [...actionListeners.values()].reduce((sum, all) => sum + all.size, 0),
    start: () => start(typed.flex, typed.manager, options.settings === undefined ? settings : options.settings, typed.page, clock, options.language),
    /** For a feature alone. */
    outside: (): Outside => ({ ...typed, clock, settings, board: createBoard(() => {}), words: speak(typed.manager, english).words, log: () => {} }),
  };
}

export type World = ReturnType<typeof createWorld>;

/** Lets promises that are already settled run on. */
export const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

/** A started plugin whose extension answers. */
export async function connected(options: Options = {}, first: object = beat) {
  const world = createWorld(options);
  const stop = world.start();
  world.say(messages.CONFIGURED, {});
  world.say(messages.HEARTBEAT, first);
  await settle();
  return { ...world, stop };
}

/** Time passes while the extension goes on beating. */
export async function alive(world: World, seconds: number, payload: object = beat) {
  for (let second = 0; second < seconds; second++) {
    world.clock.tick(1_000);
    world.say(messages.HEARTBEAT, payload);
    await settle();
  }
}
