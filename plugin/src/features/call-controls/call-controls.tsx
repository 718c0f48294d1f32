// Puts the extension's call where Flex keeps its own, so that mute, hang-up, keypad, transfer and quality marks are Flex's. The
// same after a reload in a call: the extension's first heartbeat brings the call along. Where a release of Flex has done away
// with that place, buttons of our own stand in, and the log says so.
import React from 'react';
import type { Task } from '../../flex';
import type { Call } from '../../messages';
import { type Feature, onAction, together } from '../../outside';
import { isOld } from '../../state';
import type { Extension } from '../connection/connection';
import type { Say } from '../notifications/notifications';
import { OwnButtons } from './own-buttons';
import { ProxyCall } from './proxy-call';

export const callControls: Feature<{ extension: Extension; say: Say }> = (outside) => {
  const { manager, board, extension, log } = outside;
  const phone = () => manager.store.getState().flex.phone;
  const dispatch = (type: string, payload?: unknown) => manager.store.dispatch({ type, payload });
  let proxy: ProxyCall | null = null;

  function attach(call: Call) {
    proxy = new ProxyCall(call, extension);
    try {
      dispatch('PHONE_ADD_CALL', proxy);
    } catch (cause) {
      log('Flex refused the call', cause);
    }
    // Some versions of Redux freeze or copy what they hold; the SID is what tells the call.
    const ownButtons = sidOf(phone().activeCall) !== call.callSid;
    if (ownButtons && !board.get().ownButtons) log('this release of Flex no longer takes the extension\'s call for its own: showing buttons of our own instead');
    board.set({ ownButtons });
    closeDialer(outside);
  }

  function detach() {
    const ended = proxy;
    proxy = null;
    if (sidOf(phone().activeCall) === ended?.parameters.CallSid) {
      dispatch('PHONE_REMOVE_CALL');
      outside.flex.Actions.invokeAction('HideDirectory').catch((cause: unknown) => log('the directory could not be closed', cause));
    }
    ended?.end();
  }

  function follow() {
    const { call } = board.get();
    if (proxy && proxy.parameters.CallSid !== call?.callSid) detach();
    if (!call) return;
    if (!proxy) return attach(call);
    if (proxy.update(call) && phone().activeCall === proxy) dispatch('PHONE_TOGGLE_MUTE', proxy);
  }

  follow();
  return together(board.subscribe(follow), followOldExtension(outside), guardActions(outside), showOwnButtons(outside), hideDeadButtons(outside), () => proxy && detach());
};

const sidOf = (call: unknown): string | undefined => (call as { parameters?: { CallSid?: string } } | undefined)?.parameters?.CallSid;

const isVoice = (task: Task | undefined): boolean => task?.taskChannelUniqueName === 'voice';

const ownLeg = (task: Task | undefined) => task?.conference?.participants?.find(({ isCurrentWorker }) => isCurrentWorker);

/** An old extension says nothing of its call: Flex knows of it from the conference. */
const followOldExtension: Feature = ({ manager, board }) => {
  const look = () => {
    const state = board.get();
    if (!isOld(state) || state.link !== 'up') return;
    const tasks = [...(manager.store.getState().flex.worker.tasks?.values() ?? [])];
    const leg = tasks.filter((task) => isVoice(task) && task.status === 'accepted').map(ownLeg).find((found) => found?.callSid && found.status !== 'left');
    const callSid = leg?.callSid ?? null;
    if (callSid === (state.call?.callSid ?? null)) return;
    board.set({ call: callSid === null ? null : { callSid, status: 'open', muted: false, startedAt: null, quality: null } });
  };
  return together(manager.store.subscribe(look), board.subscribe(look));
};

/** What Flex would do wrongly, or refuse, because the call is not in this page. */
const guardActions: Feature<{ extension: Extension; say: Say }> = ({ flex, manager, board, extension, say }) => {
  const hangUp = () => {
    const { call } = board.get();
    if (call) extension.hangUp(call.callSid);
  };

  /** Flex has no call to act on, so its action would only throw. */
  const instead = (act: (payload: Record<string, any>) => void) => (payload: Record<string, any>, abort: () => void) => {
    if (!board.get().ownButtons || !board.get().call) return;
    abort();
    act(payload);
  };

  /** Flex starts the wrap-up and leaves the agent talking. */
  function beforeWrapup(payload: Record<string, any>) {
    const { call } = board.get();
    const task: Task | undefined = payload.task ?? manager.store.getState().flex.worker.tasks?.get(payload.sid);
    if (!call || !isVoice(task)) return;
    const leg = ownLeg(task)?.callSid;
    if (leg === undefined || leg === call.callSid) hangUp();
  }

  function beforeOutbound(_: unknown, abort: () => void) {
    if (!board.get().ready) {
      abort();
      return say('outbound_refused');
    }
    // Flex calls out only when this page has a microphone. It is the extension that needs one, and it has said that it does.
    const { listener } = manager.store.getState().flex.phone;
    if (listener && !listener.isMicrophoneSet) listener.microphoneID = 'default';
  }

  return together(
    onAction({ flex }, 'beforeWrapupTask', beforeWrapup),
    onAction({ flex }, 'beforeStartOutboundCall', beforeOutbound),
    // Not aborted: without a call in the page Flex itself does nothing here.
    onAction({ flex }, 'beforeStopMonitoringCall', () => board.get().ownButtons && hangUp()),
    onAction({ flex }, 'beforeHangupCall', instead(hangUp)),
    onAction({ flex }, 'beforeToggleMute', instead(() => extension.setMuted(!board.get().call?.muted))),
    onAction({ flex }, 'beforeSendDTMFDigits', instead(({ digits }) => extension.sendDigits(String(digits)))),
  );
};

/** As Flex does itself when a call of its own is accepted. */
function closeDialer({ flex, manager, log }: Parameters<Feature>[0]) {
  const view = (manager.store.getState().flex as { view?: { isOutboundDialerOpen?: boolean } }).view;
  if (view?.isOutboundDialerOpen) flex.Actions.invokeAction('ToggleOutboundDialer').catch((cause: unknown) => log('the dialer could not be closed', cause));
}

/** Flex's mute cannot work with an extension that does not know how, and none of these where our own stand in. */
const hideDeadButtons: Feature = ({ flex, board }) => {
  const { Content } = flex.CallCanvasActions;
  const own = () => board.get().ownButtons && board.get().call !== null;
  Content.remove('toggleMute', { if: () => own() || (isOld(board.get()) && board.get().call !== null) });
  for (const key of ['dialpad', 'hangup']) Content.remove(key, { if: own });
  return () => {};
};

const showOwnButtons: Feature<{ extension: Extension }> = ({ flex, board, extension }) => {
  const key = 'flexvc-buttons';
  flex.CallCanvasActions.Content.add(<OwnButtons key={key} board={board} extension={extension} />, { sortOrder: -1, if: () => board.get().ownButtons });
  return () => flex.CallCanvasActions.Content.remove(key);
};
