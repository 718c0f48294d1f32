import React, { type ReactElement, type ReactNode, useContext, useEffect, useState } from 'react';
import type { Theme } from './flex';
import type { Outside } from './outside';
import type { Board, State } from './state';
import { type Look, lookOf } from './theme';
import type { Words } from './words';

export function useBoard(board: Board): State {
  const [state, setState] = useState(board.get());
  useEffect(() => {
    // It may have changed between the first drawing and now.
    setState(board.get());
    return board.subscribe(() => setState(board.get()));
  }, [board]);
  return state;
}

interface Surroundings {
  words: Words;
  look: Look;
}

const Surroundings = React.createContext<Surroundings | null>(null);

/** The words and the colours of the Flex around. */
export const useSurroundings = (): Surroundings => useContext(Surroundings)!;

/** What every part of ours in Flex stands in: Flex's theme, the agent's language, and a boundary for what fails inside. */
export function framed({ flex, words, log }: Pick<Outside, 'flex' | 'words' | 'log'>, key: string, drawn: ReactElement): ReactElement {
  function Frame({ theme, children }: { theme?: Theme; children?: ReactNode }) {
    return <Surroundings.Provider value={{ words, look: lookOf(theme) }}>{children}</Surroundings.Provider>;
  }
  const Themed = flex.withTheme?.(Frame) ?? Frame;
  return (
    <Boundary key={key} log={log}>
      <Themed>{drawn}</Themed>
    </Boundary>
  );
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
