// One story for every client: a batch is made, its chunks are worked, and every item is counted once.
import assert from 'node:assert/strict';

const ITEMS = [1, 2, 3].map((n) => ({ key: `mail-${n}`, subject: `Subject ${n}`, flags: { read: n > 1 } }));

// `structured` says whether this protocol version has structured replies (since 2025-06-18).
export async function aBatch(session, { structured }) {
    const tools = await session.tools();
    for (const name of ['create_batch', 'claim_task', 'update_task', 'complete_task', 'get_batch']) {
        const tool = tools.find((tool) => tool.name === name);
        assert(tool, `no tool ${name}`);
        assert.equal(tool.outputSchema !== undefined, structured, `${name}: output schema ${tool.outputSchema}`);
    }

    const made = await session.do('create_batch', {
        title: 'Archive',
        instructions: 'Archive each.',
        items: ITEMS,
        max_chunk: 2,
    });
    const batch = made.batch.id;
    assert.deepEqual([made.batch.items, made.batch.chunks], [3, 2]);

    const worked = [];
    for (;;) {
        const claimed = await session.ask('claim_task', { worker: 'polecat', batch });
        if (!claimed.success) {
            assert.equal(claimed.code, 'nothing_to_claim', claimed.message);
            break;
        }
        await work(session, claimed);
        worked.push(...claimed.items);
    }
    assert.deepEqual(worked.map(({ key, fields }) => ({ key, ...fields })), ITEMS);

    const { batch: progress } = await session.do('get_batch', { id: batch });
    assert.deepEqual([progress.status, progress.processed, progress.total], ['done', 3, 3]);
    assert.deepEqual(progress.categories, { read: 3 });
    const { tasks } = await session.do('list_tasks', { limit: 0 });
    assert.equal(tasks.filter((task) => task.title.startsWith('Archive')).length, 1, 'one batch');
}

// A supervisor makes a batch of one chunk, a worker with a session of its own works it.
export async function aChunk(supervisor, worker) {
    const { batch } = await supervisor.do('create_batch', { title: 'One', instructions: 'Archive.', items: ITEMS });
    await work(worker, await worker.do('claim_task', { worker: 'polecat', batch: batch.id }));
    const idle = await worker.ask('claim_task', { worker: 'polecat', batch: batch.id });
    assert.equal(idle.code, 'nothing_to_claim', idle.message);
    assert.equal((await supervisor.do('get_batch', { id: batch.id })).batch.status, 'done');
}

// Settles the items of a chunk. Each receipt is sent twice, as a client does that missed the first reply.
async function work(session, { task, items, claim: { token } }) {
    for (const [done, { key }] of items.entries()) {
        const receipt = {
            id: task.id,
            claim: token,
            item: key,
            outcome: 'done',
            category: 'read',
            body: `- Archived ${key}`,
        };
        const first = await session.do('update_task', receipt);
        const again = await session.do('update_task', receipt);
        assert.deepEqual([first.receipt.duplicate ?? false, again.receipt.duplicate], [false, true]);
        assert.equal(again.receipt.number, first.receipt.number);
        assert.deepEqual([first.items_left, again.items_left], Array(2).fill(items.length - done - 1));
    }
    const completed = await session.do('complete_task', { id: task.id, claim: token });
    assert.equal(completed.task.status, 'done');
}
