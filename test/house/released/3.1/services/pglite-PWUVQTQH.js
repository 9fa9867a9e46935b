import { createRequire as createRequireFor } from 'node:module';
const requireFor = (room) => createRequireFor(new URL(`../../../../../${room}/package.json`, import.meta.url));
import{__commonJS}from"./chunk-YMXUMM6X.js";var require_pglite=__commonJS({"installed-for-a-room:@electric-sql/pglite"(exports,module){module.exports=requireFor("libs/database")("@electric-sql/pglite")}});export default require_pglite();
