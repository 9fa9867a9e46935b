/** Guests of both cells that read their metadata while their keys are brought to them: what was shown once is shown ever after, and nothing else ever. */
import assert from 'node:assert/strict';
import { createHmac, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { HttpCalls } from './http-calls.ts';
import type { HttpAnswer } from './http-calls.ts';
import type { TrafficLoop, TrafficRecord } from './traffic-record.ts';

export interface Guest {
  readonly uuid: string;
  readonly projectId: string;
  readonly metadataUrl: string;
  /** Null: it has no key and will have none. */
  readonly key: { readonly name: string; readonly publicKey: string } | null;
  /** Whether EC2's tree shows the key before it was migrated, from the instance's own copy. */
  readonly hasOwnCopy: boolean;
}

/** For so long a metadata service may tell what was: nobody sends it news of the move. */
export const METADATA_CACHE_SECONDS = 1;

const PER_CELL = 400;
const CHECKED_AT_ONCE = 8;

export class GuestTraffic {
  readonly #guests: readonly Guest[];
  readonly #secret: string;
  readonly #record: TrafficRecord;
  readonly #http = new HttpCalls();
  readonly #hasShownKey = new Set<Guest>();
  reads = 0;

  private constructor(guests: readonly Guest[], secret: string, record: TrafficRecord) {
    this.#guests = guests;
    this.#secret = secret;
    this.#record = record;
  }

  /** Some of each kind, spread over both cells. */
  static async of(cells: readonly { readonly database: pg.Pool; readonly metadataUrl: string }[], secret: string, record: TrafficRecord): Promise<GuestTraffic> {
    const guests: Guest[] = [];
    for (const { database, metadataUrl } of cells) {
      const { rows } = await database.query<{ uuid: string; key_name: string | null; key_data: string | null; expected_key: string | null }>(
        `SELECT uuid, key_name, key_data, expected_key FROM seeded.instances WHERE kind NOT IN ('deleted', 'moved_before', 'lost') ORDER BY uuid LIMIT ${PER_CELL}`,
      );
      guests.push(
        ...rows.map(({ uuid, key_name: name, key_data: own, expected_key: publicKey }): Guest => {
          const key = name === null || publicKey === null ? null : { name, publicKey };
          return { uuid, projectId: 'legacy', metadataUrl, key, hasOwnCopy: own !== null };
        }),
      );
    }
    return new GuestTraffic(guests, secret, record);
  }

  loops(count: number): readonly TrafficLoop[] {
    return Array.from({ length: count }, () => ({ what: 'metadata', turn: () => this.#readSome() }));
  }

  /** Once everything has moved. @throws AssertionError: a guest without its key */
  async checkAll(): Promise<void> {
    await sleep(METADATA_CACHE_SECONDS * 1_000 + 100);
    const rest = this.#guests.values();
    const check = async (): Promise<void> => {
      for (const guest of rest) assert.ok((await this.readOne(guest)) || guest.key === null, `${guest.uuid} has no key`);
    };
    await Promise.all(Array.from({ length: CHECKED_AT_ONCE }, check));
  }

  close(): void {
    this.#http.close();
  }

  /** Both trees. @returns whether OpenStack's shows its key */
  async readOne(guest: Guest): Promise<boolean> {
    const { key } = guest;
    const hadKey = this.#hasShownKey.has(guest);
    const json = await this.#read(guest, '/openstack/latest/meta_data.json');
    assert.equal(json.status, 200, `${guest.uuid}: ${json.status} ${json.text}`);
    const { public_keys: shown } = JSON.parse(json.text) as { public_keys?: Record<string, string> };
    const expected = key === null ? undefined : { [key.name]: key.publicKey };
    if (shown !== undefined || hadKey) assert.deepEqual(shown, expected, guest.uuid);
    if (shown !== undefined) this.#hasShownKey.add(guest);
    const isShownByEc2 = key !== null && (guest.hasOwnCopy || this.#hasShownKey.has(guest));
    if (isShownByEc2 || key === null) {
      const line = await this.#read(guest, '/latest/meta-data/public-keys/0/openssh-key');
      if (key === null) assert.equal(line.status, 404, `${guest.uuid}: ${line.status} ${line.text}`);
      else assert.deepEqual([line.status, line.text.trim()], [200, key.publicKey], guest.uuid);
    }
    this.reads += 1;
    return shown !== undefined;
  }

  async #readSome(): Promise<void> {
    await this.readOne(this.#guests[randomInt(this.#guests.length)] as Guest);
  }

  async #read({ uuid, projectId, metadataUrl }: Guest, path: string): Promise<HttpAnswer> {
    const signature = createHmac('sha256', this.#secret).update(uuid).digest('hex');
    const headers = { 'x-instance-id': uuid, 'x-tenant-id': projectId, 'x-instance-id-signature': signature };
    const answer = await this.#http.send({ url: metadataUrl + path, headers });
    this.#record.took('metadata', answer.ms);
    return answer;
  }
}
