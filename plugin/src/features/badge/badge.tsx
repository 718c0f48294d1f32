// The header's mark: what the voice client is doing, in words, and a menu for what Flex has no button for.
import React, { useEffect, useRef, useState } from 'react';
import type { Feature } from '../../outside';
import { framed, useBoard, useSurroundings } from '../../react';
import type { Board } from '../../state';
import { flexControls } from '../call-controls/flex-controls';
import type { Extension } from '../connection/connection';
import { callerOf } from './caller';
import { Icon, type Shape } from './icon';
import { look as lookAt } from './look';
import { Menu, type MenuParts } from './menu';

const key = 'flexvc-badge';

export const badge: Feature<{ extension: Extension }> = (outside) => {
  const { flex, manager, board, extension, settings, log } = outside;
  const takeCalls = () => {
    const { stranded } = board.get();
    flex.Actions.invokeAction('SetActivity', { activitySid: stranded, byFlexvc: true }).catch((cause: unknown) => log('the activity could not be changed', cause));
  };
  const name = (callSid: string, from?: string) => callerOf(manager, callSid, settings.identityPrefix, from);
  const drawn = <Badge board={board} extension={extension} settings={settings} controls={flexControls(outside)} takeCalls={takeCalls} name={name} />;
  flex.MainHeader.Content.add(framed(outside, key, drawn), { align: 'end', sortOrder: -1 });
  return () => {
    board.set({ stopped: true });
    flex.MainHeader.Content.remove(key);
  };
};

const styles = {
  root: { position: 'relative', display: 'flex', alignItems: 'center', margin: '0 8px', fontSize: 14, lineHeight: 1.4 },
  mark: { display: 'flex', alignItems: 'center', gap: 8, height: 30, maxWidth: 240, margin: 0, padding: '0 10px', borderRadius: 8, font: 'inherit', whiteSpace: 'nowrap', cursor: 'pointer' },
  // Heard, and not seen.
  heard: { position: 'absolute', width: 1, height: 1, overflow: 'hidden', clipPath: 'inset(50%)', whiteSpace: 'nowrap' },
} satisfies Record<string, React.CSSProperties>;

export function Badge(parts: { board: Board } & MenuParts) {
  const { board } = parts;
  const state = useBoard(board);
  const { words, look } = useSurroundings();
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const mark = useRef<HTMLButtonElement>(null);
  /** The agent opened the menu, and is in it with the keyboard. */
  const entered = useRef(false);
  const { shape, title, text } = lookAt(state, words);
  const offered = state.offers.map(({ callSid }) => callSid).join();

  // Somebody is waiting for the agent to decide. Not in Flex's notification bar: that covers the first task. The focus stays
  // where it is: the agent may be writing to somebody else.
  useEffect(() => setOpen(offered !== '' || state.stranded !== null), [offered, state.stranded]);

  useEffect(() => {
    if (state.acceptRefused > 0) setOpen(true);
  }, [state.acceptRefused]);

  function close() {
    setOpen(false);
    mark.current?.focus();
  }

  function toggle() {
    entered.current = !open;
    setOpen(!open);
  }

  useEffect(() => {
    if (!open) return undefined;
    const page = root.current!.ownerDocument;
    const onPointer = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => event.key === 'Escape' && close();
    page.addEventListener('pointerdown', onPointer);
    page.addEventListener('keydown', onKey);
    return () => {
      page.removeEventListener('pointerdown', onPointer);
      page.removeEventListener('keydown', onKey);
      // It was in the menu, and the menu is gone.
      if (page.activeElement === page.body && entered.current) mark.current?.focus();
      entered.current = false;
    };
  }, [open]);

  if (state.stopped) return null;
  return (
    <div ref={root} lang={words.tag} style={{ ...styles.root, fontFamily: look.font }} data-flexvc="badge" data-shape={shape}>
      <span role="status" style={styles.heard}>
        {title}
      </span>
      <button
        ref={mark}
        type="button"
        style={{ ...styles.mark, ...markColours(shape, look) }}
        aria-expanded={open}
        aria-haspopup="dialog"
        aria-label={`${words('badge.label')}: ${title}`}
        title={text}
        onClick={toggle}
      >
        <Icon shape={shape} colour={shape === 'ready' ? look.good : shape === 'busy' ? look.busy : 'currentColor'} />
        <span style={{ overflow: 'hidden', textOverflow: 'ellipsis' }}>{title}</span>
      </button>
      {open && <Menu {...parts} entered={entered} title={title} text={text} close={close} />}
    </div>
  );
}

/** Muted is the reverse of in a call, and what is bad is filled: both are seen without colours. */
function markColours(shape: Shape, { header, danger, primary, onStrong }: ReturnType<typeof useSurroundings>['look']): React.CSSProperties {
  const [background, color, border] = {
    bad: [danger, onStrong, danger],
    incoming: [primary, onStrong, onStrong],
    muted: [header.text, header.background, header.text],
  }[shape as string] ?? ['transparent', 'inherit', 'currentColor'];
  return { background, color, border: `1px solid ${border}` };
}
