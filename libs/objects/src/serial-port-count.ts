/** How many serial ports an instance asks for: the same answer from the api, which refuses, and from every driver. */
import { ServiceError } from '@gatehouse/errors/service-error';

export const SERIAL_PORTS_MAX = 4;
const SERIAL_PORTS_DEFAULT = 1;
/** Nova's name for it in image and flavor metadata. */
const SERIAL_PORT_COUNT = 'hw:serial_port_count';
const SHOWN_CHARACTERS_MAX = 20;

/** `hw:serial_port_count` of the metadata, 1 by default. Throws ServiceError INVALID_ARGUMENT when it is no such number. */
export function serialPortCount(metadata: Readonly<Record<string, string>>): number {
  const asked = metadata[SERIAL_PORT_COUNT];
  if (asked === undefined) return SERIAL_PORTS_DEFAULT;
  if (/^[1-9]$/.test(asked) && Number(asked) <= SERIAL_PORTS_MAX) return Number(asked);
  const words = `metadata ${SERIAL_PORT_COUNT} is ${JSON.stringify(asked.slice(0, SHOWN_CHARACTERS_MAX))}; it must be a number from 1 to ${SERIAL_PORTS_MAX}`;
  throw new ServiceError('INVALID_ARGUMENT', words, { details: { field: `metadata.${SERIAL_PORT_COUNT}`, max: SERIAL_PORTS_MAX } });
}
