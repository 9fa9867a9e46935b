/**
 * xterm writes style elements, which the page's Content-Security-Policy takes only with the nonce of this response. The
 * page's own stylesheet link carries it.
 */
export function allowStyleElements() {
  const { nonce } = document.querySelector('link[nonce]');
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = create(name, options);
    if (name === 'style') element.nonce = nonce;
    return element;
  };
}
