// What the badge opens: what is the matter, the calls, and the devices.
import React, { useEffect, useLayoutEffect, useRef } from 'react';
import type { DeviceKind } from '../../messages';
import { useBoard, useSurroundings } from '../../react';
import type { Settings } from '../../settings';
import { type Board, isOld } from '../../state';
import { type Look, buttonStyle } from '../../theme';
import type { Controls } from '../call-controls/flex-controls';
import { OwnButtons } from '../call-controls/own-buttons';
import type { Extension } from '../connection/connection';
import { Icon } from './icon';
import { Others } from './others';

export interface MenuParts {
  extension: Extension;
  settings: Settings;
  controls: Controls;
  takeCalls: () => void;
  /** A caller's name; empty where nobody knows. */
  name: (callSid: string, from?: string) => string;
}

interface Shown extends MenuParts {
  board: Board;
  /** The agent is in the menu with the keyboard. */
  entered: React.MutableRefObject<boolean>;
  title: string;
  text: string;
  close: () => void;
}

const focusable = 'button, select, a[href]';
const heading = 'flexvc-heading';

export function Menu({ board, extension, settings, controls, takeCalls, name, entered, title, text, close }: Shown) {
  const state = useBoard(board);
  const { words, look } = useSurroundings();
  const menu = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (entered.current) menu.current?.focus();
  }, []);

  // A button that was pressed may be gone with what it did; whoever pressed it goes on from here, and not from the top of Flex.
  useLayoutEffect(() => {
    const page = menu.current!.ownerDocument;
    if (entered.current && page.activeElement === page.body) menu.current!.focus();
  });

  /** Around, and out with Escape. */
  function onTab(event: React.KeyboardEvent) {
    if (event.key !== 'Tab') return;
    const all = [...menu.current!.querySelectorAll<HTMLElement>(focusable)];
    const at = menu.current!.ownerDocument.activeElement;
    const [last, next] = event.shiftKey ? [[all[0], menu.current], all.at(-1)] : [[all.at(-1)], all[0]];
    if (!last.includes(at as HTMLElement)) return;
    event.preventDefault();
    next?.focus();
  }

  const caller = state.call && name(state.call.callSid);
  const isRefused = state.acceptRefused > 0 && !state.ready;
  const devices = isOld(state) || state.link !== 'up' ? null : state.beat?.devices;
  const extensionVersion = state.beat?.extensionVersion;
  return (
    <div ref={menu} role="dialog" aria-labelledby={heading} tabIndex={-1} style={menuStyle(look)} onKeyDown={onTab} onFocus={() => (entered.current = true)}>
      <div style={{ display: 'flex', alignItems: 'center', gap: 8 }}>
        <h3 id={heading} style={{ flex: 1, margin: 0, fontSize: 16, fontWeight: 600, lineHeight: 1.3 }} data-flexvc="heading">
          {title}
        </h3>
        <button type="button" style={{ ...buttonStyle(look), minWidth: 0, minHeight: 28, padding: 5, border: '1px solid transparent' }} aria-label={words('badge.close')} onClick={close}>
          <Icon shape="close" />
        </button>
      </div>
      {caller && (
        <p style={{ ...plain, fontWeight: 600, overflowWrap: 'anywhere' }} data-flexvc="caller">
          {words('badge.talkingTo', { caller })}
        </p>
      )}
      <p style={plain} data-flexvc="text">
        {text}
      </p>
      {isRefused && (
        <p role="alert" style={{ ...plain, fontWeight: 600 }} data-flexvc="refused">
          {words('badge.acceptRefused')}
        </p>
      )}
      {state.stranded && (
        <button type="button" style={buttonStyle(look, 'primary')} data-flexvc="take-calls" onClick={takeCalls}>
          {words('badge.takeCalls')}
        </button>
      )}
      <Others board={board} extension={extension} name={name} />
      <OwnButtons board={board} controls={controls} />
      {devices && <DeviceChoice kind="input" label={words('badge.microphone')} labels={devices.inputs} selected={devices.selected.input} extension={extension} />}
      {devices && <DeviceChoice kind="output" label={words('badge.speaker')} labels={devices.outputs} selected={devices.selected.output} extension={extension} />}
      <div style={{ display: 'grid', gap: 8, paddingTop: 12, borderTop: `1px solid ${look.line}`, color: look.weak, fontSize: 12 }}>
        <p style={plain}>
          {words('badge.helpText')}{' '}
          {settings.helpURL?.startsWith('https://') && (
            <a href={settings.helpURL} target="_blank" rel="noreferrer" style={{ color: look.link }}>
              {words('badge.help')}
            </a>
          )}
        </p>
        <p style={plain}>{words(extensionVersion ? 'badge.version' : 'badge.versionUnknown', { plugin: settings.version, extension: extensionVersion ?? '' })}</p>
      </div>
    </div>
  );
}

// Flex has measures of its own for paragraphs.
const plain: React.CSSProperties = { margin: 0, fontSize: 'inherit', lineHeight: 'inherit' };

const menuStyle = (look: Look): React.CSSProperties => ({
  position: 'absolute',
  top: 'calc(100% + 12px)',
  right: 0,
  zIndex: 1000,
  display: 'grid',
  gap: 12,
  width: 340,
  maxHeight: 'calc(100vh - 72px)',
  overflowY: 'auto',
  padding: 16,
  border: `1px solid ${look.line}`,
  borderRadius: 8,
  boxSizing: 'border-box',
  background: look.body,
  color: look.text,
  boxShadow: look.shadow,
  outline: 'none',
  whiteSpace: 'normal',
  textAlign: 'left',
});

interface Choice {
  kind: DeviceKind;
  label: string;
  labels: string[];
  selected: string;
  extension: Extension;
}

function DeviceChoice({ kind, label, labels, selected, extension }: Choice) {
  const { words, look } = useSurroundings();
  // One that was chosen and is unplugged stays in the list, so that the list does not lie.
  const all = selected && !labels.includes(selected) ? [selected, ...labels] : labels;
  const style = { width: '100%', minHeight: 36, padding: '4px 8px', border: `1px solid ${look.border}`, borderRadius: 4, background: look.body, color: look.text, font: 'inherit', fontWeight: 400 };
  return (
    <label style={{ display: 'grid', gap: 4, minWidth: 0, fontWeight: 600 }}>
      {label}
      <select style={style} value={selected} data-flexvc={kind} onChange={(event) => extension.chooseDevice(kind, event.target.value)}>
        <option value="">{words('badge.standardDevice')}</option>
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
