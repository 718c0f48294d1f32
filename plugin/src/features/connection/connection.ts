// Configures the extension, gives it the Flex token, and watches its heartbeats.
import * as messages from '../../messages';
import type { Outside } from '../../outside';
import { onAction, together } from '../../outside';
import type { State } from '../../state';

/** Heartbeats come once a second, and the content script bridges a restart of the service worker within two. */
const silentAfter = 3_000;
/** A voice client that registers anew, and an extension that is updated, are ready again before this. */
const awayAfter = 3_000;
const watchEvery = 1_000;
const configureEvery = 2_000;

export interface Extension {
  hangUp(callSid: string): void;
  sendDigits(digits: string, callSid: string): void;
  setMuted(muted: boolean, callSid: string): void;
  /** To speak in this call, which is offered or on hold; the one before is put on hold. */
  answer(callSid: string): void;
  decline(callSid: string): void;
  chooseDevice(kind: messages.DeviceKind, label: string): void;
}

/** Runs until stopped. The extension's part of the board is written here and nowhere else. */
export function connection({ flex, manager, page, clock, settings, board, log }: Outside): { extension: Extension; stop: () => void } {
  const accountSid = manager.store.getState().flex.config.sso?.accountSid ?? manager.serviceConfiguration.account_sid ?? '';
  let heardAt = clock.now();
  /** The latest two looks. */
  let watched = [clock.now(), clock.now()] as const;
  let configuredAt = 0;
  let unreadySince = clock.now();
  let signedIn = Boolean(manager.store.getState().flex.session.ssoTokenPayload?.token);

  const post = (type: string, payload?: unknown) => page.postMessage({ type, payload }, page.location.origin);

  function configure() {
    configuredAt = clock.now();
    post(messages.CONFIGURE, {
      accountSid,
      voiceClientTokenGeneratorUrl: settings.tokenURL,
      extensionVoiceClientPrefix: settings.identityPrefix,
      protocol: messages.protocol,
      pluginVersion: settings.version,
      sessionIdentifier: flex.getSessionIdentifier?.(),
      workerIdentity: manager.store.getState().flex.session.ssoTokenPayload?.identity,
    });
  }

  function giveToken() {
    const login = manager.store.getState().flex.session.ssoTokenPayload;
    if (!login?.token) return log('Flex has no token to give to the voice extension');
    post(messages.FLEX_TOKEN, { token: login.token, accountSid, expiration: login.expiration });
    board.set({ flexTokenExpired: hasPassed(login.expiration) });
  }

  /** Flex drops its token when the agent logs out, and leaves the page a moment later. */
  function lookAtSession() {
    const still = Boolean(manager.store.getState().flex.session.ssoTokenPayload?.token);
    if (signedIn && !still) logOut();
    signedIn = still;
  }

  const logOut = () => post(messages.LOGGED_OUT, { accountSid });

  const hasPassed = (expiration: string | undefined) => expiration !== undefined && Date.parse(expiration) <= clock.now();

  /** The newest word of the extension, and what follows from it. */
  function learn(patch: Partial<State>, since = clock.now()) {
    const now = { ...board.get(), ...patch };
    const own = manager.store.getState().flex.session.ssoTokenPayload?.identity;
    // Whole: a colleague's may end in the same letters.
    const otherAgent = Boolean(own && now.beat?.identity && now.beat.identity !== `${settings.identityPrefix}${own}`);
    const ready = now.link === 'up' && now.rejection === null && isRegistered(now) && !otherAgent;
    if (board.get().ready && !ready) unreadySince = since;
    const away = !ready && clock.now() - unreadySince >= awayAfter;
    board.set({ ...patch, otherAgent, ready, away, heard: now.heard || now.link === 'up' });
  }

  function hear(event: MessageEvent) {
    if (event.source !== page || event.origin !== page.location.origin) return;
    const { type, payload } = Object(event.data) as { type?: unknown; payload?: unknown };
    switch (type) {
      case messages.CONFIGURED:
        heardAt = clock.now();
        learn({ link: 'up', rejection: null });
        return giveToken();
      case messages.CONFIG_REJECTED:
        heardAt = clock.now();
        return learn({ link: 'up', rejection: messages.readRejection(payload) });
      case messages.HEARTBEAT: {
        heardAt = clock.now();
        const beat = messages.readHeartbeat(payload);
        const { call, onHold, offers } = beat;
        return learn({ link: 'up', beat, ...(call === undefined ? {} : { call, onHold, offers }) });
      }
      case messages.CALL: {
        const { beat } = board.get();
        const call = messages.readCall(payload);
        return learn({ call, ...(beat ? { beat: { ...beat, call } } : {}) });
      }
      case messages.CALLS: {
        const { beat } = board.get();
        const calls = messages.readCalls(payload);
        return learn({ ...calls, ...(beat ? { beat: { ...beat, ...calls } } : {}) });
      }
      case messages.DISCONNECTED:
        return learn(gone);
      default:
        return undefined;
    }
  }

  function watch() {
    const now = clock.now();
    // A page that slept hears its timer before the messages that waited with it. One that is slow, or hidden so long that Chrome
    // calls it once a minute, always oversleeps, and has heard what there was since the look before the last.
    const overslept = now - watched[0] > 2 * watchEvery;
    const hadItsChance = heardAt < watched[1];
    watched = [now, watched[0]];
    if (overslept && !hadItsChance) return;
    if (now - heardAt > silentAfter && board.get().link !== 'silent') {
      log(board.get().beat ? 'the voice extension fell silent' : 'no voice extension answers');
      learn(gone, heardAt);
    } else learn({});
    const { link, rejection } = board.get();
    if ((link !== 'up' || rejection) && now - configuredAt >= configureEvery) configure();
  }

  board.set({ browserVoiceDisabled: manager.store.getState().flex.config.disableBrowserVoice === true });
  const onExpired = () => board.set({ flexTokenExpired: true });
  page.addEventListener('message', hear);
  manager.events.addListener('tokenUpdated', giveToken);
  manager.events.addListener('tokenExpired', onExpired);
  configure();

  return {
    extension: {
      hangUp: (callSid) => post(messages.HANGUP_CALL, { callSid }),
      sendDigits: (digits, callSid) => post(messages.SEND_DTMF_DIGITS, { digits, callSid }),
      setMuted: (muted, callSid) => post(messages.SET_MUTED, { muted, callSid }),
      answer: (callSid) => post(messages.ANSWER_CALL, { callSid }),
      decline: (callSid) => post(messages.DECLINE_CALL, { callSid }),
      chooseDevice: (kind, label) => post(messages.SET_AUDIO_DEVICE, { kind, label }),
    },
    stop: together(
      () => page.removeEventListener('message', hear),
      () => manager.events.removeListener('tokenUpdated', giveToken),
      () => manager.events.removeListener('tokenExpired', onExpired),
      manager.store.subscribe(lookAtSession),
      onAction({ flex }, 'afterLogout', logOut),
      clock.every(watchEvery, watch),
    ),
  };
}

/** Whatever calls there are, nothing here is heard of them. */
const gone: Partial<State> = { link: 'silent', call: null, onHold: [], offers: [] };

/** An old extension says who it is only once it is registered. */
function isRegistered({ beat }: State): boolean {
  if (!beat?.identity || beat.broken) return false;
  return beat.status === null || beat.status === 'registered';
}
