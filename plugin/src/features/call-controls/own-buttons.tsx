import React, { useState } from 'react';
import { useBoard } from '../../react';
import { type Board, isOld } from '../../state';
import { badge as strings } from '../../strings';
import type { Controls } from './flex-controls';

const keys = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];

// Flex's call canvas makes every button in it a small circle, unless the button says otherwise.
export const button: React.CSSProperties = {
  width: 'auto',
  minWidth: 'max-content',
  height: 'auto',
  minHeight: 32,
  margin: 0,
  whiteSpace: 'nowrap',
  padding: '4px 12px',
  border: '1px solid #8891aa',
  borderRadius: 4,
  background: '#ffffff',
  color: '#121c2d',
  font: 'inherit',
  cursor: 'pointer',
};
export const blue: React.CSSProperties = { ...button, background: '#0263e0', borderColor: '#0263e0', color: '#ffffff' };
const red: React.CSSProperties = { ...button, background: '#d61f1f', borderColor: '#d61f1f', color: '#ffffff' };

/** Mute, keypad and hang-up, in words: for the badge's menu, and for the call canvas when Flex's own are gone. */
export function OwnButtons({ board, controls }: { board: Board; controls: Controls }) {
  const state = useBoard(board);
  const [keypad, setKeypad] = useState(false);
  const { call } = state;
  if (!call) return null;
  return (
    <div>
      <div role="group" aria-label={strings.call} style={{ display: 'flex', flexWrap: 'wrap', gap: 8 }}>
        {isOld(state) || (
          <button type="button" style={button} data-flexvc="mute" aria-pressed={call.muted} onClick={() => controls.toggleMute(call)}>
            {call.muted ? strings.unmute : strings.mute}
          </button>
        )}
        <button type="button" style={button} data-flexvc="keypad" aria-expanded={keypad} onClick={() => setKeypad(!keypad)}>
          {strings.keypad}
        </button>
        <button type="button" style={red} data-flexvc="hang-up" onClick={() => controls.hangUp(call)}>
          {strings.hangUp}
        </button>
      </div>
      {keypad && (
        <div role="group" aria-label={strings.keypad} style={{ display: 'grid', gridTemplateColumns: 'repeat(3, 1fr)', gap: 4, marginTop: 8 }}>
          {keys.map((digit) => (
            <button key={digit} type="button" style={button} onClick={() => controls.sendDigits(digit, call)}>
              {digit}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** The same where Flex does not take the extension's call, and nothing where it does. */
export function StandIns({ board, controls }: { board: Board; controls: Controls }) {
  return useBoard(board).ownButtons ? <OwnButtons board={board} controls={controls} /> : null;
}
