// jsforce against the local org: its own OAuth call, its own Bulk 2.0 calls,
// all three result sets of every job, and queries.
//
//     NODE_PACKAGES=.../node_modules node jsforce_test.mjs ANNOUNCEMENT
//
// ANNOUNCEMENT is the JSON line of `bulkhaul local-org serve --json`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.NODE_PACKAGES, 'any.js'));
const jsforce = require('jsforce');
const { QueryJobV2 } = require('jsforce/lib/api/bulk2');

const ROWS = 450; // more than two chunks of 200
const org = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const conn = new jsforce.Connection({
  version: '66.0',
  instanceUrl: org.url,
  oauth2: { loginUrl: org.url, clientId: org.client_id, clientSecret: org.client_secret },
});
const user = await conn.authorize({ grant_type: 'client_credentials' });
assert.equal(user.organizationId, org.org_id);
conn.bulk2.pollInterval = 100;
conn.bulk2.pollTimeout = 60_000;

/** Runs a job through the library's own all-in-one call. */
async function load(operation, input, externalIdFieldName) {
  const options = { object: 'Account', operation, input };
  if (externalIdFieldName) options.externalIdFieldName = externalIdFieldName;
  const results = await conn.bulk2.loadAndWaitForResults(options);
  assert.deepEqual(results.unprocessedRecords, [], `${operation}: unprocessed`);
  assert.equal(
    results.successfulResults.length + results.failedResults.length,
    input.length,
    `${operation}: every row is in one set`,
  );
  return results;
}

// Insert: text of all kinds, and one row that lacks its name.
const records = Array.from({ length: ROWS }, (_, n) => ({
  Name: `Zoë & "Söhne", No ${n}\nsecond line`,
  Legacy_Id__c: `js-${n}`,
  NumberOfEmployees: String(n),
}));
records.push({ Name: '', Legacy_Id__c: 'js-nameless', NumberOfEmployees: '1' });
const inserted = await load('insert', records);
assert.equal(inserted.successfulResults.length, ROWS);
const ids = new Map(inserted.successfulResults.map((row) => [row.Legacy_Id__c, row.sf__Id]));
assert.equal(ids.size, ROWS);
for (const row of inserted.successfulResults) {
  assert.equal(row.sf__Created, 'true');
  assert.equal(row.sf__Id.length, 18);
  const n = Number(row.Legacy_Id__c.slice(3));
  assert.equal(row.Name, records[n].Name);
  assert.equal(row.NumberOfEmployees, String(n));
}
assert.equal(inserted.failedResults.length, 1);
assert.equal(
  inserted.failedResults[0].sf__Error,
  'REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --',
);

// Upsert: half of the rows are there already.
const half = ROWS / 2;
const upserts = Array.from({ length: ROWS }, (_, n) => ({
  Legacy_Id__c: `js-${n + half}`,
  Name: `Upserted ${n + half}`,
}));
const upserted = await load('upsert', upserts, 'Legacy_Id__c');
assert.equal(upserted.failedResults.length, 0);
const created = upserted.successfulResults.filter((row) => row.sf__Created === 'true');
assert.equal(created.length, half);
for (const row of upserted.successfulResults) {
  if (row.sf__Created === 'false') assert.equal(row.sf__Id, ids.get(row.Legacy_Id__c));
}

// Update by id.
const some = [...ids.values()].slice(0, 100);
const updated = await load('update', some.map((Id) => ({ Id, Industry: 'Banking' })));
assert.deepEqual(new Set(updated.successfulResults.map((row) => row.sf__Id)), new Set(some));
const count = await conn.query("SELECT COUNT() FROM Account WHERE Industry = 'Banking'");
assert.equal(count.totalSize, 100);

// Delete, step by step.
const job = conn.bulk2.createJob({ object: 'Account', operation: 'delete' });
await job.open();
await job.uploadData(some.map((Id) => ({ Id })));
await job.close();
await job.poll(100, 60_000);
const info = await job.check();
assert.equal(info.state, 'JobComplete');
assert.equal(info.numberRecordsProcessed, 100);
const deleted = await job.getAllResults();
assert.deepEqual(new Set(deleted.successfulResults.map((row) => row.sf__Id)), new Set(some));
assert.deepEqual([deleted.failedResults, deleted.unprocessedRecords], [[], []]);
await job.delete();

// A job that fails as a whole says why.
const broken = conn.bulk2.createJob({ object: 'Account', operation: 'insert' });
let failure;
broken.on('error', (error) => { failure = error; });
await broken.open();
await broken.uploadData('Name,Nonsense__c\nA,B\n');
await broken.close();
await assert.rejects(broken.poll(100, 60_000), /InvalidBatch : Field name not found : Nonsense__c/);
assert.ok(failure);

// Query jobs: the library's own stream of records, step by step, and refusals.
async function query(soql, options) {
  const stream = await conn.bulk2.query(soql, options);
  return stream.toArray();
}
const byKey = "WHERE Legacy_Id__c LIKE 'js-%'";
const queried = await query(
  `SELECT Id, Name, NumberOfEmployees, Legacy_Id__c, Owner.Name FROM Account ${byKey}`,
);
assert.equal(queried.length, ROWS + half - 100);
for (const record of queried) {
  const n = Number(record.Legacy_Id__c.slice(3));
  const upsertedName = n >= half;
  assert.equal(record.Name, upsertedName ? `Upserted ${n}` : records[n].Name);
  assert.equal(record.NumberOfEmployees, n < ROWS ? String(n) : '');
  assert.equal(record['Owner.Name'], 'System Administrator');
}
const withDeleted = await query('SELECT Id FROM Account WHERE IsDeleted = true', { scanAll: true });
const deletedIds = new Set(withDeleted.map((record) => record.Id));
assert.ok(some.every((id) => deletedIds.has(id)));
const steps = new QueryJobV2(conn, {
  bodyParams: {
    operation: 'query',
    query: 'SELECT Id FROM Account LIMIT 5',
    lineEnding: 'CRLF',
    columnDelimiter: 'PIPE',
  },
  pollingOptions: conn.bulk2,
});
await steps.open();
await steps.poll(100, 60_000);
assert.equal((await steps.check()).numberRecordsProcessed, 5);
await assert.rejects(steps.abort(), /Aborting already Completed Job not allowed/);
await steps.delete();
await assert.rejects(steps.check(), /The requested resource does not exist/);
await assert.rejects(
  query('SELECT Id, BillingAddress FROM Account'),
  /Selecting compound data not supported in Bulk Query/,
);

// Paging and describe as this library asks for them.
const left = [];
await conn
  .query("SELECT Id, Legacy_Id__c FROM Account WHERE Legacy_Id__c LIKE 'js-%'", { autoFetch: true })
  .on('record', (record) => left.push(record))
  .run({ autoFetch: true, maxFetch: 10_000 });
assert.equal(new Set(left.map((record) => record.Id)).size, ROWS + half - 100);
const described = await conn.describe('Account');
assert.ok(described.fields.some((field) => field.name === 'Legacy_Id__c' && field.externalId));
console.log('jsforce: insert, upsert, update, delete, their result sets and queries are right');
