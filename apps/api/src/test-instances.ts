/** Instances to change, and metadata services that remember what they were told, for the tests of what is said of instances. */
import { readFileSync } from 'node:fs';
import { metadata } from '@gatehouse/contracts/metadata';
import { serve } from '@gatehouse/rpc/server';
import type { RpcServer } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import type { Answer, Ask, TestApi } from './test-api.ts';

export const keyOf = (file: string): string => readFileSync(new URL(`../test-vectors/keys/${file}.pub`, import.meta.url), 'utf8').trim();

/** Key pairs of these names, each another key. */
export async function importKeys(api: TestApi, token: string, keys: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, publicKey] of Object.entries(keys)) await done(api, 'POST', '/v2.1/os-keypairs', { token, body: { keypair: { name, public_key: publicKey } } });
}

/** @returns its id */
export async function createServer(api: TestApi, server: object = {}, token = 'alice:proj'): Promise<string> {
  const answer = await done(api, 'POST', '/v2.1/servers', { token, body: { server: { name: 'x', ...server } } });
  return (answer.json as { server: { id: string } }).server.id;
}

/** A metadata service that writes down which instances it was told of, and clears passwords. */
export function serveMetadata(api: TestApi, told: string[]): Promise<RpcServer> {
  return serve(metadata, api.transport, {
    server: 'metadata-1',
    handlers: someHandlers(metadata, {
      instanceChanged({ instanceUuid }) {
        told.push(instanceUuid);
      },
      async clearPassword({ instanceUuid }) {
        await api.cellDb.instancePasswords.deleteOf(instanceUuid);
      },
    }),
  });
}

async function done(api: TestApi, method: string, path: string, ask: Ask): Promise<Answer> {
  const answer = await api.ask(method, path, ask);
  if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
  return answer;
}
