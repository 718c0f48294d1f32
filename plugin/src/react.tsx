import React, { useEffect, useState } from 'react';
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

/** What fails inside is not drawn, and Flex around it is. */
export class Boundary extends React.Component<{ log: (sentence: string, cause?: unknown) => void }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidCatch(cause: Error) {
    this.props.log('a part of this plugin could not be drawn', cause);
  }

  override render() {
    return this.state.failed ? null : this.props.children;
  }
}
