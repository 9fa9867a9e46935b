/**
 * The console link this tab was opened with, and the grant of the session that it opened. The link's key stands in the
 * fragment, which no server is sent: it is read once, taken out of the address bar (and so out of history, bookmarks and
 * screenshots), and kept for this tab, so that a reload still works. The grant opens the same session again, also
 * when the link has expired meanwhile.
 */

/** The link's parts, or null when this tab never had one: { token, title, resume }. */
export function readLink() {
  const kept = linkOfTab();
  const shown = linkInAddress();
  // A grant belongs to the link that opened its session.
  const link = shown === null ? kept : { ...shown, resume: kept?.token === shown.token ? kept.resume : null };
  if (link !== null) keepForTab(link);
  if (location.hash !== '' || location.search !== '') history.replaceState(null, '', location.pathname);
  return link;
}

/** Keeps the session's grant with its link, for this page and its next load; null forgets it. */
export function keepGrant(link, resume) {
  link.resume = resume;
  keepForTab(link);
}

function linkInAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const query = new URLSearchParams(location.search);
  // The query is where older links and noVNC's `?path=?token=` have it.
  const nested = new URLSearchParams((query.get('path') ?? '').replace(/^[^?]*\?/, ''));
  const token = fragment.get('token') || query.getAll('token').at(-1) || nested.getAll('token').at(-1);
  return token ? { token, title: fragment.get('title') ?? query.get('title') ?? '' } : null;
}

function linkOfTab() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(storageKey()) ?? 'null');
    if (typeof kept?.token !== 'string') return null;
    return { token: kept.token, title: String(kept.title ?? ''), resume: typeof kept.resume === 'string' ? kept.resume : null };
  } catch {
    return null; // storage is switched off, or somebody else wrote there
  }
}

function keepForTab(link) {
  try {
    sessionStorage.setItem(storageKey(), JSON.stringify(link));
  } catch {
    // Without storage the link lives as long as the page.
  }
}

function storageKey() {
  return `gatehouse ${location.pathname}`;
}
