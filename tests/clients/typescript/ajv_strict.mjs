// Ajv in strict mode compiles every schema of a server, however it was started, and validates real replies.
// Usage: ajv_strict.mjs TASKTALLY
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';

import { everyParameterEmpty } from './empty_values.mjs';
import { Session, inFolder } from './session.mjs';
import { aBatch, aChunk } from './story.mjs';

const SERVERS = {
    all: [],
    worker: ['--toolset', 'worker'],
    'read only': ['--read-only'],
    'one project': ['--project', 'mail'],
};
const DRAFTS = { 'draft 7': Ajv, '2020-12': Ajv2020 };

// A session whose replies, successes and refusals, are validated by Ajv.
class ValidatedSession extends Session {
    validators = {};

    async compile(ajv) {
        for (const { name, inputSchema, outputSchema } of await this.tools()) {
            ajv.compile(inputSchema);
            this.validators[name] = ajv.compile(outputSchema);
        }
    }

    async ask(name, args) {
        const reply = await super.ask(name, args);
        const matches = this.validators[name];
        assert(matches(reply), `${name}: ${JSON.stringify(matches.errors)}\n${JSON.stringify(reply)}`);
        return reply;
    }
}

async function connect(command, options) {
    const client = new Client({ name: 'ajv', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(new StdioClientTransport({ ...command, args: [...command.args, ...options] }));
    return new ValidatedSession(client);
}

for (const [draft, Library] of Object.entries(DRAFTS)) {
    await inFolder(process.argv[2], async (command) => {
        const sessions = {};
        for (const [name, options] of Object.entries(SERVERS)) {
            sessions[name] = await connect(command, options);
            await sessions[name].compile(new Library({ strict: true }));
        }
        await aBatch(sessions.all, { structured: true });
        await everyParameterEmpty(sessions.all);
        await aChunk(sessions.all, sessions.worker);
        for (const session of Object.values(sessions)) await session.client.close();
    });
    const servers = Object.keys(SERVERS).join(', ');
    console.log(`ajv strict, ${draft}: every schema compiles (servers: ${servers}), every reply matches`);
}
