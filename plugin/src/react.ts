import { useEffect, useState } from 'react';
import type { Board, State } from './state';

export function useBoard(board: Board): State {
  const [state, setState] = useState(board.get());
  useEffect(() => {
    // It may have changed between the first drawing and now.
    setState(board.get());
    return board.subscribe(() => setState(board.get()));
  }, [board]);
  return state;
}
