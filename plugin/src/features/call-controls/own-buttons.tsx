import React, { useEffect, useRef, useState } from 'react';
import type { Call } from '../../messages';
import { useBoard, useSurroundings } from '../../react';
import { type Board, isOld } from '../../state';
import { buttonStyle } from '../../theme';
import { Icon } from '../badge/icon';
import type { Controls } from './flex-controls';

/** How long Flex's keypad may take to open, in ms. */
const keptFor = 1_000;
const keys = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];

/** Mute, keypad and hang-up, in words: for the badge's menu, and for the call canvas when Flex's own are gone. */
export function OwnButtons({ board, controls }: { board: Board; controls: Controls }) {
  const state = useBoard(board);
  const { words, look } = useSurroundings();
  const [keypad, setKeypad] = useState(false);
  const { call } = state;
  if (!call) return null;
  return (
    <div lang={words.tag} style={{ fontFamily: look.font, fontSize: 14 }}>
      <div role="group" aria-label={words('badge.call')} style={{ display: 'flex', flexWrap: 'wrap', gap: 8 }}>
        {isOld(state) || (
          <button type="button" style={buttonStyle(look, call.muted ? 'on' : 'plain')} data-flexvc="mute" onClick={() => controls.toggleMute(call)}>
            {call.muted && <Icon shape="muted" />}
            {words(call.muted ? 'badge.unmute' : 'badge.mute')}
          </button>
        )}
        <button type="button" style={buttonStyle(look, keypad ? 'on' : 'plain')} data-flexvc="keypad" aria-expanded={keypad} onClick={() => setKeypad(!keypad)}>
          {words('badge.keypad')}
        </button>
        <button type="button" style={buttonStyle(look, 'danger')} data-flexvc="hang-up" onClick={() => controls.hangUp(call)}>
          {words('badge.hangUp')}
        </button>
      </div>
      {keypad && <Keypad key={call.callSid} call={call} controls={controls} />}
    </div>
  );
}

/** Shows what was sent, and takes digits from the keyboard, too. */
function Keypad({ call, controls }: { call: Call; controls: Controls }) {
  const { words, look } = useSurroundings();
  const [typed, setTyped] = useState('');
  const pad = useRef<HTMLDivElement>(null);
  const pressedAt = useRef(0);
  useEffect(() => pad.current?.querySelector('button')?.focus(), []);

  function press(digit: string) {
    pressedAt.current = Date.now();
    setTyped((before) => before + digit);
    controls.sendDigits(digit, call);
  }

  function onKey(event: React.KeyboardEvent) {
    const { key, ctrlKey, altKey, metaKey } = event;
    if (!keys.includes(key) || ctrlKey || altKey || metaKey) {
      pressedAt.current = 0;
      return;
    }
    // Flex's own keypad, which opens now, would send it once more.
    event.preventDefault();
    press(key);
  }

  /** Flex's own keypad takes the focus when it opens. */
  function onBlur({ target, relatedTarget }: React.FocusEvent<HTMLElement>) {
    const isOurs = pad.current?.parentElement?.contains(relatedTarget as Node | null);
    if (relatedTarget && !isOurs && Date.now() - pressedAt.current < keptFor) setTimeout(() => target.focus());
  }

  return (
    <div
      ref={pad}
      role="group"
      aria-label={words('badge.keypad')}
      style={{ display: 'grid', gridTemplateColumns: 'repeat(3, 1fr)', gap: 4, marginTop: 8 }}
      onKeyDown={onKey}
      onBlur={onBlur}
    >
      <div
        role="log"
        aria-label={words('badge.typed')}
        data-flexvc="typed"
        // The latest are what the agent wants to see.
        style={{ gridColumn: '1 / -1', minHeight: 32, padding: '4px 8px', borderBottom: `1px solid ${look.border}`, boxSizing: 'border-box', fontSize: 18, letterSpacing: 2, overflow: 'hidden', whiteSpace: 'nowrap', direction: 'rtl', textAlign: 'center' }}
      >
        <bdi dir="ltr">{typed}</bdi>
      </div>
      {keys.map((digit) => (
        <button key={digit} type="button" style={{ ...buttonStyle(look), minWidth: 0 }} onClick={() => press(digit)}>
          {digit}
        </button>
      ))}
    </div>
  );
}

/** The same where Flex does not take the extension's call, and nothing where it does. */
export function StandIns({ board, controls }: { board: Board; controls: Controls }) {
  return useBoard(board).ownButtons ? <OwnButtons board={board} controls={controls} /> : null;
}
