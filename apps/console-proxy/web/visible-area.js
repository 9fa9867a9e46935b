/**
 * Keeps a console's page in what can be seen of it. iOS lays a phone's keyboard over the page, and scrolls the page away to show what has
 * the focus, where other browsers make the page smaller (`interactive-widget` in its head). So it is made as high as what is seen.
 */
export function keepInVisibleArea() {
  const area = globalThis.visualViewport;
  if (!area) return;
  const fit = () => {
    // Who has zoomed in with two fingers sees less on purpose.
    const isCovered = area.scale < 1.01 && innerHeight - area.height > 1;
    document.body.style.height = isCovered ? `${area.height}px` : '';
    if (isCovered) scrollTo(0, 0);
  };
  area.addEventListener('resize', fit);
  area.addEventListener('scroll', fit);
}
