/** Holds real answers of /v1 against what its OpenAPI document promises of them. */
import assert from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Answer, TestApi } from './test-api.ts';

type Contents = Readonly<Record<string, unknown>>;
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, { readonly content?: Contents }>> }>>>>;
}

export type CheckAnswer = (method: string, template: string, answer: Answer) => void;

export async function openapiCheck(api: TestApi): Promise<CheckAnswer> {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  const document = (await api.ask('GET', '/v1/openapi.json', { token: null })).json as Document;
  ajv.addSchema(document as object, 'openapi');
  const escape = (text: string): string => encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1'));
  return (method, template, answer) => {
    const responses = document.paths[template]?.[method.toLowerCase()]?.responses ?? {};
    const status = String(answer.status) in responses ? String(answer.status) : 'default';
    const type = (answer.headers['content-type'] ?? '').split(';', 1)[0] ?? '';
    assert.ok(responses[status]?.content?.[type], `${type} is not promised for ${method} ${template}: ${answer.status} ${answer.text}`);
    const pointer = ['paths', template, method.toLowerCase(), 'responses', status, 'content', type, 'schema'].map(escape).join('/');
    const validate = ajv.getSchema(`openapi#/${pointer}`) ?? assert.fail(pointer);
    assert.ok(validate(answer.json), `${answer.text}\n${ajv.errorsText(validate.errors)}`);
  };
}
