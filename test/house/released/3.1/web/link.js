/**
 * The console link this tab was opened with. Its key stands in the fragment, which no server is sent: it is read
 * once, taken out of the address bar (and so out of history, bookmarks and screenshots), and kept for this tab, so
 * that a reload still works.
 */

/** The link's parts, or null when this tab never had one. */
export function readLink() {
  const link = linkInAddress() ?? linkOfTab();
  if (link !== null) keepForTab(link);
  if (location.hash !== '' || location.search !== '') history.replaceState(null, '', location.pathname);
  return link;
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
    return typeof kept?.token === 'string' ? { token: kept.token, title: String(kept.title ?? '') } : null;
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
