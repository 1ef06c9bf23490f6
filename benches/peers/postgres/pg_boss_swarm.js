// The swarm's work as jobs of pg-boss: `fill JOBS` or `work JOBS`. The database is named by PG* variables.
const pgBoss = require('pg-boss')
const { Client } = require('pg')

const PgBoss = pgBoss.PgBoss || pgBoss
const RECEIPTS_PER_TASK = 10
const RECEIPT = '- Archived: 2025-11-03 | Ann | Lunch'
const QUEUE = 'archive'
const INSERT = {
  name: 'receipt',
  text: "INSERT INTO receipt (task, number, at, author, text) VALUES ($1, $2, clock_timestamp(), 'bench', $3)"
}

const database = { host: process.env.PGHOST, user: process.env.PGUSER, database: process.env.PGDATABASE }

async function fill (jobs) {
  const boss = new PgBoss(database)
  await boss.start()
  await boss.createQueue(QUEUE)
  const rows = Array.from({ length: jobs }, (_, number) => ({ name: QUEUE, data: { task: number } }))
  if (boss.insert.length > 1) await boss.insert(QUEUE, rows)
  else await boss.insert(rows)
  await boss.stop()
}

// fetch() and complete(): its own loop, work(), polls at most twice a second.
async function work () {
  const boss = new PgBoss({ ...database, supervise: false, schedule: false, max: 2 })
  await boss.start()
  const receipts = new Client(database)
  await receipts.connect()
  console.log('ready')
  await new Promise(resolve => process.stdin.once('data', resolve))
  for (;;) {
    const [job] = await boss.fetch(QUEUE)
    if (!job) break
    for (let number = 1; number <= RECEIPTS_PER_TASK; number++) {
      await receipts.query({ ...INSERT, values: [job.data.task, number, RECEIPT] })
    }
    await boss.complete(QUEUE, job.id)
  }
  // Written before the process exits, unlike console.log to a pipe.
  require('fs').writeSync(1, 'done\n')
  process.exit(0)
}

const [, , role, jobs] = process.argv
const run = role === 'fill' ? fill(Number(jobs)) : work()
run.catch(error => { console.error(error); process.exit(1) })
