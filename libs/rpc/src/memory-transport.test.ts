import { describeTransport } from './conformance.ts';
import { createMemoryTransport } from './memory-transport.ts';

describeTransport('the memory transport', async () => {
  const transport = createMemoryTransport();
  return { client: transport, server: transport };
});
