// What the badge says of a state: pure, so that every state has a test.
import { type State, problemOf } from '../../state';
import { badge as strings, problems } from '../../strings';

export type Tone = 'good' | 'busy' | 'bad' | 'call';

export interface Look {
  tone: Tone;
  title: string;
  text: string;
}

export function look(state: State): Look {
  const problem = problemOf(state);
  const { call } = state;
  if (state.offers.length > 0 && state.link === 'up') return { tone: 'call', title: strings.incoming, text: strings.incomingText };
  // Whatever else is wrong, an agent who talks wants to know of the call first.
  if (call && state.link === 'up') {
    if (call.status === 'reconnecting') return { tone: 'busy', title: strings.reconnecting, text: strings.reconnectingText };
    const text = call.quality === 'poor' ? strings.poor : strings.callText;
    const title = state.onHold.length > 0 ? strings.beside(state.onHold.length) : strings.call;
    return { tone: 'call', title: call.muted ? strings.muted : title, text: problem ? `${text} ${problems[problem].text}` : text };
  }
  // Amber while calls still come.
  if (problem) return { tone: state.ready ? 'busy' : 'bad', ...problems[problem] };
  if (state.ready) return { tone: 'good', title: strings.ready, text: strings.readyText };
  return { tone: 'busy', title: strings.starting, text: strings.startingText };
}
