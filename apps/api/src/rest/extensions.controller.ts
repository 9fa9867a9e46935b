/**
 * Nova's parts had names before it had microversions, and clients still ask which there are. Those are listed, in Nova's words,
 * of which the requests are served here; of the newest and of what is Nova's to every microversion there never were names.
 */
import { Controller, Get, Param } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject } from './json.ts';
import { API_PREFIXES } from './prefixes.ts';

/** Alias, name and description, in the order of Nova's list. */
const NAMED: readonly (readonly [alias: string, name: string, description: string])[] = [
  ['OS-DCF', 'DiskConfig', 'Disk Management Extension.'],
  ['OS-EXT-AZ', 'ExtendedAvailabilityZone', 'Extended Availability Zone support.'],
  ['OS-EXT-SRV-ATTR', 'ExtendedServerAttributes', 'Extended Server Attributes support.'],
  ['OS-EXT-STS', 'ExtendedStatus', 'Extended Status support.'],
  ['OS-SRV-USG', 'ServerUsage', 'Adds launched_at and terminated_at on Servers.'],
  ['os-admin-actions', 'AdminActions', 'Enable admin-only server actions\n\n    Actions include: resetNetwork, injectNetworkInfo, os-resetState\n    '],
  ['os-config-drive', 'ConfigDrive', 'Config Drive Extension.'],
  ['os-console-auth-tokens', 'ConsoleAuthTokens', 'Console token authentication support.'],
  ['os-console-output', 'ConsoleOutput', 'Console log output support, with tailing ability.'],
  ['os-consoles', 'Consoles', 'Interactive Console support.'],
  ['os-evacuate', 'Evacuate', 'Enables server evacuation.'],
  ['os-extended-evacuate-find-host', 'ExtendedEvacuateFindHost', 'Enables server evacuation without target host. Scheduler will select one to target.'],
  ['os-keypairs', 'Keypairs', 'Keypair Support.'],
  ['os-migrate-server', 'MigrateServer', 'Enable migrate and live-migrate server actions.'],
  ['os-personality', 'Personality', 'Personality support.'],
  ['os-quota-sets', 'Quotas', 'Quotas management support.'],
  ['os-server-password', 'ServerPassword', 'Server password support.'],
  ['os-server-start-stop', 'ServerStartStop', 'Start/Stop instance compute API support.'],
  ['os-shelve', 'Shelve', 'Instance shelve mode.'],
  ['os-user-data', 'UserData', 'Add user_data to the Create Server API.'],
];

/** The rest is the same in all of Nova's. */
const EXTENSIONS: readonly JsonObject[] = NAMED.map(([alias, name, description]) => ({
  alias, description, links: [], name, namespace: 'http://docs.openstack.org/compute/ext/fake_xml', updated: '2014-12-03T00:00:00Z',
}));

@Controller(API_PREFIXES.map((prefix) => `${prefix}/extensions`))
export class ExtensionsController {
  @Get()
  list(): JsonObject {
    return { extensions: EXTENSIONS };
  }

  /** By its alias, in Nova's case. */
  @Get(':alias')
  show(@Param('alias') alias: string): JsonObject {
    const extension = EXTENSIONS.find((each) => each['alias'] === alias);
    if (extension === undefined) throw new ServiceError('NOT_FOUND', 'The resource could not be found.');
    return { extension };
  }
}
