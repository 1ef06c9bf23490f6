// Some clients fill every parameter of a tool. A call with empty values, with null or with the schema's defaults is not
// refused.
import assert from 'node:assert/strict';

const EMPTY = { string: '', array: [], object: {}, boolean: false, integer: 0, number: 0 };

// An empty value; of an object with known fields, one with every field empty.
const empty = ({ type, properties }) =>
    properties
        ? Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, empty(field)]))
        : EMPTY[type];

const FILLINGS = {
    empty,
    null: () => null,
    default: (schema) => schema.default ?? EMPTY[schema.type],
};

export async function everyParameterEmpty(session) {
    const tools = await session.tools();
    for (const [filling, fill] of Object.entries(FILLINGS)) {
        for (const { name, inputSchema } of tools) {
            const chosen = await needed(session, name);
            const filled = Object.fromEntries(
                Object.entries(inputSchema.properties).map(([parameter, schema]) => [parameter, fill(schema)]),
            );
            assert(!Object.values(filled).includes(undefined), `${name}: a parameter without a type`);
            const reply = await session.ask(name, { ...filled, ...chosen });
            const expected = name === 'review_batch' ? 'not_ready' : undefined;
            assert.equal(reply.code, expected, `${name}, ${filling}: ${reply.message}`);
            assert.equal(reply.success, !expected, `${name}, ${filling}: ${reply.message}`);
        }
    }
}

// The arguments that a call of this tool cannot do without, on new tasks.
async function needed(session, tool) {
    const task = async () => (await session.do('create_task', { task_title: 'Task' })).task.id;
    const batch = async () =>
        (await session.do('create_batch', { title: 'Batch', instructions: 'Look.', items: [{ key: 'a' }] })).batch.id;
    switch (tool) {
        case 'create_task':
            return { task_title: 'Task' };
        case 'get_task':
        case 'update_task':
        case 'complete_task':
            return { id: await task() };
        case 'complete_tasks':
            return { ids: [await task()] };
        case 'claim_task':
            return { id: await task() };
        case 'release_task': {
            const id = await task();
            const { claim } = await session.do('claim_task', { id, worker: 'polecat' });
            return { id, claim: claim.token };
        }
        case 'search_tasks':
            return { query: 'task' };
        case 'create_batch':
            return { title: 'Batch', instructions: 'Look.', items: [{ key: 'a' }] };
        case 'add_items':
            return { id: await batch(), items: [{ key: 'b' }] };
        case 'control_batch':
            return { id: await batch(), action: 'pause' };
        // Nothing waits for a review: see above.
        case 'review_batch':
            return { id: await batch(), decision: 'approve' };
        case 'wait_batch':
            return { id: await batch() };
        default:
            return {};
    }
}
