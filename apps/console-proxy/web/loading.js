/**
 * Runs before a page's own files, under an address that every version of the proxy has. While a fleet of proxies is upgraded, the
 * page may come from one and be refused its files by another, which has those of its own version. Modules run all or not at all,
 * so such a page does nothing; this loads it anew until both come from the same version, and says so.
 */
(() => {
  const KEPT_AS = 'gatehouse loading';
  const GIVE_UP_MS = 120_000;
  const PAUSE_MS = 1_000;
  let failed = false;

  function sinceMs() {
    try {
      const since = Number(sessionStorage.getItem(KEPT_AS) ?? Date.now());
      sessionStorage.setItem(KEPT_AS, String(since));
      return Date.now() - since;
    } catch {
      // Without storage nobody counts: load no more than this once.
      return GIVE_UP_MS;
    }
  }

  function tell(words) {
    const state = document.getElementById('state');
    if (state !== null) state.textContent = words;
  }

  addEventListener('error', ({ target }) => {
    if (failed || !(target instanceof HTMLScriptElement || target instanceof HTMLLinkElement)) return;
    failed = true;
    const comesBack = sinceMs() < GIVE_UP_MS;
    const words = comesBack ? 'The server is being upgraded. Loading the page again…' : 'The page could not be loaded whole. Load it again in a few minutes.';
    tell(words);
    addEventListener('DOMContentLoaded', () => tell(words));
    if (comesBack) setTimeout(() => location.reload(), PAUSE_MS * (0.5 + Math.random()));
  }, true);

  addEventListener('load', () => {
    try {
      if (!failed) sessionStorage.removeItem(KEPT_AS);
    } catch {
      // Nothing was kept.
    }
  });
})();
