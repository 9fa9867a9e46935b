/** A server of a part of a contract, as tests play one: whatever else is asked of it is UNIMPLEMENTED. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Contract } from './contract.ts';
import type { Handlers } from './server.ts';

export function someHandlers<C extends Contract>(contract: C, some: Partial<Handlers<C>>): Handlers<C> {
  const all = Object.keys(contract.methods).map((name) => [name, () => unimplemented(`${contract.topic}.${name}`)] as const);
  return { ...Object.fromEntries(all), ...some } as unknown as Handlers<C>;
}

function unimplemented(method: string): never {
  throw new ServiceError('UNIMPLEMENTED', `${method} is not served here`);
}
