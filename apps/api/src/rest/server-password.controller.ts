import { Controller, Delete, Get, HttpCode, HttpStatus, Inject, Param } from '@nestjs/common';
import { ServerPasswords } from '../server-passwords.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject } from './json.ts';
import { API_PREFIXES } from './prefixes.ts';

@Controller(API_PREFIXES.map((prefix) => `${prefix}/servers/:id/os-server-password`))
export class ServerPasswordController {
  readonly #passwords: ServerPasswords;

  constructor(@Inject(ServerPasswords) passwords: ServerPasswords) {
    this.#passwords = passwords;
  }

  @Get()
  async show(@Call() call: ApiCall, @Param('id') id: string): Promise<JsonObject> {
    return { password: await this.#passwords.show(call.context, id) };
  }

  @Delete()
  @HttpCode(HttpStatus.NO_CONTENT)
  async clear(@Call() call: ApiCall, @Param('id') id: string): Promise<void> {
    await this.#passwords.clear(call.context, id);
  }
}
