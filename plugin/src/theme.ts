// Flex's own colours and measures, by the names of its design tokens.
import type { Theme } from './flex';

export interface Look {
  body: string;
  text: string;
  weak: string;
  link: string;
  border: string;
  line: string;
  shadow: string;
  primary: string;
  danger: string;
  good: string;
  busy: string;
  /** On primary and danger. */
  onStrong: string;
  font: string;
  header: { background: string; text: string };
}

/** Without a theme it is the light one. */
export function lookOf({ tokens = {}, MainHeader }: Theme = {}): Look {
  const token = (group: string, name: string, otherwise: string) => tokens[group]?.[name] ?? otherwise;
  const background = (name: string, otherwise: string) => token('backgroundColors', `colorBackground${name}`, otherwise);
  const text = (name: string, otherwise: string) => token('textColors', `colorText${name}`, otherwise);
  const border = (name: string, otherwise: string) => token('borderColors', `colorBorder${name}`, otherwise);
  const { background: header = '#06033a', color = '#fff' } = MainHeader?.Container ?? {};
  return {
    body: background('Body', '#fff'),
    primary: background('Primary', '#0263e0'),
    danger: background('Destructive', '#d61f1f'),
    good: background('Available', '#14b053'),
    busy: background('Busy', '#f47c22'),
    text: text('', '#121c2d'),
    weak: text('Weak', '#606b85'),
    link: text('Link', '#0263e0'),
    onStrong: text('BrandInverse', '#fff'),
    border: border('', '#8891aa'),
    line: border('Weaker', '#e1e3ea'),
    shadow: token('boxShadows', 'shadow', '0 4px 16px #121c2d33'),
    font: token('fonts', 'fontFamilyText', 'sans-serif'),
    header: { background: header, text: color },
  };
}

export type ButtonKind = 'plain' | 'primary' | 'danger' | 'on';

/** Flex's call canvas makes every button in it a small circle, unless the button says otherwise. */
export function buttonStyle(look: Look, kind: ButtonKind = 'plain'): React.CSSProperties {
  const [background, color, borderColor] = {
    plain: [look.body, look.text, look.border],
    primary: [look.primary, look.onStrong, look.primary],
    danger: [look.danger, look.onStrong, look.danger],
    on: [look.text, look.body, look.text],
  }[kind];
  return {
    display: 'inline-flex',
    alignItems: 'center',
    justifyContent: 'center',
    gap: 6,
    width: 'auto',
    minWidth: 'max-content',
    height: 'auto',
    minHeight: 32,
    margin: 0,
    padding: '4px 12px',
    border: `1px solid ${borderColor}`,
    borderRadius: 4,
    background,
    color,
    font: 'inherit',
    fontWeight: 600,
    whiteSpace: 'nowrap',
    cursor: 'pointer',
  };
}
