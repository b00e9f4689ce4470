"""Exported files, read by others: pyarrow, DuckDB, Polars and pandas open what
`bulkhaul export` wrote, and every value must be what the org's REST query says.

    python export_test.py PATH/TO/bulkhaul

Starts local orgs of its own. The REST query is read by this script alone, so
nothing of the export vouches for itself.
"""

import csv
import datetime
import decimal
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import requests

BULKHAUL = sys.argv[1]
GENERATED = 5000
EPOCH = datetime.date(1970, 1, 1)
# Java's words of describe, and what they are in the file.
NUMBERS = {"double", "currency", "percent"}
PLAIN = {"boolean": "boolean", "int": "int32", "date": "date", "datetime": "datetime", "time": "time"}
problems = []


def problem(text):
    problems.append(text)
    print(f"export: {text}", file=sys.stderr)


def expect(what, got, wanted):
    if got != wanted:
        problem(f"{what}: got {got!r:.300}, wanted {wanted!r:.300}")


class Org:
    """A local org in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen(
            [BULKHAUL, "local-org", "serve", "--memory", "--port", "0", "--json"],
            stdout=subprocess.PIPE, text=True)
        org = json.loads(self.process.stdout.readline())
        self.url = org["url"]
        self.environment = {
            **os.environ,
            "BULKHAUL_LOGIN_URL": org["url"],
            "BULKHAUL_CLIENT_ID": org["client_id"],
            "BULKHAUL_CLIENT_SECRET": org["client_secret"],
        }
        answer = requests.post(f"{self.url}/services/oauth2/token", data={
            "grant_type": "client_credentials", "client_id": org["client_id"],
            "client_secret": org["client_secret"]}, timeout=30)
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def get(self, path, **parameters):
        answer = requests.get(self.url + path, params=parameters, headers=self.headers, timeout=60)
        answer.raise_for_status()
        # Numbers keep the text they came with.
        return json.loads(answer.content, parse_float=str, parse_int=str)

    def describe(self):
        fields = self.get("/services/data/v66.0/sobjects/Account/describe")["fields"]
        return {field["name"]: field for field in fields
                if field["type"] not in ("address", "location", "base64")}

    def records(self, fields, where=""):
        """What a REST query finds, by Legacy_Id__c."""
        page = self.get("/services/data/v66.0/query",
                        q=f"SELECT {','.join(fields)} FROM Account{where}")
        records = page["records"]
        while not page["done"]:
            page = self.get(page["nextRecordsUrl"])
            records += page["records"]
        return {record["Legacy_Id__c"]: record for record in records}

    def run(self, folder, *arguments, code=0):
        done = subprocess.run(
            [BULKHAUL, *arguments, "--org", "env", "--runs-dir", folder / "runs", "--progress", "none",
             "--yes"], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != code:
            problem(f"{' '.join(map(str, arguments))}: exit {done.returncode}, wanted {code}: "
                    f"{done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done

    def stop(self):
        self.process.terminate()
        self.process.wait()


def kind_of(field, numbers="double", as_text=False, lists=False):
    if as_text:
        return "text"
    if field["type"] in NUMBERS:
        if numbers == "decimal":
            return f"decimal({int(field['precision'])},{int(field['scale'])})"
        return "double"
    if field["type"] == "multipicklist" and lists:
        return "list"
    return PLAIN.get(field["type"], "text")


def milliseconds(clock):
    hour, minute, second = clock.split(":")
    return (int(hour) * 60 + int(minute)) * 60_000 + round(float(second) * 1000)


def value_of(text, kind, field_type=None):
    """A value of a REST answer, or of text, as all readers' values are compared:
    doubles by their bits, days and milliseconds as whole numbers."""
    if text is None:
        return None
    if kind == "double":
        return struct.pack(">d", float(text))
    if kind.startswith("decimal"):
        return decimal.Decimal(text)
    if kind == "boolean":
        return {True: True, False: False, "true": True, "false": False}[text]
    if kind == "int32":
        return int(text)
    if kind == "date":
        return (datetime.date.fromisoformat(text) - EPOCH).days
    if kind == "datetime":
        days = (datetime.date.fromisoformat(text[:10]) - EPOCH).days
        if text[23:] not in ("Z", "+0000"):
            raise ValueError(text)
        return days * 86_400_000 + milliseconds(text[11:23])
    if kind == "time":
        return milliseconds(text.rstrip("Z"))
    if kind == "list":
        return text.split(";")
    return text


def text_of(value, field_type):
    """A value of a REST answer for a file of text: numbers by their value,
    instants with the bulk results' Z."""
    if value is None:
        return None
    if field_type in NUMBERS:
        return value_of(value, "double")
    if field_type == "datetime":
        return value_of(value, "datetime")
    if field_type == "boolean":
        return {True: "true", False: "false"}.get(value, value)
    return value


