// The calls beside the one the agent speaks in: those that are offered, and those on hold.

import { nameOf } from './names.js';

/**
 * @typedef {import('../background/view.js').PopupView} PopupView
 * @typedef {{ callSid: string, from: string, note: string, actions: { type: string, text: string, primary?: boolean }[] }} Row  type: what
 *   the worker is asked for when it is clicked
 */

/**
 * What is offered comes first: somebody is waiting for an answer.
 * @param {Pick<PopupView, 'call' | 'onHold' | 'offers' | 'prefix'>} view
 * @returns {Row[]}
 */
export const othersOf = ({ call, onHold, offers, prefix }) => [
  ...offers.map(({ callSid, from }) => ({
    callSid,
    from: nameOf(from, prefix),
    note: 'other_offered',
    actions: [
      { type: 'popup.answer', text: call ? 'other_hold_and_answer' : 'other_answer', primary: true },
      { type: 'popup.decline', text: 'other_decline' },
    ],
  })),
  ...onHold.toReversed().map(({ callSid, from }) => ({
    callSid,
    from: nameOf(from, prefix),
    note: 'other_on_hold',
    actions: [{ type: 'popup.answer', text: 'other_resume' }],
  })),
];

/**
 * @param {HTMLElement} list
 * @param {Row[]} rows
 * @param {(key: string) => string} t
 * @param {(type: string, payload: object) => void} ask
 */
export function showOthers(list, rows, t, ask) {
  list.hidden = rows.length === 0;
  document.body.classList.toggle('crowded', rows.length > 0);
  // Written anew, a button loses its focus, and a screen reader says it all again.
  const shown = JSON.stringify(rows);
  if (list.dataset['shown'] === shown) return;
  list.dataset['shown'] = shown;
  list.replaceChildren(
    ...rows.map(({ callSid, from, note, actions }) => {
      const item = document.createElement('li');
      const name = Object.assign(document.createElement('p'), { textContent: from || t('call_unknown') });
      const about = Object.assign(document.createElement('p'), { textContent: t(note) });
      const buttons = actions.map(({ type, text, primary }) => {
        const button = Object.assign(document.createElement('button'), { type: 'button', textContent: t(text) });
        if (primary) button.className = 'primary';
        button.addEventListener('click', () => ask(type, { callSid }));
        return button;
      });
      item.dataset['call'] = callSid;
      const row = document.createElement('div');
      row.append(...buttons);
      item.append(name, about, row);
      return item;
    }),
  );
}
