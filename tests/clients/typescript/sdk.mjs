// The official TypeScript SDK on a real server over stdio: 1.12.3, which speaks 2025-03-26 and requires a structured
// reply from every tool with an output schema, and the newest of both lines.
// Usage: sdk.mjs TASKTALLY
import assert from 'node:assert/strict';
import * as v2 from '@modelcontextprotocol/client';
import * as v2Stdio from '@modelcontextprotocol/client/stdio';
import * as old from 'sdk-1.12.3/client/index.js';
import * as oldStdio from 'sdk-1.12.3/client/stdio.js';
import * as oldTypes from 'sdk-1.12.3/types.js';
import * as v1 from 'sdk-1.x/client/index.js';
import * as v1Stdio from 'sdk-1.x/client/stdio.js';

import { everyParameterEmpty } from './empty_values.mjs';
import { Session, inFolder } from './session.mjs';
import { aBatch } from './story.mjs';

const tasktally = process.argv[2];
const LIBRARIES = [
    { name: '1.12.3', ...old, ...oldStdio, structured: false },
    { name: '1.x', ...v1, ...v1Stdio, structured: true },
    { name: '2.x, initialize', ...v2, ...v2Stdio, mode: 'legacy', protocol: '2025-11-25', structured: true },
    { name: '2.x, stateless', ...v2, ...v2Stdio, mode: 'auto', protocol: '2026-07-28', structured: true },
];

assert.equal(oldTypes.LATEST_PROTOCOL_VERSION, '2025-03-26');
for (const { name, Client, StdioClientTransport, mode, protocol, structured } of LIBRARIES) {
    await inFolder(tasktally, async (command) => {
        const client = new Client({ name: 'sdk', version: '1' }, mode && { versionNegotiation: { mode } });
        await client.connect(new StdioClientTransport(command));
        try {
            if (protocol) assert.equal(client.getNegotiatedProtocolVersion(), protocol);
            const session = new Session(client);
            await aBatch(session, { structured });
            await everyParameterEmpty(session);
        } finally {
            await client.close();
        }
    });
    console.log(`typescript sdk ${name}: a batch worked, each item counted once, empty parameters accepted`);
}
