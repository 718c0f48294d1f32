// One shape for each state, so that nobody has to tell colours apart.
import React from 'react';

export type Shape = 'ready' | 'busy' | 'bad' | 'incoming' | 'call' | 'muted' | 'hold' | 'close';

const lines: Record<Shape, string> = {
  ready: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 1 0 8 1.8ZM5.2 8.2l2 2 3.6-4',
  busy: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 1 0 8 1.8ZM8 4.8V8l2.2 1.6',
  bad: 'M8 2 15 14H1ZM8 6.4v3.4M8 11.8v.2',
  incoming: 'M8 2a4 4 0 0 1 4 4v2.8l1.4 2.4H2.6L4 8.8V6a4 4 0 0 1 4-4ZM6.4 13.6a1.8 1.8 0 0 0 3.2 0',
  call: 'M4.9 1.8H3c-.7 0-1.2.6-1.2 1.3C2.2 9 7 13.8 12.9 14.2c.7 0 1.3-.5 1.3-1.2v-1.9c0-.5-.3-.9-.8-1l-1.9-.5c-.4-.1-.8 0-1 .3l-.7.9C8 10 6 8 5 6.2l.9-.7c.3-.2.4-.6.3-1l-.5-1.9c-.1-.5-.5-.8-.8-.8Z',
  muted: 'M8 1.8A2.2 2.2 0 0 1 10.2 4v3.4a2.2 2.2 0 0 1-4.4 0V4A2.2 2.2 0 0 1 8 1.8ZM3.4 7.4a4.6 4.6 0 0 0 9.2 0M8 12v2.4M2 2l12 12',
  hold: 'M5.2 3v10M10.8 3v10',
  close: 'M4 4l8 8M12 4l-8 8',
};

export function Icon({ shape, colour = 'currentColor' }: { shape: Shape; colour?: string }) {
  return (
    <svg aria-hidden="true" data-shape={shape} width={16} height={16} viewBox="0 0 16 16" fill="none" stroke={colour} strokeWidth={1.6} strokeLinecap="round" strokeLinejoin="round" style={{ flex: 'none' }}>
      <path d={lines[shape]} />
    </svg>
  );
}
