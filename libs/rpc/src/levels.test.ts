import { describeLevels } from './conformance-levels.ts';
import { createMemoryTransport } from './memory-transport.ts';

describeLevels('levels over the memory transport', async () => {
  const transport = createMemoryTransport();
  return { client: transport, server: transport };
});
