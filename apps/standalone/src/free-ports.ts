// Looks at all ports before anything slow begins: nobody should wait for a database to be made only to
// learn that a port is taken.

import { createServer, type AddressInfo } from 'node:net';
import { ServiceError } from '@gatehouse/errors/service-error';
import { variableName } from '@gatehouse/runtime/variables';

/**
 * The same ports, with a free one in place of each 0.
 *
 * @param ports setting name (`apiPort`) -> port
 * @throws ServiceError INVALID_ARGUMENT when two settings name one port, or the system's own error
 *   (EADDRINUSE and the like, with address and port) when one cannot be listened on.
 */
export async function claimPorts<K extends string>(
  bindAddress: string,
  ports: Readonly<Record<K, number>>,
): Promise<Record<K, number>> {
  const claimed: Record<K, number> = { ...ports };
  const owners = new Map<number, K>();
  for (const key of Object.keys(ports) as K[]) {
    const other = owners.get(ports[key]);
    if (other !== undefined && ports[key] !== 0) {
      throw new ServiceError('INVALID_ARGUMENT',
        `${variableName(other)} and ${variableName(key)} are both ${ports[key]}: set them to different ports`);
    }
    claimed[key] = await probe(bindAddress, ports[key]);
    owners.set(claimed[key], key);
  }
  return claimed;
}

function probe(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host, exclusive: true }, () => {
      const { port: bound } = server.address() as AddressInfo;
      server.close(() => resolve(bound));
    });
  });
}
