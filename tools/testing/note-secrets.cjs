// Preloaded into every process of a test run, those that tests start included (NODE_OPTIONS): writes down each 256-bit
// secret that is made there (tokens, grants, attach secrets), so that the run can look for them afterwards. Nothing of
// this stands in the services' own code.
'use strict';
const crypto = require('node:crypto');
const { appendFileSync } = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const { join } = require('node:path');

const SECRET_BYTES = 32;
const folder = process.env['GATEHOUSE_TEST_EVIDENCE'];

if (folder) {
  const { randomBytes } = crypto;
  const path = join(folder, `secrets-${process.pid}.hex`);
  crypto.randomBytes = function noted(size, callback) {
    const bytes = randomBytes(size, callback);
    if (size === SECRET_BYTES && callback === undefined) appendFileSync(path, `${bytes.toString('hex')}\n`);
    return bytes;
  };
  syncBuiltinESMExports();
}
