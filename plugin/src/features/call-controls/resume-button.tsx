import React, { useEffect, useState } from 'react';
import type { Manager } from '../../flex';
import { useBoard, useSurroundings } from '../../react';
import type { Board } from '../../state';
import { buttonStyle } from '../../theme';
import type { Extension } from '../connection/connection';
import { ownLeg, selectedTask } from './tasks';

/** Flex shows a call as live that the extension has put on hold for another: in its task stands what brings it back. */
export function ResumeButton({ manager, board, extension }: { manager: Manager; board: Board; extension: Extension }) {
  const { onHold } = useBoard(board);
  const { words, look } = useSurroundings();
  const leg = () => ownLeg(selectedTask(manager))?.callSid;
  const [open, setOpen] = useState(leg);
  useEffect(() => {
    setOpen(leg());
    return manager.store.subscribe(() => setOpen(leg()));
  }, [manager]);
  const held = onHold.find(({ callSid }) => callSid === open);
  if (!held) return null;
  return (
    <button type="button" lang={words.tag} style={buttonStyle(look)} data-flexvc="resume-task" onClick={() => extension.answer(held.callSid)}>
      {words('badge.resumeTask')}
    </button>
  );
}
