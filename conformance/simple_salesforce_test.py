"""simple-salesforce against the local org: its own login, its own Bulk 2.0
calls, all three result sets of every job, and queries page by page.

    python simple_salesforce_test.py ANNOUNCEMENT

ANNOUNCEMENT is the JSON line of `bulkhaul local-org serve --json`.
"""

import csv
import io
import json
import sys
import tempfile

import requests
from simple_salesforce import Salesforce, SalesforceMalformedRequest

ROWS = 450  # more than two chunks of 200


class ToLocalOrg(requests.adapters.HTTPAdapter):
    """Sends every https request to the local org over http.

    simple-salesforce builds https URLs only, of the login host and of the
    instance; the local org speaks http on the loopback interface.
    """

    def __init__(self, url):
        super().__init__()
        self.url = url

    def send(self, request, **options):
        path = request.url.split("://", 1)[1].partition("/")[2]
        request.url = f"{self.url}/{path}"
        return super().send(request, **options)


def rows(text):
    """The rows of a result set.

    The service names no charset for its CSV, so requests takes it for Latin-1;
    against real orgs, too (simple-salesforce issue 706).
    """
    return list(csv.DictReader(io.StringIO(text.encode("latin-1").decode("utf-8"))))


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"simple-salesforce: {what}: got {got!r}, wanted {wanted!r}")


