// Our own buttons, by way of Flex's actions, so that other plugins hear of them: who hung up, that a recording is to be paused
// while a card number is typed. What the actions do with a call of the extension is in call-controls.tsx.
import type { Outside } from '../../outside';
import type { Call } from '../../messages';
import type { Extension } from '../connection/connection';
import { taskOfCall } from './tasks';

export interface Controls {
  hangUp(call: Call): void;
  toggleMute(call: Call): void;
  sendDigits(digits: string, call: Call): void;
}

export function flexControls({ flex, manager, board, extension, log }: Outside & { extension: Extension }): Controls {
  const inFlex = () => (manager.store.getState().flex.phone.activeCall as { parameters?: { CallSid?: string } } | undefined)?.parameters?.CallSid;

  /** An action that some listener has aborted was carried out in Flex's place, or another plugin does not want it. */
  function invoke(action: string, payload: object, otherwise: () => void) {
    flex.Actions.invokeAction(action, payload).catch((cause: unknown) => {
      if (/cancell?ed/i.test(String(cause))) return;
      log(`${action} failed in Flex, so it goes straight to the voice extension`, cause);
      otherwise();
    });
  }

  return {
    hangUp(call) {
      const task = taskOfCall(manager, call);
      const straight = () => extension.hangUp(call.callSid);
      if (task) invoke('HangupCall', { task, sid: task.sid }, straight);
      else straight();
    },
    toggleMute(call) {
      const straight = () => extension.setMuted(!call.muted, call.callSid);
      // Flex's action knows no task: it is for the call that Flex shows.
      if (board.get().ownButtons || inFlex() === call.callSid) invoke('ToggleMute', {}, straight);
      else straight();
    },
    sendDigits(digits, call) {
      const task = taskOfCall(manager, call);
      const straight = () => extension.sendDigits(digits, call.callSid);
      if (task) invoke('SendDTMFDigits', { task, sid: task.sid, digits }, straight);
      else straight();
    },
  };
}
