// The names of all settings of all apps: one environment is often shared by several apps, so each must
// know which variables belong to its neighbours before it calls one unknown. A test of apps/standalone,
// which sees every app, holds this table equal to the apps' config.ts.

export const PREFIX = 'GATEHOUSE_';
/** Where tests find their servers; apps started by a test inherit them. */
export const TEST_PREFIX = 'GATEHOUSE_TEST_';

/** variable -> what it is for, in one line. */
export const KNOWN_VARIABLES: ReadonlyMap<string, string> = new Map([
  ['GATEHOUSE_AGENT_ENDPOINT', 'host:port that proxies are told to reach a compute agent at'],
  ['GATEHOUSE_AGENT_LISTEN', 'host:port on which a compute agent serves console streams'],
  ['GATEHOUSE_ALLOWED_ORIGINS', 'pages of other hosts that may open consoles'],
  ['GATEHOUSE_ALLOW_WEAK_KEYS', 'import DSA keys and short RSA keys too'],
  ['GATEHOUSE_API_DATABASE_URL', 'PostgreSQL database of the api'],
  ['GATEHOUSE_API_DATABASE_URL_FILE', 'file that holds GATEHOUSE_API_DATABASE_URL'],
  ['GATEHOUSE_API_HOSTS', 'host names under which the api may be called, besides loopback names'],
  ['GATEHOUSE_API_PORT', 'port of the REST API'],
  ['GATEHOUSE_AUDIT_FILE', 'file of the audit, or off; audit.jsonl in the data directory unless set'],
  ['GATEHOUSE_AUDIT_REQUIRED', 'open no new console while the audit cannot be written'],
  ['GATEHOUSE_BIND_ADDRESS', 'address that the HTTP servers listen on'],
  ['GATEHOUSE_CELL_DATABASE_URL', 'PostgreSQL database of the cell'],
  ['GATEHOUSE_CELL_DATABASE_URLS', 'PostgreSQL databases of all cells, for the gatehouse command'],
  ['GATEHOUSE_CELL_DATABASE_URLS_FILE', 'file that holds GATEHOUSE_CELL_DATABASE_URLS'],
  ['GATEHOUSE_CELL_DATABASE_URL_FILE', 'file that holds GATEHOUSE_CELL_DATABASE_URL'],
  ['GATEHOUSE_CONFIG_DRIVE', 'guests that get a config drive: asked or always'],
  ['GATEHOUSE_CONSOLEAUTH_NAME', 'name of this consoleauth among others'],
  ['GATEHOUSE_CONSOLE_EXCLUSIVE', 'console types that take one client at a time, besides serial'],
  ['GATEHOUSE_CONSOLE_LEASE', 'seconds that a session lives without its proxy\'s renewal'],
  ['GATEHOUSE_CONSOLE_RESERVATION', 'seconds for which a promised port stays free for its user'],
  ['GATEHOUSE_CONSOLE_TOKENS_BACKEND', 'what keeps the tokens: database, or redis or memcached (deprecated)'],
  ['GATEHOUSE_CONSOLE_TOKENS_URL', 'where that Redis or memcached is'],
  ['GATEHOUSE_CONSOLE_TOKENS_URL_FILE', 'file that holds GATEHOUSE_CONSOLE_TOKENS_URL'],
  ['GATEHOUSE_CONSOLE_SESSIONS_PER_INSTANCE', 'consoles of one instance that may be open at one time, 0 for as many as come'],
  ['GATEHOUSE_CONSOLE_SESSIONS_PER_PROXY', 'consoles through one proxy that may be open at one time, 0 for as many as come'],
  ['GATEHOUSE_CONSOLE_SESSIONS_PER_USER', 'consoles of one user that may be open at one time, 0 for as many as come'],
  ['GATEHOUSE_CONSOLE_TOKEN_HASH', 'how tokens are stored: sha256 or sha1'],
  ['GATEHOUSE_CONSOLE_TOKEN_SINGLE_USE', 'a console URL opens its console once'],
  ['GATEHOUSE_CONSOLE_TOKEN_TTL', 'seconds for which a console URL can be opened'],
  ['GATEHOUSE_CONSOLE_URL_STYLE', 'how console URLs look: fragment, or nova as Nova\'s own'],
  ['GATEHOUSE_DATA_DIR', 'folder of the embedded database and of other files that are kept'],
  ['GATEHOUSE_DIAL_TLS', 'TLS to console hosts that are dialled by TCP: off or required'],
  ['GATEHOUSE_DIAL_TLS_CA', 'PEM file of who signs those hosts\' certificates'],
  ['GATEHOUSE_DIAL_TLS_CERT', 'PEM certificate that the proxy shows to them'],
  ['GATEHOUSE_DIAL_TLS_KEY', 'PEM key of that certificate'],
  ['GATEHOUSE_DRIVER', 'how a compute agent reaches its guests: simulated or qemu'],
  ['GATEHOUSE_FRAME_ANCESTORS', 'pages that may show a console in a frame: self, none, or origins'],
  ['GATEHOUSE_GENERATED_SSH_KEYS', 'kind of the ssh keys that the api makes: rsa or ed25519'],
  ['GATEHOUSE_HOST', 'name of the host that a compute agent speaks for'],
  ['GATEHOUSE_INSECURE_NO_AUTH', 'serve without identity also where others can reach it'],
  ['GATEHOUSE_ISO_PROGRAM', 'what makes config drives: genisoimage, xorrisofs or mkisofs'],
  ['GATEHOUSE_KEY_PAIRS_MAX', 'most key pairs of one user'],
  ['GATEHOUSE_LEGACY_CELL_DATABASE_URLS', 'PostgreSQL databases of further cells that may have legacy key pairs, separated by commas'],
  ['GATEHOUSE_LEGACY_CELL_DATABASE_URLS_FILE', 'file that holds GATEHOUSE_LEGACY_CELL_DATABASE_URLS'],
  ['GATEHOUSE_LOG_LEVEL', 'trace, debug, info, warn, error, fatal or silent'],
  ['GATEHOUSE_METADATA_BURST', 'requests for metadata that an instance may make at once'],
  ['GATEHOUSE_METADATA_CACHE_KEEP', 'seconds for which the metadata service gives what it knows while the database is away'],
  ['GATEHOUSE_METADATA_CACHE_MB', 'megabytes that what it knows may take'],
  ['GATEHOUSE_METADATA_CACHE_TTL', 'seconds for which it believes that without a look'],
  ['GATEHOUSE_METADATA_NAME', 'name of this metadata service among others'],
  ['GATEHOUSE_METADATA_PORT', 'port of the metadata service'],
  ['GATEHOUSE_METADATA_RATE', 'requests for metadata that an instance may make a second, 0 for any number'],
  ['GATEHOUSE_METADATA_SECRETS', 'secrets that sign instance ids, separated by commas'],
  ['GATEHOUSE_METADATA_SECRETS_FILE', 'file that holds GATEHOUSE_METADATA_SECRETS'],
  ['GATEHOUSE_METADATA_TOKENS', 'session tokens of metadata: off, optional or required'],
  ['GATEHOUSE_METADATA_TRUSTED_NETWORKS', 'addresses and networks whose guests are known by their address'],
  ['GATEHOUSE_METADATA_TRUSTED_PROXIES', 'addresses and networks whose X-Forwarded-For says which guest asks'],
  ['GATEHOUSE_OPS_PORT', 'port of /healthz, /readyz, /metrics and /version'],
  ['GATEHOUSE_ORIGIN_REQUIRED', 'refuse consoles to clients that say no Origin'],
  ['GATEHOUSE_ORIGIN_SCHEMES', 'schemes that an Origin may have'],
  ['GATEHOUSE_PROXY_BASE_URL', 'address of the console proxy as browsers reach it'],
  ['GATEHOUSE_PROXY_CONNECTIONS_MAX', 'connections of every kind that the proxy has at one time'],
  ['GATEHOUSE_PROXY_CONNECTIONS_PER_ADDRESS', 'WebSockets of one address at one time'],
  ['GATEHOUSE_PROXY_CONNECT_TIMEOUT', 'seconds that a host may take to open a console'],
  ['GATEHOUSE_PROXY_DRAIN', 'seconds that consoles get to end when the proxy stops'],
  ['GATEHOUSE_PROXY_HANDSHAKES_MAX', 'connections to the proxy that are no console, at one time'],
  ['GATEHOUSE_PROXY_HANDSHAKES_PER_ADDRESS', 'those of one address'],
  ['GATEHOUSE_PROXY_HEADER_TIMEOUT', 'seconds that a client may take to send the head of its request'],
  ['GATEHOUSE_PROXY_IDLE_TIMEOUT', 'seconds without input after which a console is closed, 0 for never'],
  ['GATEHOUSE_PROXY_LIFETIME_MAX', 'seconds that a console session may last, 0 for any'],
  ['GATEHOUSE_PROXY_NAME', 'name of this console proxy'],
  ['GATEHOUSE_PROXY_OPENING_MAX', 'clients that the proxy lets in at one time'],
  ['GATEHOUSE_PROXY_OPENING_PER_ADDRESS', 'clients of one address that the proxy lets in at one time'],
  ['GATEHOUSE_PROXY_PING', 'seconds between the pings of a console\'s WebSocket'],
  ['GATEHOUSE_PROXY_PORT', 'port of the console proxy'],
  ['GATEHOUSE_PROXY_PROTOCOL_FROM', 'addresses and networks whose connections begin with a PROXY header'],
  ['GATEHOUSE_PROXY_RESUME_WAIT', 'seconds for which the session of a client that vanished waits for it'],
  ['GATEHOUSE_PROXY_SESSIONS_MAX', 'consoles that the proxy carries at one time'],
  ['GATEHOUSE_PROXY_TLS_CERT', 'PEM certificate that browsers see, which makes the proxy serve HTTPS'],
  ['GATEHOUSE_PROXY_TLS_CIPHERS', 'ciphers that it may use, as OpenSSL lists them'],
  ['GATEHOUSE_PROXY_TLS_KEY', 'PEM key of that certificate'],
  ['GATEHOUSE_PROXY_TLS_MIN_VERSION', 'least version of TLS: default, tlsv1_1, tlsv1_2 or tlsv1_3'],
  ['GATEHOUSE_QEMU_ACCELERATOR', 'auto, kvm or tcg'],
  ['GATEHOUSE_QEMU_APPEND', 'command line of the kernel that QEMU machines boot'],
  ['GATEHOUSE_QEMU_BINARY', 'the QEMU program'],
  ['GATEHOUSE_QEMU_DISK', 'disk image of QEMU machines'],
  ['GATEHOUSE_QEMU_INITRD', 'initial RAM disk of QEMU machines'],
  ['GATEHOUSE_QEMU_KERNEL', 'kernel that QEMU machines boot'],
  ['GATEHOUSE_QEMU_MACHINES_MAX', 'QEMU machines on one host'],
  ['GATEHOUSE_QEMU_MEMORY_MB', 'memory of a QEMU machine'],
  ['GATEHOUSE_QEMU_SPICE', 'SPICE screens of QEMU machines: auto, unix, tcp or off'],
  ['GATEHOUSE_RPC_BACKPORT_PEER', 'who is asked about objects newer than ours: consoleauth, conductor or none'],
  ['GATEHOUSE_RPC_CONDUCTOR', 'consoleauth rewrites objects for Nova\'s services where no nova-conductor does'],
  ['GATEHOUSE_RPC_DELIVERY_LIMIT', 'deliveries of a message in a quorum queue, as oslo\'s rabbit_quorum_delivery_limit'],
  ['GATEHOUSE_RPC_EXCHANGE', 'AMQP exchange of the RPC messages'],
  ['GATEHOUSE_RPC_PIN_COMPUTE', 'level of the compute contract that requests speak: auto, or one such as 1.0'],
  ['GATEHOUSE_RPC_PIN_CONSOLEAUTH', 'level of the consoleauth contract that requests speak: auto, or one such as 3.0'],
  ['GATEHOUSE_RPC_PIN_CONSOLE_PROXY', 'level of the console-proxy contract that requests speak: auto, or one such as 1.0'],
  ['GATEHOUSE_RPC_QUEUES', 'queues of the RPC messages: transient, durable or quorum'],
  ['GATEHOUSE_SERIAL_BASE_URL', 'address of serial consoles, ws://... too, where it is not the proxy\'s'],
  ['GATEHOUSE_SERIAL_LISTEN', 'address on which guests serve serial ports by TCP'],
  ['GATEHOUSE_SERIAL_PORT_RANGE', 'TCP ports for that, start:stop'],
  ['GATEHOUSE_SERIAL_SCROLLBACK_BYTES', 'what is kept of each serial line\'s output'],
  ['GATEHOUSE_SIMULATED_TCP', 'simulated guests serve their serial ports by TCP'],
  ['GATEHOUSE_SPICE_BASE_URL', 'address of SPICE consoles, where it is not the proxy\'s'],
  ['GATEHOUSE_SPICE_LISTEN', 'address on which machines serve SPICE by TCP'],
  ['GATEHOUSE_SPICE_PORT_RANGE', 'TCP ports for that, start:stop'],
  ['GATEHOUSE_STATE_DIR', 'folder of QEMU machines\' sockets and files'],
  ['GATEHOUSE_STREAM_TLS_CA', 'PEM file of who signs the certificates of proxies and agents'],
  ['GATEHOUSE_STREAM_TLS_CERT', 'PEM certificate of this proxy or agent'],
  ['GATEHOUSE_STREAM_TLS_KEY', 'PEM key of that certificate'],
  ['GATEHOUSE_TRANSPORT_URL', 'message broker, amqp://... or rabbit://..., several hosts between commas'],
  ['GATEHOUSE_TRANSPORT_URL_FILE', 'file that holds GATEHOUSE_TRANSPORT_URL'],
  ['GATEHOUSE_TRUSTED_PROXIES', 'addresses and networks of balancers whose X-Forwarded headers count'],
  ['GATEHOUSE_VNC_AUTH_SCHEMES', 'how the proxy proves itself to VNC servers that it dials: none, vencrypt, vnc'],
  ['GATEHOUSE_VNC_BASE_URL', 'address of VNC consoles, where it is not the proxy\'s'],
  ['GATEHOUSE_VNC_PASSWORD_FILE', 'file that holds the password of those VNC servers'],
  ['GATEHOUSE_VENDOR_DATA_CA', 'PEM file of who signs the certificates of vendor data targets'],
  ['GATEHOUSE_VENDOR_DATA_CONNECT_TIMEOUT', 'seconds that a vendor data target may take to be connected'],
  ['GATEHOUSE_VENDOR_DATA_FAILURE_FATAL', 'give guests 503 when a vendor data target fails, not an empty object'],
  ['GATEHOUSE_VENDOR_DATA_FILE', 'JSON file that every guest reads as vendor_data.json'],
  ['GATEHOUSE_VENDOR_DATA_READ_TIMEOUT', 'seconds for which a vendor data target may be silent'],
  ['GATEHOUSE_VENDOR_DATA_TARGETS', 'who is asked for vendor_data2.json: name@url, separated by commas'],
  ['GATEHOUSE_VENDOR_DATA_TARGETS_FILE', 'file that holds GATEHOUSE_VENDOR_DATA_TARGETS'],
  ['GATEHOUSE_VENDOR_DATA_TIMEOUT', 'seconds for all vendor data targets together'],
]);

/** `apiPort` -> `GATEHOUSE_API_PORT`. */
export function variableName(key: string): string {
  return PREFIX + key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** The known name nearest to `variable`, or null when none is near. */
export function suggestVariable(variable: string, known: Iterable<string>): string | null {
  let nearest: string | null = null;
  let nearestDistance = Math.ceil((variable.length - PREFIX.length) / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(variable, candidate);
    if (distance < nearestDistance) [nearest, nearestDistance] = [candidate, distance];
  }
  return nearest;
}

/** How many letters must be inserted, removed or replaced to make one of the other (Levenshtein). */
function editDistance(left: string, right: string): number {
  let above = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = (above[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    above = current;
  }
  return above[right.length] ?? 0;
}
