// The header's mark: what the voice client is doing, in words, and a menu for what Flex has no button for.
import React, { useEffect, useRef, useState } from 'react';
import type { DeviceKind } from '../../messages';
import type { Feature } from '../../outside';
import { Boundary, useBoard } from '../../react';
import type { Settings } from '../../settings';
import { type Board, isOld } from '../../state';
import { badge as strings } from '../../strings';
import { type Controls, flexControls } from '../call-controls/flex-controls';
import { OwnButtons, blue } from '../call-controls/own-buttons';
import type { Extension } from '../connection/connection';
import { type Tone, look } from './look';
import { Others } from './others';

const key = 'flexvc-badge';

export const badge: Feature<{ extension: Extension }> = (outside) => {
  const { flex, board, extension, settings, log } = outside;
  const takeCalls = () => {
    const { stranded } = board.get();
    flex.Actions.invokeAction('SetActivity', { activitySid: stranded, byFlexvc: true }).catch((cause: unknown) => log('the activity could not be changed', cause));
  };
  const drawn = (
    <Boundary key={key} log={log}>
      <Badge board={board} extension={extension} settings={settings} controls={flexControls(outside)} takeCalls={takeCalls} />
    </Boundary>
  );
  flex.MainHeader.Content.add(drawn, { align: 'end', sortOrder: -1 });
  return () => {
    board.set({ stopped: true });
    flex.MainHeader.Content.remove(key);
  };
};

const colours: Record<Tone, string> = { good: '#14b053', busy: '#f4b400', bad: '#f05c5c', call: '#3da2ff' };

const styles = {
  root: { position: 'relative', display: 'flex', alignItems: 'center', margin: '0 8px', fontSize: 14 },
  mark: {
    display: 'flex', alignItems: 'center', gap: 8, height: 28, maxWidth: 220, padding: '0 10px', border: '1px solid rgba(136, 145, 170, 0.6)', borderRadius: 14,
    background: 'transparent', color: 'inherit', font: 'inherit', fontWeight: 600, whiteSpace: 'nowrap', cursor: 'pointer',
  },
  menu: {
    position: 'absolute', top: 'calc(100% + 16px)', right: 0, zIndex: 1000, display: 'grid', gap: 12, width: 300, padding: 16, borderRadius: 8, boxSizing: 'border-box',
    background: '#ffffff', color: '#121c2d', boxShadow: '0 4px 16px rgba(18, 28, 45, 0.3)', whiteSpace: 'normal', lineHeight: 1.4, textAlign: 'left',
  },
  field: { display: 'grid', gap: 4, fontWeight: 600 },
  select: { width: '100%', minHeight: 32, padding: '4px 8px', border: '1px solid #8891aa', borderRadius: 4, background: '#ffffff', color: '#121c2d', font: 'inherit', fontWeight: 400 },
  text: { margin: 0, fontSize: 14 },
  small: { margin: 0, color: '#606b85', fontSize: 12 },
} satisfies Record<string, React.CSSProperties>;

interface Shown {
  board: Board;
  extension: Extension;
  settings: Settings;
  controls: Controls;
  takeCalls: () => void;
}

export function Badge({ board, extension, settings, controls, takeCalls }: Shown) {
  const state = useBoard(board);
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const mark = useRef<HTMLButtonElement>(null);
  const { tone, title, text } = look(state);
  const isRefused = state.acceptRefused > 0 && !state.ready;
  const offered = state.offers.map(({ callSid }) => callSid).join();

  // Somebody is waiting for the agent to decide. Not in Flex's notification bar: that covers the first task.
  useEffect(() => setOpen(offered !== '' || state.stranded !== null), [offered, state.stranded]);

  useEffect(() => {
    if (state.acceptRefused > 0) setOpen(true);
  }, [state.acceptRefused]);

  useEffect(() => {
    if (!open) return undefined;
    const page = root.current!.ownerDocument;
    const onPointer = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      setOpen(false);
      mark.current?.focus();
    };
    page.addEventListener('pointerdown', onPointer);
    page.addEventListener('keydown', onKey);
    return () => {
      page.removeEventListener('pointerdown', onPointer);
      page.removeEventListener('keydown', onKey);
    };
  }, [open]);

  if (state.stopped) return null;
  const devices = isOld(state) || state.link !== 'up' ? null : state.beat?.devices;
  return (
    <div ref={root} style={styles.root} data-flexvc="badge" data-tone={tone}>
      <button ref={mark} type="button" style={styles.mark} aria-expanded={open} aria-haspopup="dialog" aria-label={`${strings.label}: ${title}`} title={text} onClick={() => setOpen(!open)}>
        <span aria-hidden style={{ flex: 'none', width: 10, height: 10, borderRadius: 5, background: colours[tone] }} />
        <span role="status" style={{ overflow: 'hidden', textOverflow: 'ellipsis' }}>
          {title}
        </span>
      </button>
      {open && (
        <div role="dialog" aria-label={strings.label} style={styles.menu}>
          <p style={styles.text} data-flexvc="text">
            {text}
          </p>
          {isRefused && (
            <p style={{ ...styles.text, fontWeight: 600 }} data-flexvc="refused">
              {strings.acceptRefused}
            </p>
          )}
          {state.stranded && (
            <button type="button" style={blue} data-flexvc="take-calls" onClick={takeCalls}>
              {strings.takeCalls}
            </button>
          )}
          <Others board={board} extension={extension} />
          <OwnButtons board={board} controls={controls} />
          {devices && <DeviceChoice kind="input" label={strings.microphone} labels={devices.inputs} selected={devices.selected.input} extension={extension} />}
          {devices && <DeviceChoice kind="output" label={strings.speaker} labels={devices.outputs} selected={devices.selected.output} extension={extension} />}
          <p style={styles.small}>
            {strings.helpText}{' '}
            {settings.helpURL?.startsWith('https://') && (
              <a href={settings.helpURL} target="_blank" rel="noreferrer">
                {strings.help}
              </a>
            )}
          </p>
          <p style={styles.small}>{strings.version(settings.version, state.beat?.extensionVersion ?? null)}</p>
        </div>
      )}
    </div>
  );
}

interface Choice {
  kind: DeviceKind;
  label: string;
  labels: string[];
  selected: string;
  extension: Extension;
}

function DeviceChoice({ kind, label, labels, selected, extension }: Choice) {
  // One that was chosen and is unplugged stays in the list, so that the list does not lie.
  const all = selected && !labels.includes(selected) ? [selected, ...labels] : labels;
  return (
    <label style={styles.field}>
      {label}
      <select style={styles.select} value={selected} data-flexvc={kind} onChange={(event) => extension.chooseDevice(kind, event.target.value)}>
        <option value="">{strings.standardDevice}</option>
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
