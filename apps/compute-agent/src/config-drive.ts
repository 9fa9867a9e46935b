/** What a guest's config drive holds: all that the metadata service would tell it, as files. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { filesOf } from '@gatehouse/instance-metadata/metadata-tree';
import { NO_VENDOR_DATA } from '@gatehouse/instance-metadata/vendor-data';
import { configDriveTree } from '@gatehouse/instance-metadata/whole-trees';
import type { DriveFiles } from './drivers/driver.ts';

export async function configDriveFiles(facts: InstanceFacts): Promise<DriveFiles> {
  const files = new Map<string, Buffer>();
  for (const { path, file } of filesOf(configDriveTree(facts, NO_VENDOR_DATA))) {
    const content = await file.content();
    files.set(path, typeof content === 'string' ? Buffer.from(content) : content);
  }
  return files;
}
