import React from 'react';
import { useBoard, useSurroundings } from '../../react';
import type { Board } from '../../state';
import { buttonStyle } from '../../theme';
import type { Extension } from '../connection/connection';

const row: React.CSSProperties = { display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: 8 };

interface Shown {
  board: Board;
  extension: Extension;
  /** A caller's name. */
  name: (callSid: string, from: string) => string;
}

/** The calls beside the one the agent speaks in: those that ring until the agent decides, and those on hold. */
export function Others({ board, extension, name }: Shown) {
  const { call, offers, onHold } = useBoard(board);
  const { words, look } = useSurroundings();
  const offered = (caller: string) => (caller ? words('badge.offeredBy', { caller }) : words('badge.incoming'));
  const held = (caller: string) => (caller ? words('badge.onHoldWith', { caller }) : words('badge.onHold'));
  return (
    <>
      {offers.map(({ callSid, from }) => (
        <div key={callSid} role="group" aria-label={offered(name(callSid, from))} style={row} data-flexvc="offer">
          <span role="alert" style={{ flexBasis: '100%', fontWeight: 600, overflowWrap: 'anywhere' }}>
            {offered(name(callSid, from))}
          </span>
          <button type="button" style={buttonStyle(look, 'primary')} data-flexvc="answer" onClick={() => extension.answer(callSid)}>
            {words(call ? 'badge.holdAndAnswer' : 'badge.answer')}
          </button>
          <button type="button" style={buttonStyle(look)} data-flexvc="decline" onClick={() => extension.decline(callSid)}>
            {words('badge.decline')}
          </button>
        </div>
      ))}
      {onHold.map(({ callSid, from }) => (
        <div key={callSid} role="group" aria-label={held(name(callSid, from))} style={row} data-flexvc="on-hold">
          <span style={{ flex: '1 1 120px', fontWeight: 600, overflowWrap: 'anywhere' }}>{held(name(callSid, from))}</span>
          <button type="button" style={buttonStyle(look)} data-flexvc="resume" onClick={() => extension.answer(callSid)}>
            {words('badge.resume')}
          </button>
        </div>
      ))}
    </>
  );
}
