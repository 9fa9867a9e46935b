/** Answers a browser's plain HTTP requests from the files read at start: pages and what they load, nothing else. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { frameHeaders, type FrameHeaders } from './frame-ancestors.ts';
import { readWebAssets, type WebAssets } from './web-assets.ts';

/** Pages by path; a page's name is its file in web/. Nova's links name noVNC's and spice-html5's own pages. */
const PAGES: Readonly<Record<string, string>> = {
  ...{ '/': 'index', '/vnc': 'vnc', '/serial': 'serial', '/spice': 'spice' },
  ...{ '/vnc_auto.html': 'vnc', '/vnc_lite.html': 'vnc', '/spice_auto.html': 'spice' },
};
const WEB_SOCKET_PATH = '/websockify';
/** The one file under an address without the hash: a page that is refused its files needs it. */
const LOADING_PATH = '/loading.js';

/** What a console is good for, and nothing of the machine in front of which its user sits. */
const PERMISSIONS = [
  ...['clipboard-read', 'clipboard-write', 'fullscreen'].map((feature) => `${feature}=(self)`),
  ...['camera', 'microphone', 'geolocation', 'display-capture', 'usb', 'serial', 'hid', 'midi', 'payment'].map((feature) => `${feature}=()`),
].join(', ');

const COMMON_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
];

export class Pages {
  readonly #assets: WebAssets;
  readonly #loading: Buffer;
  readonly #frames: FrameHeaders;

  /**
   * @param frameAncestors who may show a page in a frame: `self`, origins, `none`
   * @throws ServiceError INVALID_ARGUMENT for anything else
   */
  constructor(frameAncestors: readonly string[] = ['self'], assets: WebAssets = readWebAssets()) {
    this.#frames = frameHeaders(frameAncestors);
    this.#assets = assets;
    this.#loading = assets.files.get('web/loading.js')?.body ?? Buffer.alloc(0);
  }

  /** Answer one request; never throws for anything in it. */
  answer(request: Pick<IncomingMessage, 'method' | 'url'>, response: ServerResponse): void {
    const path = (request.url ?? '/').split(/[?#]/, 1)[0] ?? '/';
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return this.#send(response, request, 405, 'text/plain; charset=utf-8', 'Only GET and HEAD are answered here.\n', { Allow: 'GET, HEAD' });
    }
    const page = Object.hasOwn(PAGES, path) ? PAGES[path] : undefined;
    if (page !== undefined) return this.#sendPage(response, request, 200, page, path);
    const asset = this.#assets.files.get(this.#assetName(path));
    if (asset !== undefined) {
      return this.#send(response, request, 200, asset.type, asset.body, { 'Cache-Control': 'public, max-age=31536000, immutable' });
    }
    if (path === LOADING_PATH) return this.#send(response, request, 200, 'text/javascript; charset=utf-8', this.#loading, { 'Cache-Control': 'no-cache' });
    if (path === WEB_SOCKET_PATH) {
      return this.#send(response, request, 426, 'text/plain; charset=utf-8', 'This address speaks WebSocket only.\n', { Upgrade: 'websocket' });
    }
    this.#sendPage(response, request, 404, 'not-found', path);
  }

  /** The name below the assets' root, or one that no file has. */
  #assetName(path: string): string {
    const prefix = `/${this.#assets.root}/`;
    return path.startsWith(prefix) ? path.slice(prefix.length) : '';
  }

  #sendPage(response: ServerResponse, request: Pick<IncomingMessage, 'method'>, status: number, page: string, path: string): void {
    const nonce = randomBytes(16).toString('base64url');
    // Relative, so that a proxy may be mounted below any path.
    const top = '../'.repeat(Math.max(0, path.split('/').length - 2)) || './';
    const html = (this.#assets.pages.get(page) ?? '')
      .replaceAll('{{assets}}', `${top}${this.#assets.root}`)
      .replaceAll('{{top}}', top)
      .replaceAll('{{nonce}}', nonce);
    this.#send(response, request, status, 'text/html; charset=utf-8', html, {
      'Cache-Control': 'no-store',
      'Content-Security-Policy': [...POLICY, this.#frames.directive, ...pagePolicy(page, nonce)].join('; '),
      'Permissions-Policy': PERMISSIONS,
      ...(this.#frames.option === null ? {} : { 'X-Frame-Options': this.#frames.option }),
    });
  }

  #send(
    response: ServerResponse,
    request: Pick<IncomingMessage, 'method'>,
    status: number,
    type: string,
    body: string | Buffer,
    headers: Readonly<Record<string, string>>,
  ): void {
    response.writeHead(status, { ...COMMON_HEADERS, 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), ...headers });
    response.end(request.method === 'HEAD' ? undefined : body);
  }
}

/**
 * xterm makes style elements (given the nonce by our page) and sets style attributes; spice-html5 plays a machine's sound from memory;
 * the other pages do nothing of this.
 */
function pagePolicy(page: string, nonce: string): readonly string[] {
  if (page === 'serial') return [`style-src-elem 'self' 'nonce-${nonce}'`, "style-src-attr 'unsafe-inline'"];
  return page === 'spice' ? ["style-src 'self'", 'media-src blob:'] : ["style-src 'self'"];
}
