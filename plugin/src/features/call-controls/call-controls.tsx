// Puts the extension's calls where Flex keeps its own, so that mute, hang-up, keypad, transfer and quality marks are Flex's. The
// same after a reload in a call: the extension's first heartbeat brings the call along. Where a release of Flex has done away
// with that place, buttons of our own stand in, and the log says so.
import React from 'react';
import type { Task } from '../../flex';
import { type Feature, onAction, together } from '../../outside';
import { framed } from '../../react';
import { callsOf, isOld } from '../../state';
import type { Extension } from '../connection/connection';
import type { Say } from '../notifications/notifications';
import { flexControls } from './flex-controls';
import { StandIns } from './own-buttons';
import { ProxyCall } from './proxy-call';
import { ResumeButton } from './resume-button';
import { callOf, isOfCall, isVoice, ownLeg, selectedTask, unclaimed } from './tasks';

export const callControls: Feature<{ extension: Extension; say: Say }> = (outside) => {
  const { manager, board, extension, log } = outside;
  const phone = () => manager.store.getState().flex.phone;
  const dispatch = (type: string, payload?: unknown) => manager.store.dispatch({ type, payload });
  /** One for each call that is up or on hold, by its SID. */
  const proxies = new Map<string, ProxyCall>();
  /** Calls that go on for as long as the extension needs to end them, and that Flex must not see any more. */
  const letGo = new Set<string>();
  let shown: ProxyCall | null = null;
  let attaching = false;

  /** Flex has a place for one call: it is that of the task the agent looks at, or else the one the agent speaks in. */
  const wanted = () => {
    const at = (callSid = '') => (letGo.has(callSid) ? undefined : proxies.get(callSid));
    return at(ownLeg(selectedTask(manager))?.callSid) ?? at(board.get().call?.callSid) ?? null;
  };

  function show() {
    const next = wanted();
    // Flex may let go of a call that goes on.
    const isDropped = next !== null && sidOf(phone().activeCall) === undefined && !board.get().ownButtons;
    if (attaching || (next === shown && !isDropped)) return;
    shown = next;
    if (next) attach(next);
  }

  function attach(proxy: ProxyCall) {
    attaching = true;
    try {
      dispatch('PHONE_ADD_CALL', proxy);
    } catch (cause) {
      log('Flex refused the call', cause);
    } finally {
      attaching = false;
    }
    // Some versions of Redux freeze or copy what they hold; the SID is what tells the call.
    const ownButtons = sidOf(phone().activeCall) !== proxy.parameters.CallSid;
    if (ownButtons && !board.get().ownButtons) log('this release of Flex no longer takes the extension\'s call for its own: showing buttons of our own instead');
    board.set({ ownButtons });
  }

  /**
   * Flex stops listening in when the next word of the conference comes and it has no call any more. That may be at once, and the
   * last one: with a call still there Flex would take itself to be listening for good, and could listen to no other call.
   */
  function stopListening(callSid: string) {
    if (!manager.store.getState().flex.supervisor?.callMonitoring?.status || sidOf(phone().activeCall) !== callSid) return;
    letGo.add(callSid);
    shown = null;
    dispatch('PHONE_REMOVE_CALL');
  }

  function end(callSid: string, proxy: ProxyCall) {
    proxies.delete(callSid);
    letGo.delete(callSid);
    if (shown === proxy) shown = null;
    if (sidOf(phone().activeCall) === callSid) {
      dispatch('PHONE_REMOVE_CALL');
      outside.flex.Actions.invokeAction('HideDirectory').catch((cause: unknown) => log('the directory could not be closed', cause));
    }
    proxy.end();
  }

  function follow() {
    const calls = callsOf(board.get());
    for (const [callSid, proxy] of proxies) if (!calls.some((call) => call.callSid === callSid)) end(callSid, proxy);
    for (const call of calls) {
      const proxy = proxies.get(call.callSid);
      if (proxy?.update(call) && phone().activeCall === proxy) dispatch('PHONE_TOGGLE_MUTE', proxy);
      if (proxy) continue;
      proxies.set(call.callSid, new ProxyCall(call, extension, () => stopListening(call.callSid)));
      closeDialer(outside);
    }
    show();
  }

  follow();
  return together(
    board.subscribe(follow),
    manager.store.subscribe(show),
    followOldExtension(outside),
    guardActions(outside),
    showOwnButtons(outside),
    showResume(outside),
    hideDeadButtons(outside),
    hideJoin(outside),
    () => proxies.forEach((proxy, callSid) => end(callSid, proxy)),
  );
};

const sidOf = (call: unknown): string | undefined => (call as { parameters?: { CallSid?: string } } | undefined)?.parameters?.CallSid;

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

