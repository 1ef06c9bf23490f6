// The calls of the scripts in this folder, independent of the version of the SDK, and the servers they talk to.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// A connected client. The SDK throws if a reply does not match the output schema that the server announced.
export class Session {
    constructor(client) {
        this.client = client;
    }

    // Its tools, all pages.
    async tools() {
        const tools = [];
        let cursor;
        do {
            const page = await this.client.listTools(cursor && { cursor });
            tools.push(...page.tools);
            cursor = page.nextCursor;
        } while (cursor);
        return tools;
    }

    // The reply of a tool, a success or a refusal.
    async ask(name, args = {}) {
        const result = await this.client.callTool({ name, arguments: args });
        const text = result.content.find((block) => block.type === 'text').text;
        const reply = result.structuredContent ?? JSON.parse(text);
        assert.equal(typeof reply.message, 'string', `${name}: no message: ${text}`);
        assert(!result.isError || (reply.success === false && reply.code), `${name}: an error without a code: ${text}`);
        return reply;
    }

    // The reply to a request that must succeed.
    async do(name, args) {
        const reply = await this.ask(name, args);
        assert.equal(reply.success, true, `${name} ${JSON.stringify(args)}: ${JSON.stringify(reply)}`);
        return reply;
    }
}

// Runs `story(command)` in a new folder, where `command` starts a server on a store in that folder. The folder is also
// the home, so that a configuration of the user has no effect.
export async function inFolder(tasktally, story) {
    const folder = await mkdtemp(join(tmpdir(), 'tasktally-'));
    const command = {
        command: tasktally,
        args: ['serve', '--db', join(folder, 'tasks.db')],
        env: { PATH: process.env.PATH, HOME: folder },
        cwd: folder,
    };
    try {
        await story(command);
    } finally {
        await rm(folder, { recursive: true, force: true });
    }
}
