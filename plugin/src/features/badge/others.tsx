import React from 'react';
import { useBoard } from '../../react';
import type { Board } from '../../state';
import { badge as strings } from '../../strings';
import { blue, button } from '../call-controls/own-buttons';
import type { Extension } from '../connection/connection';

const row: React.CSSProperties = { display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: 8 };

/** The calls beside the one the agent speaks in: those that ring until the agent decides, and those on hold. */
export function Others({ board, extension }: { board: Board; extension: Extension }) {
  const { call, offers, onHold } = useBoard(board);
  return (
    <>
      {offers.map(({ callSid, from }) => (
        <div key={callSid} role="group" aria-label={strings.offered(from)} style={row} data-flexvc="offer">
          <span style={{ flexBasis: '100%', fontWeight: 600 }}>{strings.offered(from)}</span>
          <button type="button" style={blue} data-flexvc="answer" onClick={() => extension.answer(callSid)}>
            {call ? strings.holdAndAnswer : strings.answer}
          </button>
          <button type="button" style={button} data-flexvc="decline" onClick={() => extension.decline(callSid)}>
            {strings.decline}
          </button>
        </div>
      ))}
      {onHold.map(({ callSid, from }) => (
        <div key={callSid} role="group" aria-label={strings.onHold(from)} style={row} data-flexvc="on-hold">
          <span style={{ flexGrow: 1, fontWeight: 600 }}>{strings.onHold(from)}</span>
          <button type="button" style={button} data-flexvc="resume" onClick={() => extension.answer(callSid)}>
            {strings.resume}
          </button>
        </div>
      ))}
    </>
  );
}
