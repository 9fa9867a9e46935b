/** What a store of the cell database works with: the Prisma client itself, or one transaction of it. */
import type { Prisma } from './generated/client.ts';

export type CellClient = Prisma.TransactionClient;
