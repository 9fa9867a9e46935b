import { describeGivingUp } from './conformance-giving-up.ts';
import { describeTransport } from './conformance.ts';
import { createMemoryTransport } from './memory-transport.ts';

const open = async () => {
  const transport = createMemoryTransport();
  return { client: transport, server: transport };
};

describeTransport('the memory transport', open);
describeGivingUp('giving up over the memory transport', open);
