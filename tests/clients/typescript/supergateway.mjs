// supergateway in stateless mode before a real server: each HTTP request starts its own server, with which supergateway
// speaks 2024-11-05, whatever a client with `initialize` speaks.
// Usage: supergateway.mjs TASKTALLY
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as v2 from '@modelcontextprotocol/client';
import * as old from 'sdk-1.12.3/client/index.js';
import * as oldHttp from 'sdk-1.12.3/client/streamableHttp.js';
import * as v1 from 'sdk-1.x/client/index.js';
import * as v1Http from 'sdk-1.x/client/streamableHttp.js';

import { Session, inFolder } from './session.mjs';
import { aBatch } from './story.mjs';

const PATIENCE = 30_000; // milliseconds that the gateway may take to start
const GATEWAY = fileURLToPath(import.meta.resolve('supergateway/dist/index.js'));
const LIBRARIES = [
    { name: '1.12.3', ...old, ...oldHttp, structured: false },
    { name: '1.x', ...v1, ...v1Http, structured: false },
    { name: '2.x, initialize', ...v2, mode: 'legacy', structured: false },
    { name: '2.x, stateless', ...v2, mode: 'auto', structured: true },
];

async function freePort() {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
}

// Runs a story with the address of a gateway before this server.
async function withGateway({ command, args, env, cwd }, story) {
    const port = await freePort();
    const stdio = [command, ...args].join(' ');
    const options = ['--stdio', stdio, '--outputTransport', 'streamableHttp', '--port', port, '--logLevel', 'none'];
    const gateway = spawn(process.execPath, [GATEWAY, ...options, '--healthEndpoint', '/healthz'], {
        env,
        cwd,
        stdio: ['ignore', 'inherit', 'inherit'],
    });
    const ended = once(gateway, 'exit');
    try {
        for (const start = Date.now(); ; await sleep(50)) {
            assert.equal(gateway.exitCode, null, 'the gateway has ended');
            const health = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
            if (health?.ok) break;
            assert(Date.now() - start < PATIENCE, 'the gateway does not answer');
        }
        await story(new URL(`http://127.0.0.1:${port}/mcp`));
    } finally {
        gateway.kill();
        await ended;
    }
}

for (const { name, Client, StreamableHTTPClientTransport, mode, structured } of LIBRARIES) {
    await inFolder(process.argv[2], (command) =>
        withGateway(command, async (address) => {
            const client = new Client({ name: 'http', version: '1' }, mode && { versionNegotiation: { mode } });
            await client.connect(new StreamableHTTPClientTransport(address));
            try {
                await aBatch(new Session(client), { structured });
            } finally {
                await client.close();
            }
        }),
    );
    console.log(`supergateway, typescript sdk ${name}: a batch worked, each item counted once`);
}
