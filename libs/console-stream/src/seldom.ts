/** For what a stranger can cause as often as they like: it is told at once, and then no more than once a minute, with how often it was. */
const TOLD_EVERY_MS = 60_000;

/** `tell` is given how often it was since it was told last. */
export function seldom(tell: (times: number) => void): () => void {
  let times = 0;
  let resting: NodeJS.Timeout | null = null;
  const telling = (): void => {
    resting = null;
    if (times === 0) return;
    tell(times);
    times = 0;
    resting = setTimeout(telling, TOLD_EVERY_MS).unref();
  };
  return () => {
    times += 1;
    if (resting === null) telling();
  };
}
