// What the features know together. Each writes its own part, everyone may read.
import type { Call, Calls, Heartbeat, Rejection, Trouble } from './messages';
import type { Problem } from './strings';

export interface State {
  /** starting: not heard yet. up: heartbeats arrive. silent: they never did, or no longer do. */
  link: 'starting' | 'up' | 'silent';
  /** The extension has said something to this page, ever. */
  heard: boolean;
  rejection: Rejection | null;
  beat: Heartbeat | null;
  /** The call the agent speaks in; of an old extension, the one Flex says is this agent's. */
  call: Call | null;
  onHold: Calls['onHold'];
  offers: Calls['offers'];
  /** Flex's own token is past its time. */
  flexTokenExpired: boolean;
  /** The extension is signed in as somebody else than the agent of this page. */
  otherAgent: boolean;
  /** A call offered now would reach the agent. */
  ready: boolean;
  /** Not ready, for long enough to take the agent away from the queue. */
  away: boolean;
  /** Flex has given up what the proxy call needs. */
  ownButtons: boolean;
  contactURI: 'ok' | 'missing' | 'contested';
  offlineActivityMissing: boolean;
  /** How often Accept was refused, because the call would not have reached the agent. */
  acceptRefused: number;
  /** The account's Flex is set up without voice in the browser, and refuses every Accept. */
  browserVoiceDisabled: boolean;
  /** The activity to go to, of an agent who was found in the offline one although calls come, and nobody knows why. */
  stranded: string | null;
  /** The plugin has withdrawn: Flex does not take away at once what was added to a header that is already drawn. */
  stopped: boolean;
}

export const initial: State = {
  link: 'starting',
  heard: false,
  rejection: null,
  beat: null,
  call: null,
  onHold: [],
  offers: [],
  flexTokenExpired: false,
  otherAgent: false,
  ready: false,
  away: false,
  ownButtons: false,
  contactURI: 'ok',
  offlineActivityMissing: false,
  acceptRefused: 0,
  browserVoiceDisabled: false,
  stranded: null,
  stopped: false,
};

export interface Board {
  get(): State;
  set(patch: Partial<State>): void;
  /** Called after each change; a listener that sets again is called again afterwards. */
  subscribe(listener: (state: State, before: State) => void): () => void;
}

/** What a listener throws is its own affair: the others hear of the change all the same, and of the next. */
export function createBoard(complain: (cause: unknown) => void): Board {
  let state = initial;
  const listeners = new Set<(state: State, before: State) => void>();
  const changes: [State, State][] = [];
  return {
    get: () => state,
    set(patch) {
      const before = state;
      if ((Object.keys(patch) as (keyof State)[]).every((key) => patch[key] === before[key])) return;
      state = { ...state, ...patch };
      // A listener that sets again must not have the others hear of the changes in the wrong order.
      if (changes.push([state, before]) > 1) return;
      for (; changes.length; changes.shift()) {
        for (const listener of [...listeners]) {
          try {
            listener(...changes[0]!);
          } catch (cause) {
            complain(cause);
          }
        }
      }
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The worst thing an agent should know; null when nothing is wrong. */
export function problemOf(state: State): Problem | null {
  if (state.rejection) return state.rejection;
  if (state.link === 'silent') return state.beat ? 'lost' : 'no_extension';
  if (state.flexTokenExpired) return 'flex_token';
  if (state.otherAgent) return 'other_agent';
  if (state.beat?.broken) return brokenBecause(state.beat);
  if (state.browserVoiceDisabled) return 'browser_voice_disabled';
  if (state.contactURI === 'contested') return 'contact_uri_contested';
  if (state.contactURI === 'missing') return 'contact_uri_missing';
  if (state.stranded) return 'stranded';
  if (state.offlineActivityMissing) return 'offline_activity_missing';
  return null;
}

const sentenceFor: Record<Trouble, Problem> = {
  microphone_denied: 'microphone_denied',
  microphone_missing: 'microphone_missing',
  microphone_prompt: 'microphone_prompt',
  flex_token_refused: 'flex_token',
  token_server_unreachable: 'token_service',
  token_server_error: 'token_service',
  token_server_nonsense: 'token_service',
  voice_token_refused: 'token_service',
  signalling_lost: 'signalling',
  consent_needed: 'consent',
};

/** The heartbeat says that something is wrong, and a newer one says what; of an older one, the status says where. */
function brokenBecause(beat: Heartbeat): Problem {
  if (beat.trouble) return sentenceFor[beat.trouble];
  switch (beat.status) {
    case 'registered':
      return 'microphone';
    case 'wanting':
      return 'flex_token';
    case 'fetching':
      return 'token_service';
    default:
      return 'signalling';
  }
}

/** The call the agent speaks in, and all that are on hold. */
export const callsOf = ({ call, onHold }: State): Call[] => (call ? [call, ...onHold] : onHold);

/** Mute and devices came with protocol 2. */
export const isOld = (state: State): boolean => state.beat !== null && state.beat.protocol < 2;
