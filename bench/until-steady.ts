/**
 * Rounds before those that count. What node runs is compiled while it is used, so that a service's first calls cost several
 * times what its later ones do, and a figure that counts them says how long the round was. Here rounds go on until the figure
 * no longer falls.
 */

/** A figure that is not lower by this share than the lowest before it has not fallen. */
const FALL_SHARE = 0.03;
/** Rounds in a row that did not fall. */
const LEVEL_ROUNDS = 2;

/** Does rounds, `roundsMax` at most, until two in a row have not fallen. @returns the figures of all of them, none of which is to be counted */
export async function untilSteady(round: () => Promise<number>, roundsMax: number): Promise<readonly number[]> {
  const figures: number[] = [];
  let [lowest, level] = [Infinity, 0];
  while (figures.length < roundsMax && level < LEVEL_ROUNDS) {
    const figure = await round();
    level = figure > lowest * (1 - FALL_SHARE) ? level + 1 : 0;
    lowest = Math.min(lowest, figure);
    figures.push(figure);
  }
  return figures;
}
