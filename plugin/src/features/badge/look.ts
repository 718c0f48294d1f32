// What the badge says of a state: pure, so that every state has a test.
import { type State, problemOf } from '../../state';
import type { Words } from '../../words';
import type { Shape } from './icon';

export interface Look {
  shape: Shape;
  title: string;
  text: string;
}

export function look(state: State, words: Words): Look {
  const problem = problemOf(state);
  const { call } = state;
  if (state.offers.length > 0 && state.link === 'up') return { shape: 'incoming', title: words('badge.incoming'), text: words('badge.incomingText') };
  // Whatever else is wrong, an agent who talks wants to know of the call first.
  if (call && state.link === 'up') {
    if (call.status === 'reconnecting') return { shape: 'busy', title: words('badge.reconnecting'), text: words('badge.reconnectingText') };
    const held = state.onHold.length;
    const title = words(call.muted ? 'badge.muted' : held > 0 ? 'badge.beside' : 'badge.call', { count: held });
    const text = words(call.muted ? 'badge.mutedText' : call.quality === 'poor' ? 'badge.poor' : 'badge.callText');
    return { shape: call.muted ? 'muted' : 'call', title, text: problem ? `${text} ${words(problem)}` : text };
  }
  // Calls still come where it is no more than a warning.
  if (problem) return { shape: state.ready ? 'busy' : 'bad', title: words(`${problem}.title`), text: words(problem) };
  if (state.onHold.length > 0) return { shape: 'hold', title: words('badge.onHold'), text: words('badge.callText') };
  if (state.ready) return { shape: 'ready', title: words('badge.ready'), text: words('badge.readyText') };
  return { shape: 'busy', title: words('badge.starting'), text: words('badge.startingText') };
}
