/** The colours of the simulated screen. A pixel is an index into this table until it is sent. */

export interface Colour {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
}

const NAMED = {
  backdrop: 0x17212e,
  bar: 0x0f1722,
  barRule: 0x3fa796,
  barText: 0xf3efe4,
  barDim: 0x8fa0b3,
  mark: 0xd9a441,
  running: 0x4cc38a,
  paper: 0xf6f2e7,
  paperEdge: 0xcfc6b1,
  paperHead: 0xe7dfcc,
  ink: 0x1f2933,
  inkDim: 0x6d6655,
  caret: 0xb4472f,
  tile: 0x202d3d,
  tileEdge: 0x33455a,
  tileText: 0xe3e9f0,
  tileDim: 0x8fa0b3,
  keyCap: 0xf3efe4,
  keyEdge: 0xb9b09c,
  leftButton: 0xd64545,
  middleButton: 0x3fa796,
  rightButton: 0x3d7edb,
  alert: 0xf0b45a,
  shadow: 0x0c131c,
} as const;

export type ColourName = keyof typeof NAMED;

const names = Object.keys(NAMED) as ColourName[];

export const PALETTE: readonly Colour[] = names.map((name) => {
  const rgb = NAMED[name];
  return { red: rgb >> 16, green: (rgb >> 8) & 0xff, blue: rgb & 0xff };
});

const INDEX = Object.fromEntries(names.map((name, index) => [name, index])) as Record<ColourName, number>;

/** The pixel value of a colour. */
export function ink(name: ColourName): number {
  return INDEX[name];
}
