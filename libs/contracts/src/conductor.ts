/**
 * The part of Nova's conductor that its peers ask for objects as they know them. Its methods are those that every
 * server of ours answers (libs/rpc/src/backport-server.ts), so none stands here. Served only where told: where a
 * nova-conductor runs, it shares this topic and would lose requests to us that only it can answer.
 */
import { defineContract } from '@gatehouse/rpc/contract';

export const conductor = defineContract({ topic: 'conductor', version: '3.0', methods: {} });
