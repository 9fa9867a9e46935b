import assert from 'node:assert/strict';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { accessUrl, accessUrlBase } from './access-url.ts';
import type { AccessUrlConfig } from './access-url.ts';
import { consoleAuthConfig } from './config.ts';

const TOKEN = 'kJ8_-aZ';

function config(values: Partial<AccessUrlConfig> = {}): AccessUrlConfig {
  return { ...consoleAuthConfig.parse({ proxyBaseUrl: 'https://console.example:6080/' }), ...values };
}

function check(rows: readonly (readonly [ConsoleType, Partial<AccessUrlConfig>, string])[]): void {
  for (const [consoleType, values, url] of rows) assert.equal(accessUrl(config(values), consoleType, TOKEN), url);
}

const nova = { consoleUrlStyle: 'nova' } as const;

describe('the URL of a console', () => {
  it('is refused for a type that nothing shows, and not for one that an operator names a place for', () => {
    for (const style of ['fragment', 'nova'] as const) {
      for (const type of ['rdp-html5', 'xvpvnc', 'webmks'] as const) {
        assert.throws(() => accessUrl(config({ consoleUrlStyle: style }), type, TOKEN), { code: 'FAILED_PRECONDITION', message: /novnc, serial, spice-html5 have/ });
      }
    }
    check([['spice-html5', { spiceBaseUrl: 'https://spice.example/' }, `https://spice.example/#token=${TOKEN}`]]);
  });

  it('has the token in the fragment, at the proxy or where an operator says', () => {
    check([
      ['novnc', {}, `https://console.example:6080/vnc#token=${TOKEN}`],
      ['serial', {}, `https://console.example:6080/serial#token=${TOKEN}`],
      ['spice-html5', {}, `https://console.example:6080/spice#token=${TOKEN}`],
      ['serial', { proxyBaseUrl: 'http://10.0.0.1/consoles' }, `http://10.0.0.1/consoles/serial#token=${TOKEN}`],
      ['novnc', { vncBaseUrl: 'https://vnc.example/my/page?theme=dark' }, `https://vnc.example/my/page?theme=dark#token=${TOKEN}`],
      ['serial', { vncBaseUrl: 'https://vnc.example/' }, `https://console.example:6080/serial#token=${TOKEN}`],
    ]);
  });

  it('has it in the query of a WebSocket, which has no fragment', () => {
    check([['serial', { serialBaseUrl: 'wss://serial.example/' }, `wss://serial.example/?token=${TOKEN}`]]);
  });

  it("has Nova's shapes in its style, at the proxy", () => {
    check([
      ['novnc', nova, `https://console.example:6080/vnc_auto.html?path=%3Ftoken%3D${TOKEN}`],
      ['serial', nova, `wss://console.example:6080/?token=${TOKEN}`],
      ['serial', { ...nova, proxyBaseUrl: 'http://10.0.0.1:6080' }, `ws://10.0.0.1:6080/?token=${TOKEN}`],
    ]);
  });

  it("has Nova's shapes at its own base URLs, what these say already kept", () => {
    check([
      ['novnc', { ...nova, vncBaseUrl: 'http://127.0.0.1:6080/vnc_auto.html' }, `http://127.0.0.1:6080/vnc_auto.html?path=%3Ftoken%3D${TOKEN}`],
      ['novnc', { ...nova, vncBaseUrl: 'http://h/vnc_lite.html?scale=true' }, `http://h/vnc_lite.html?scale=true&path=%3Ftoken%3D${TOKEN}`],
      ['novnc', { ...nova, vncBaseUrl: 'http://h/vnc.html?path=novnc' }, `http://h/vnc.html?path=novnc%3Ftoken%3D${TOKEN}`],
      ['novnc', { ...nova, vncBaseUrl: 'http://h/vnc.html?path=cell1%2Fws&x=1' }, `http://h/vnc.html?path=cell1%2Fws%3Ftoken%3D${TOKEN}&x=1`],
      ['novnc', { ...nova, vncBaseUrl: 'http://h/vnc.html?path=ws%3Fcell%3D1' }, `http://h/vnc.html?path=ws%3Fcell%3D1%26token%3D${TOKEN}`],
      ['spice-html5', nova, `https://console.example:6080/spice_auto.html?token=${TOKEN}`],
      ['spice-html5', { ...nova, spiceBaseUrl: 'http://h:6082/spice_auto.html' }, `http://h:6082/spice_auto.html?token=${TOKEN}`],
      ['serial', { ...nova, serialBaseUrl: 'ws://127.0.0.1:6083/' }, `ws://127.0.0.1:6083/?token=${TOKEN}`],
      ['serial', { ...nova, serialBaseUrl: 'wss://h/serial?cell=1' }, `wss://h/serial?cell=1&token=${TOKEN}`],
    ]);
  });

  it('is remembered without the token', () => {
    assert.equal(accessUrlBase(config(nova), 'novnc'), 'https://console.example:6080/vnc_auto.html');
    assert.equal(accessUrlBase(config({ serialBaseUrl: 'ws://h/' }), 'serial'), 'ws://h/');
  });
});