def files_of(folder, ending):
    return sorted(str(path) for path in pathlib.Path(folder).rglob(f"*{ending}"))


def by_pyarrow(files):
    table = pyarrow.concat_tables([pyarrow.parquet.read_table(file) for file in files])
    columns, kinds = {}, {}
    for name in table.column_names:
        column, of = table.column(name), table.column(name).type
        if pyarrow.types.is_dictionary(of):
            problem(f"pyarrow: {name} is a dictionary")
        kind = {
            pyarrow.string(): "text", pyarrow.bool_(): "boolean", pyarrow.int32(): "int32",
            pyarrow.float64(): "double", pyarrow.date32(): "date",
            pyarrow.timestamp("ms", tz="UTC"): "datetime", pyarrow.time32("ms"): "time",
        }.get(of)
        if kind is None and pyarrow.types.is_decimal128(of):
            kind = f"decimal({of.precision},{of.scale})"
        if kind is None and pyarrow.types.is_list(of) and of.value_type == pyarrow.string():
            kind = "list"
        kinds[name] = kind or str(of)
        if kind in ("date", "time"):
            column = column.cast(pyarrow.int32())
        if kind == "datetime":
            column = column.cast(pyarrow.int64())
        columns[name] = column.to_pylist()
    return kinds, columns


