/** Of the sockets between proxies and hosts, at both ends. */
export const SOCKET_OPTIONS = {
  noDelay: true,
  keepAlive: true,
  /** Milliseconds. So the kernel finds out that an idle peer is gone, and routers that the connection is not. */
  keepAliveInitialDelay: 20_000,
} as const;
