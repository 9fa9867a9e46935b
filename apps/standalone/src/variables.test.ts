// The table of all settings (libs/runtime/src/variables.ts) against the settings that the apps have. It
// stands here because only this app sees every other.

import assert from 'node:assert/strict';
import { apiProcessConfig } from '@gatehouse/api/config';
import { cliConfig } from '@gatehouse/cli/config';
import { computeAgentProcessConfig } from '@gatehouse/compute-agent/config';
import { consoleProxyProcessConfig } from '@gatehouse/console-proxy/config';
import { consoleAuthProcessConfig } from '@gatehouse/consoleauth/config';
import { metadataProcessConfig } from '@gatehouse/metadata/config';
import { processSettings } from '@gatehouse/runtime/run-process';
import { isSecretSetting } from '@gatehouse/runtime/settings';
import { KNOWN_VARIABLES, variableName } from '@gatehouse/runtime/variables';
import { standaloneConfig } from './config.ts';

const SHAPES = [apiProcessConfig, computeAgentProcessConfig, consoleProxyProcessConfig, consoleAuthProcessConfig, metadataProcessConfig, cliConfig, standaloneConfig]
  .map((config) => config.shape).concat(processSettings as never);

describe('the table of settings', () => {
  it('names every setting of every app, and nothing else', () => {
    const names = new Set<string>();
    for (const shape of SHAPES) {
      for (const [key, schema] of Object.entries(shape)) {
        names.add(variableName(key));
        if (isSecretSetting(schema)) names.add(`${variableName(key)}_FILE`);
      }
    }
    assert.deepEqual([...KNOWN_VARIABLES.keys()].toSorted(), [...names].toSorted());
  });

  it('gives a setting the same default in every service that has it', () => {
    const defaults = new Map<string, unknown>();
    for (const shape of SHAPES.slice(0, 5)) {
      for (const [key, schema] of Object.entries(shape)) {
        const result = schema.safeParse(undefined);
        const value: unknown = result.success ? result.data : 'none';
        if (defaults.has(key)) assert.deepEqual(value, defaults.get(key), key);
        defaults.set(key, value);
      }
    }
  });
});