def by_duckdb(files):
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    described = database.execute("DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [files]).fetchall()
    columns, kinds = {}, {}
    for name, of, *_ in described:
        kind = {
            "VARCHAR": "text", "BOOLEAN": "boolean", "INTEGER": "int32", "DOUBLE": "double",
            "DATE": "date", "TIMESTAMP WITH TIME ZONE": "datetime", "TIME": "time",
            "TIME WITH TIME ZONE": "time", "VARCHAR[]": "list",
        }.get(of, of.lower())
        kinds[name] = kind
        wanted = {
            "date": f"date_diff('day', DATE '1970-01-01', \"{name}\")",
            "datetime": f'epoch_ms("{name}")',
            "time": f'CAST("{name}" AS TIME)::VARCHAR',
        }.get(kind, f'"{name}"')
        found = database.execute(f"SELECT {wanted} FROM read_parquet(?, hive_partitioning = false)", [files]).fetchall()
        columns[name] = [milliseconds(value) if kind == "time" and value is not None else value
                         for (value,) in found]
    return kinds, columns


def by_polars(files):
    frame = polars.concat([polars.read_parquet(file) for file in files])
    columns, kinds = {}, {}
    for name, of in frame.schema.items():
        kind = {
            polars.String: "text", polars.Boolean: "boolean", polars.Int32: "int32",
            polars.Float64: "double", polars.Date: "date", polars.Time: "time",
        }.get(of.base_type())
        if of == polars.Datetime("ms", "UTC"):
            kind = "datetime"
        if isinstance(of, polars.Decimal):
            kind = f"decimal({of.precision},{of.scale})"
        if of == polars.List(polars.String):
            kind = "list"
        kinds[name] = kind or str(of)
        column = frame[name]
        if kind in ("date", "datetime", "time"):
            column = column.to_physical()
        columns[name] = column.to_list()
        if kind == "time":  # nanoseconds
            columns[name] = [value and value // 1_000_000 for value in columns[name]]
    return kinds, columns


def by_pandas(files):
    """Of what pandas makes of it only its text, numbers and flags are asked;
    its days and instants go through pyarrow's types, so that all years fit."""
    frame = pandas.concat([pandas.read_parquet(file, dtype_backend="pyarrow") for file in files])
    columns, kinds = {}, {}
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    with tempfile.TemporaryDirectory() as folder:
        again = os.path.join(folder, "again.parquet")
        pyarrow.parquet.write_table(table, again)
        kinds, columns = by_pyarrow([again])
    return kinds, columns


READERS = {"pyarrow": by_pyarrow, "DuckDB": by_duckdb, "Polars": by_polars, "pandas": by_pandas}


def compare(what, names, kinds, columns, wanted_kinds, wanted, fields):
    """Types, counts of rows and nulls, and every value."""
    expect(f"{what}: columns", list(columns), names)
    if list(columns) != names:
        return
    keys = columns["Legacy_Id__c"]
    expect(f"{what}: records", sorted(keys), sorted(wanted))
    if sorted(keys) != sorted(wanted):
        return
    for name in names:
        expect(f"{what}: type of {name}", kinds[name], wanted_kinds[name])
        nulls = sum(value is None for value in columns[name])
        expect(f"{what}: nulls of {name}", nulls,
               sum(record[name] is None for record in wanted.values()))
        told = 0
        for key, value in zip(keys, columns[name]):
            kind = wanted_kinds[name]
            if kind == "text" and fields[name]["type"] not in ("string", "textarea"):
                of = fields[name]["type"]
                want, got = text_of(wanted[key][name], of), text_of(value, of)
            else:
                want = value_of(wanted[key][name], kind)
                got = struct.pack(">d", value) if kind == "double" and value is not None else value
            if got != want and told < 3:
                told += 1
                problem(f"{what}: {name} of {key}: got {got!r:.120}, wanted {want!r:.120} "
                        f"(the org says {wanted[key][name]!r:.60})")


def traps():
    """Accounts whose values are hard to carry. Those of `fit-` also fit the
    decimals of their fields."""
    long = "".join(chr(97 + n % 26) for n in range(131_072 - 8)) + "\n\"end\"é\u00e4"
    rows = [
        ("fit-15-digits", {"AnnualRevenue": "123456789012345", "Score__c": "12345678901.2345"}),
        ("fit-negative", {"AnnualRevenue": "-987654321098765", "Score__c": "-0.0001"}),
        ("fit-zero", {"AnnualRevenue": "0", "Score__c": "0.0", "NumberOfEmployees": "0"}),
        ("fit-e", {"AnnualRevenue": "1.0E7", "Score__c": "1e-4", "Discount__c": "1e1"}),
        ("fit-tenth", {"Score__c": "0.1", "Discount__c": "0.3"}),
        ("fit-nothing", {}),
        ("fit-int", {"NumberOfEmployees": "99999999"}),
        ("fit-int-least", {"NumberOfEmployees": "-99999999"}),
        ("fit-number-key", {"External_No__c": "999999999999999"}),
        ("fit-true", {"Active__c": "true"}),
        ("minus-zero", {"AnnualRevenue": "-0.0", "Score__c": "-0"}),
        ("many-digits", {"AnnualRevenue": "123456789012345678", "External_No__c": "123456789012345679",
                         "BillingLatitude": "52.123456789012345", "BillingLongitude": "-13.98765432109876"}),
        ("small", {"Score__c": "1e-5", "Discount__c": "0.30000000000000004"}),
        ("smallest", {"Score__c": "4.9E-324"}),
        ("old", {"Contract_Start__c": "1700-01-01", "Last_Audit__c": "1700-01-01T00:00:00.000Z"}),
        ("before-1900", {"Contract_Start__c": "1899-12-31", "Last_Audit__c": "1899-12-31T23:59:59.000Z"}),
        ("before-1970", {"Contract_Start__c": "1969-12-31", "Last_Audit__c": "1969-12-31T23:59:59.000Z"}),
        ("epoch", {"Contract_Start__c": "1970-01-01", "Last_Audit__c": "1970-01-01T00:00:00.000Z"}),
        ("leap", {"Contract_Start__c": "2000-02-29", "Last_Audit__c": "2000-02-29T12:00:00.000+05:30"}),
        ("after-2262", {"Contract_Start__c": "2262-04-12", "Last_Audit__c": "2262-04-12T00:00:00.000Z"}),
        ("last-year", {"Contract_Start__c": "4000-12-31", "Last_Audit__c": "4000-12-31T23:59:59.000Z"}),
        ("midnight", {"Opening_Time__c": "00:00:00.000Z"}),
        ("last-moment", {"Opening_Time__c": "23:59:59.999Z"}),
        ("emoji", {"Description": "😀👩‍👩‍👧‍👦🇩🇪 e\u0301 \U0010ffff \ufeff \u2028", "BillingCity": "Zürich 日本"}),
        ("lines", {"Description": "one\ntwo\n\nthree\n", "BillingStreet": "Main \"Street\"\n\n2, rear"}),
        ("quotes", {"Description": '"', "BillingStreet": '""",""', "BillingCity": "a,b;c\td"}),
        ("blanks", {"Description": "  around  ", "BillingCity": " \u00a0x\u00a0 "}),
        ("words", {"Description": "null", "BillingCity": "NULL", "Sic": "NaN", "Site": "#NA"}),
        ("formula", {"Description": "=1+1", "BillingCity": "\\N", "Site": "\\"}),
        ("long", {"Notes__c": long}),
        ("long-too", {"Notes__c": "é" * 131_072}),
        ("one-segment", {"Segments__c": None}),
        ("more-segments", {"Segments__c": None}),
        ("control", {"Description": "a\x01b\x7fc"}),
    ]
    return rows


def main():
    # Decimals of 38 digits are compared exactly.
    decimal.getcontext().prec = 60
    csv.field_size_limit(1 << 24)
    with tempfile.TemporaryDirectory(prefix="bulkhaul-export-test") as name:
        folder = pathlib.Path(name)
        orgs = [Org()]
        try:
            test(folder, orgs)
        finally:
            for org in orgs:
                org.stop()
    if problems:
        sys.exit(f"export: {len(problems)} mismatches")
    print(f"export: pyarrow {pyarrow.__version__}, DuckDB {duckdb.__version__}, Polars "
          f"{polars.__version__} and pandas {pandas.__version__} read what the org holds")


def ingest(org, line_end, data):
    jobs = f"{org.url}/services/data/v66.0/jobs/ingest"
    job = requests.post(jobs, json={"object": "Account", "operation": "insert", "lineEnding": line_end},
                        headers=org.headers, timeout=30).json()["id"]
    requests.put(f"{jobs}/{job}/batches", headers={**org.headers, "Content-Type": "text/csv"}, timeout=30,
                 data=data).raise_for_status()
    requests.patch(f"{jobs}/{job}", json={"state": "UploadComplete"}, headers=org.headers,
                   timeout=30).raise_for_status()
    while True:
        info = org.get(f"/services/data/v66.0/jobs/ingest/{job}")
        if info["state"] in ("JobComplete", "Failed", "Aborted"):
            break
        time.sleep(0.05)
    expect("ingest", (info["state"], info["numberRecordsFailed"]), ("JobComplete", "0"))


def load_traps(org, folder, fields):
    picks = [value["value"] for value in fields["Segments__c"]["picklistValues"]]
    rows = []
    for key, values in traps():
        if key == "one-segment":
            values = {"Segments__c": picks[0]}
        if key == "more-segments":
            values = {"Segments__c": ";".join(picks[:3])}
        rows.append({"Name": key, "Legacy_Id__c": key, **values})
    columns = list(dict.fromkeys(column for row in rows for column in row))
    file = folder / "traps.csv"
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, columns, quoting=csv.QUOTE_ALL, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
    org.run(folder, "load", file, "--object", "Account", "--operation", "insert")
    # By jobs of the script's own: a NUL, and line ends that a load makes those
    # of its file (it says so in a note).
    ingest(org, "LF", b'Name,Legacy_Id__c,Description\n"nul","nul","a\0b"\n')
    ingest(org, "CRLF", b'Name,Legacy_Id__c,Description\r\n"line-ends","line-ends","a\r\nb\r\n"\r\n')
    generated = folder / "generated.csv"
    subprocess.run([BULKHAUL, "generate", "--object", "Account", "--rows", str(GENERATED), "--quiet",
                    "--out", generated, "--columns", "common"], check=True)
    org.run(folder, "load", generated, "--object", "Account", "--operation", "upsert",
            "--external-id", "Legacy_Id__c")


def parquet(org, folder, what, flags, names, fields, wanted, code=0, readers=READERS, **types):
    out = folder / what.replace(" ", "-")
    org.run(folder, "export", "--object", "Account", "--out", out, *flags, code=code)
    return same(out, what, names, fields, wanted, readers, **types)


def same(out, what, names, fields, wanted, readers=READERS, **types):
    """Whether all readers find in an archive what the org holds."""
    files = files_of(out, ".parquet")
    expect(f"{what}: has files", bool(files), True)
    if not files:
        return files
    kinds_wanted = {name: kind_of(fields[name], **types) for name in names}
    for reader, read in readers.items():
        try:
            kinds, columns = read(files)
        except Exception as error:  # noqa: BLE001  whatever a reader chokes on is a finding
            problem(f"{what}: {reader} can't read it: {error!r:.600}")
            continue
        compare(f"{what}: {reader}", names, kinds, columns, kinds_wanted, wanted, fields)
    return files


def text_files(org, folder, what, ending, flags, names, fields, wanted):
    out = folder / what.replace(" ", "-")
    org.run(folder, "export", "--object", "Account", "--out", out, *flags)
    files = files_of(out, ending)
    expect(f"{what}: has files", bool(files), True)
    text = b"".join(pyarrow.input_stream(file, compression=flags[-1]).read() for file in files).decode()
    if "csv" in what:
        # The module stumbles over NUL in older Pythons.
        reader = csv.reader(io.StringIO(text.replace("\0", "\ue000"), newline=""))
        table = [[cell.replace("\ue000", "\0") or None for cell in row] for row in reader]
        expect(f"{what}: header", table[0], names)
        found = [dict(zip(names, row)) for row in table[1:]]
        kinds = dict.fromkeys(names, "text")
        columns = {name: [record[name] for record in found] for name in names}
        compare(what, names, kinds, columns, kinds, wanted, fields)
        return
    found = [json.loads(line, parse_float=str, parse_int=str) for line in text.split("\n") if line]
    kinds = {name: kind_of(fields[name]) for name in names}
    columns = {}
    for name in names:
        values = [record.get(name) for record in found]
        columns[name] = [value_of(value, kinds[name]) for value in values]
        if kinds[name] == "double":
            columns[name] = [value and struct.unpack(">d", value)[0] for value in columns[name]]
    compare(what, names, kinds, columns, kinds, wanted, fields)


def partitions(org, folder, names, fields, wanted):
    """Folders by a picklist: each reader makes a column of them by itself."""
    parquet(org, folder, "partitioned", ["--partition-by", "Industry"], names, fields, wanted)
    out = folder / "partitioned" / "Account"
    expected = {}
    for record in wanted.values():
        expected[record["Industry"]] = expected.get(record["Industry"], 0) + 1
    found = {}
    rows = duckdb.execute(
        "SELECT by_Industry, count(*) FROM read_parquet(?, hive_partitioning = true) GROUP BY 1",
        [f"{out}/*/*.parquet"]).fetchall()
    found["DuckDB"] = dict(rows)
    table = pyarrow.dataset.dataset(out, format="parquet", partitioning="hive",
                                    exclude_invalid_files=True).to_table(columns=["by_Industry"])
    found["pyarrow"] = {}
    for value in table["by_Industry"].to_pylist():
        found["pyarrow"][value] = found["pyarrow"].get(value, 0) + 1
    frame = polars.scan_parquet(f"{out}/*/*.parquet", hive_partitioning=True)
    frame = frame.group_by("by_Industry").len().collect()
    found["Polars"] = dict(frame.iter_rows())
    for reader, counts in found.items():
        counts = {None if value == "__HIVE_DEFAULT_PARTITION__" else value: n for value, n in counts.items()}
        expect(f"partitions: {reader}", counts, expected)


def increments(org, folder, names, fields):
    """A full export, what changed since, and the snapshot of both."""
    archive, snapshot = folder / "increments", folder / "snapshot"
    org.run(folder, "export", "--object", "Account", "--out", archive, "--append")
    changes = folder / "changes.csv"
    with open(changes, "w", encoding="utf-8") as file:
        file.write("Legacy_Id__c,Name,AnnualRevenue\n")
        file.writelines(f"L-{row:012},changed {row} \U0001F600,{row}.5\n" for row in range(20))
        file.writelines(f"new-{row},new {row},\n" for row in range(5))
    org.run(folder, "load", changes, "--object", "Account", "--operation", "upsert",
            "--external-id", "Legacy_Id__c")
    org.run(folder, "export", "--object", "Account", "--out", archive, "--since", "last", "--deleted")
    org.run(folder, "compact", archive, "--out", snapshot)
    same(snapshot, "snapshot", names, fields, org.records(names))


def test(folder, orgs):
    org = orgs[0]
    fields = org.describe()
    load_traps(org, folder, fields)
    names = [name for name, field in fields.items() if not field["calculated"]]
    wanted = org.records(names)
    expect("records in the org", len(wanted), len(traps()) + 2 + GENERATED)
    # The traps must be in the org, else nothing is shown.
    for key, values in traps():
        for name, value in values.items():
            if value is not None and fields[name]["type"] in ("string", "textarea"):
                expect(f"the org's {name} of {key}", wanted[key][name], value)
    expect("the org's NUL", wanted["nul"]["Description"], "a\0b")
    expect("the org's line ends", wanted["line-ends"]["Description"], "a\r\nb\r\n")

    files = parquet(org, folder, "default", [], names, fields, wanted)
    expect("default: files", len(files), 1)
    parquet(org, folder, "as text", ["--as-text"], names, fields, wanted, as_text=True)
    parquet(org, folder, "lists", ["--lists"], names, fields, wanted, lists=True)
    files = parquet(org, folder, "several files", ["--file-size", "100000", "--row-group", "1000"],
                    names, fields, wanted)
    expect("several files: more than one", len(files) > 1, True)
    files = parquet(org, folder, "row groups", ["--row-group", "1000", "--bloom"], names, fields, wanted)
    groups = [pyarrow.parquet.ParquetFile(file).num_row_groups for file in files]
    expect("row groups: more than one", sum(groups) > 1, True)
    if files:
        # A bloom filter that lied would hide records.
        database = duckdb.connect()
        for record in list(wanted.values())[::100]:
            count = database.execute("SELECT count(*) FROM read_parquet(?) WHERE Id = ?",
                                     [files, record["Id"]]).fetchone()[0]
            expect(f"bloom: {record['Id']}", count, 1)
    where = "Legacy_Id__c LIKE 'fit-%'"
    some = org.records(names, f" WHERE {where}")
    expect("decimals: records", len(some), sum(key.startswith("fit-") for key, _ in traps()))
    parquet(org, folder, "decimals", ["--numbers", "decimal", "--where", where], names, fields, some,
            numbers="decimal")
    # Digits beyond the field's scale are told, not rounded.
    org.run(folder, "export", "--object", "Account", "--out", folder / "refused", "--numbers", "decimal",
            "--where", "Legacy_Id__c = 'small'", code=3)
    parquet(org, folder, "no records", ["--where", "Name = 'nobody'"], names, fields, {})
    text_files(org, folder, "csv zstd", ".csv.zst", ["--format", "csv", "--zip", "zstd"],
               names, fields, wanted)
    text_files(org, folder, "jsonl gzip", ".jsonl.gz", ["--format", "jsonl", "--zip", "gzip"],
               names, fields, wanted)

    partitions(org, folder, names, fields, wanted)
    parquet(org, folder, "split", ["--split", "3"], names, fields, wanted)

    # Round trip: what can be loaded, into a second org and out of it again.
    loadable = [name for name in names
                if fields[name]["createable"] and fields[name]["type"] not in ("reference", "id")]
    chosen = ["--fields", ",".join(loadable)]
    # A load makes all line ends those of its file, refuses a NUL, and writes a
    # zero of a Parquet file as 0.
    where = ["--where", "Legacy_Id__c NOT IN ('line-ends', 'nul', 'minus-zero')"]
    kept = {key: record for key, record in wanted.items() if key not in ("line-ends", "nul", "minus-zero")}
    only = {"pyarrow": by_pyarrow}
    (first,) = parquet(org, folder, "round trip", chosen + where, loadable, fields, kept,
                       readers=only) or [None]
    if first:
        orgs.append(Org())
        second = orgs[1]
        second.run(folder, "load", first, "--object", "Account", "--operation", "upsert",
                   "--external-id", "Legacy_Id__c")
        parquet(second, folder, "round trip again", chosen, loadable, fields, kept, readers=only)
    increments(org, folder, names, fields)


main()