/** What Flex would do wrongly, or refuse, because the calls are not in this page, or are two. */
const guardActions: Feature<{ extension: Extension; say: Say }> = ({ flex, manager, board, extension, say }) => {
  const calls = () => callsOf(board.get());
  const taskOf = (payload: Record<string, any>): Task | undefined => payload.task ?? manager.store.getState().flex.worker.tasks?.get(payload.sid);

  /**
   * Flex acts on the call of the task that is selected, whatever task it was asked for, also one without a call; and without a call
   * of its own it would only throw.
   */
  const instead = (act: (callSid: string, payload: Record<string, any>) => void) => (payload: Record<string, any>, abort: () => void) => {
    const { call, ownButtons } = board.get();
    const task = taskOf(payload);
    const meant = task ? callOf(manager, calls(), task, true) : call;
    const inFlex = sidOf(manager.store.getState().flex.phone.activeCall);
    const isOurs = calls().some(({ callSid }) => callSid === inFlex);
    if (!ownButtons && (!isOurs || (task ? inFlex === meant?.callSid : true))) return;
    if (ownButtons && calls().length === 0) return;
    abort();
    if (meant) act(meant.callSid, payload);
  };

  /** Which call a wrap-up ends: afterwards Flex may not know any more. */
  const wrappedUp = new Map<string, string>();

  function beforeWrapup(payload: Record<string, any>) {
    const task = taskOf(payload);
    const call = callOf(manager, calls(), task);
    if (task && call) wrappedUp.set(task.sid, call.callSid);
  }

  /** Flex starts the wrap-up and leaves the agent talking. Another plugin may have refused it until now. */
  function afterWrapup(payload: Record<string, any>) {
    const task = taskOf(payload);
    const callSid = task && wrappedUp.get(task.sid);
    if (!callSid) return;
    wrappedUp.delete(task.sid);
    extension.hangUp(callSid);
  }

  /** Flex lets the customer hear the agent again, whom the extension has put on hold. */
  function beforeUnhold(payload: Record<string, any>) {
    const leg = ownLeg(taskOf(payload))?.callSid;
    if (board.get().onHold.some(({ callSid }) => callSid === leg)) extension.answer(leg!);
  }

  /** Flex would ring where nobody answers, and the reservation would be lost. It stays, and the badge's menu says why. */
  function beforeAccept(payload: Record<string, any>, abort: () => void) {
    const task = taskOf(payload);
    if (board.get().ready || !task || !isVoice(task) || !isOfCall(task)) return;
    abort();
    board.set({ acceptRefused: board.get().acceptRefused + 1 });
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
    onAction({ flex }, 'afterWrapupTask', afterWrapup),
    onAction({ flex }, 'beforeAcceptTask', beforeAccept),
    onAction({ flex }, 'beforeStartOutboundCall', beforeOutbound),
    onAction({ flex }, 'beforeUnholdCall', beforeUnhold),
    onAction({ flex }, 'beforeStopMonitoringCall', (_, abort) => {
      const [monitored] = unclaimed(manager, calls());
      const inFlex = sidOf(manager.store.getState().flex.phone.activeCall);
      if (!monitored || inFlex === monitored.callSid) return;
      // Flex would end whichever call it shows; without one it does nothing.
      if (inFlex) abort();
      extension.hangUp(monitored.callSid);
    }),
    onAction({ flex }, 'beforeHangupCall', instead((callSid) => extension.hangUp(callSid))),
    onAction({ flex }, 'beforeToggleMute', instead((callSid) => extension.setMuted(!calls().find((call) => call.callSid === callSid)?.muted, callSid))),
    onAction({ flex }, 'beforeSendDTMFDigits', instead((callSid, { digits }) => extension.sendDigits(String(digits), callSid))),
  );
};

/** As Flex does itself when a call of its own is accepted. */
function closeDialer({ flex, manager, log }: Parameters<Feature>[0]) {
  if (manager.store.getState().flex.view?.isOutboundDialerOpen) flex.Actions.invokeAction('ToggleOutboundDialer').catch((cause: unknown) => log('the dialer could not be closed', cause));
}

/** Flex's mute cannot work with an extension that does not know how, and none of these where our own stand in. */
const hideDeadButtons: Feature = ({ flex, board }) => {
  const { Content } = flex.CallCanvasActions;
  const own = () => board.get().ownButtons && board.get().call !== null;
  Content.remove('toggleMute', { if: () => own() || (isOld(board.get()) && board.get().call !== null) });
  for (const key of ['dialpad', 'hangup']) Content.remove(key, { if: own });
  return () => {};
};

/** Flex may know of the conference before the extension has told of its call. A call that it has not told of by then is elsewhere. */
const joinAfter = 3_000;

/** Where Flex does not have the call, it offers to join it: that would ring the agent a second time, in the same conference. */
const hideJoin: Feature = ({ flex, manager, board, clock }) => {
  /** When each leg of the agent's was drawn first. */
  const since = new Map<string, number>();
  const isNew = (task: Task) => {
    const { callSid, status } = ownLeg(task) ?? {};
    // Without a leg in the conference there is no Join Call in that place, and other buttons may be.
    if (!callSid || status === 'left') return false;
    if (!since.has(callSid)) since.set(callSid, clock.now());
    return clock.now() - since.get(callSid)! < joinAfter;
  };
  const isOurs = (task: Task | undefined) => {
    if (task?.status !== 'accepted' || !isVoice(task)) return false;
    const calls = callsOf(board.get());
    const inFlex = sidOf(manager.store.getState().flex.phone.activeCall);
    if (calls.some(({ callSid }) => callSid === inFlex)) return false;
    return callOf(manager, calls, task, true) !== undefined || (inFlex === undefined && isNew(task));
  };
  flex.TaskCanvasHeader?.Content.remove('actions', { if: ({ task }: { task?: Task }) => isOurs(task) });
  return () => {};
};

const showOwnButtons: Feature<{ extension: Extension }> = (outside) => {
  const { flex, board } = outside;
  const key = 'flexvc-buttons';
  const drawn = framed(outside, key, <StandIns board={board} controls={flexControls(outside)} />);
  // Without a condition of Flex's: it looks at one only when it draws the canvas anew, for reasons of its own.
  flex.CallCanvasActions.Content.add(drawn, { sortOrder: -1 });
  return () => flex.CallCanvasActions.Content.remove(key);
};

const showResume: Feature<{ extension: Extension }> = (outside) => {
  const { flex, manager, board, extension } = outside;
  const key = 'flexvc-resume';
  const drawn = framed(outside, key, <ResumeButton manager={manager} board={board} extension={extension} />);
  flex.CallCanvasActions.Content.add(drawn, { sortOrder: -2 });
  return () => flex.CallCanvasActions.Content.remove(key);
};
