import { createRequire as createRequireFor } from 'node:module';
const requireFor = (room) => createRequireFor(new URL(`../../../../../${room}/package.json`, import.meta.url));
import{defineContract,method}from"./chunk-X26EIRL7.js";import{mapOf,string}from"./chunk-RZZANT7V.js";var consoleProxy=defineContract({topic:"console-proxy",version:"1.0",methods:{endSessions:method({since:"1.0",idempotent:!0,args:{sessions:mapOf(string({minLength:1,maxLength:255}))}})}});export{consoleProxy};