class Job:
    """A finished job with its three result sets."""

    def __init__(self, bulk, results, what):
        expect(f"{what}: jobs", len(results), 1)
        self.info = results[0]
        job_id = self.info["job_id"]
        expect(f"{what}: job id", (job_id[:3], len(job_id)), ("750", 18))
        self.succeeded = rows(bulk.get_successful_records(job_id))
        self.failed = rows(bulk.get_failed_records(job_id))
        self.unprocessed = rows(bulk.get_unprocessed_records(job_id))
        together = bulk.get_all_ingest_records(job_id)
        expect(f"{what}: all sets", len(together["successfulRecords"]), len(self.succeeded))
        expect(f"{what}: unprocessed", self.unprocessed, [])
        expect(f"{what}: processed", self.info["numberRecordsProcessed"],
               len(self.succeeded) + len(self.failed))
        expect(f"{what}: failed", self.info["numberRecordsFailed"], len(self.failed))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        org = json.load(file)
    session = requests.Session()
    session.mount("https://", ToLocalOrg(org["url"]))
    sf = Salesforce(
        consumer_key=org["client_id"],
        consumer_secret=org["client_secret"],
        domain="local-org.my",
        session=session,
        version="66.0",
    )
    bulk = sf.bulk2.Account

    # Insert: text of all kinds, and one row that lacks its name.
    records = [
        {
            "Name": f'Zoë & "Söhne", No {n}\nsecond line',
            "Legacy_Id__c": f"ss-{n}",
            "AnnualRevenue": str(45_800_000 + n),
        }
        for n in range(ROWS)
    ]
    records.append({"Name": "", "Legacy_Id__c": "ss-nameless", "AnnualRevenue": "1"})
    job = Job(bulk, bulk.insert(records=records, wait=0), "insert")
    expect("insert: succeeded", len(job.succeeded), ROWS)
    expect("insert: created", {row["sf__Created"] for row in job.succeeded}, {"true"})
    by_key = {row["Legacy_Id__c"]: row for row in job.succeeded}
    expect("insert: keys", sorted(by_key), sorted(f"ss-{n}" for n in range(ROWS)))
    for n in range(ROWS):
        row = by_key[f"ss-{n}"]
        expect("insert: name", row["Name"], records[n]["Name"])
        expect("insert: number", float(row["AnnualRevenue"]), float(45_800_000 + n))
    expect("insert: E-notation", by_key["ss-0"]["AnnualRevenue"], "4.58E7")
    expect("insert: failed", len(job.failed), 1)
    error = job.failed[0]["sf__Error"]
    expect("insert: error", error,
           "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --")
    expect("insert: no id", job.failed[0]["sf__Id"], "")

    # Upsert: half of the rows are there already.
    upserts = [
        {"Legacy_Id__c": f"ss-{n}", "Name": f"Upserted {n}"} for n in range(ROWS // 2, ROWS + 225)
    ]
    job = Job(bulk, bulk.upsert(records=upserts, external_id_field="Legacy_Id__c", wait=0), "upsert")
    expect("upsert: failed", job.failed, [])
    created = {row["Legacy_Id__c"] for row in job.succeeded if row["sf__Created"] == "true"}
    expect("upsert: created", created, {f"ss-{n}" for n in range(ROWS, ROWS + 225)})
    updated = [row for row in job.succeeded if row["sf__Created"] == "false"]
    expect("upsert: updated", len(updated), ROWS - ROWS // 2)
    for row in updated:
        expect("upsert: same record", row["sf__Id"], by_key[row["Legacy_Id__c"]]["sf__Id"])

    # Update by id, one of them unknown.
    ids = [by_key[f"ss-{n}"]["sf__Id"] for n in range(100)]
    updates = [{"Id": record, "Industry": "Energy"} for record in ids]
    updates.append({"Id": "001000000000000AAA", "Industry": "Energy"})
    job = Job(bulk, bulk.update(records=updates, wait=0), "update")
    expect("update: ids", {row["sf__Id"] for row in job.succeeded}, set(ids))
    expect("update: created", {row["sf__Created"] for row in job.succeeded}, {"false"})
    expect("update: failed", [row["Id"] for row in job.failed], ["001000000000000AAA"])
    query = sf.query("SELECT COUNT() FROM Account WHERE Industry = 'Energy'")
    expect("update: seen by SOQL", query["totalSize"], 100)

    # Delete.
    deletes = [{"Id": record} for record in ids]
    job = Job(bulk, bulk.delete(records=deletes, wait=0), "delete")
    expect("delete: ids", {row["sf__Id"] for row in job.succeeded}, set(ids))
    left = sf.query_all("SELECT Id, Name, Legacy_Id__c FROM Account WHERE Legacy_Id__c LIKE 'ss-%'")
    expect("delete: left", len(left["records"]), ROWS + 225 - 100)

    # Query jobs: pages by locator, all kinds of text, deleted records.
    soql = ("SELECT Id, Name, AnnualRevenue, Legacy_Id__c, CreatedDate, Owner.Name FROM Account "
            "WHERE Legacy_Id__c LIKE 'ss-%'")
    pages = [list(csv.DictReader(io.StringIO(page, newline="")))
             for page in bulk.query(soql, max_records=100, wait=0)]
    count = ROWS + 225 - 100
    expect("query: pages", [len(page) for page in pages], [100] * 5 + [count - 500])
    found = {row["Legacy_Id__c"]: row for page in pages for row in page}
    expect("query: records", len(found), count)
    expect("query: columns", list(pages[0][0]),
           ["Id", "Name", "AnnualRevenue", "Legacy_Id__c", "CreatedDate", "Owner.Name"])
    expect("query: name", found["ss-150"]["Name"], records[150]["Name"])
    expect("query: E-notation", found["ss-150"]["AnnualRevenue"], "4.580015E7")
    expect("query: parent", found["ss-150"]["Owner.Name"], "System Administrator")
    expect("query: date", found["ss-150"]["CreatedDate"][-5:], ".000Z")
    with tempfile.TemporaryDirectory() as folder:
        files = bulk.download(soql, folder, max_records=400, wait=0)
        expect("download", [file["number_of_records"] for file in files], [400, count - 400])
    everything = "".join(bulk.query_all("SELECT Id, IsDeleted FROM Account WHERE IsDeleted = true",
                                        wait=0))
    deleted = {row["Id"] for row in csv.DictReader(io.StringIO(everything))}
    expect("queryAll: deleted", deleted >= set(ids), True)
    nothing = list(bulk.query("SELECT Id FROM Account WHERE Name = 'nobody'", wait=0))
    expect("query: no records", nothing, ['"Id"\n'])
    try:
        list(bulk.query("SELECT COUNT() FROM Account", wait=0))
        sys.exit("simple-salesforce: COUNT() was not refused")
    except SalesforceMalformedRequest as refusal:
        expect("query: refused", refusal.content[0]["errorCode"], "API_ERROR")

    # Neighbouring resources as this client asks for them.
    expect("describe", sf.Account.describe()["keyPrefix"], "001")
    record = sf.Account.get_by_custom_id("Legacy_Id__c", "ss-300")
    expect("one record", record["Name"], "Upserted 300")
    print("simple-salesforce: insert, upsert, update, delete, their result sets and queries are right")


main()
