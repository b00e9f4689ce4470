"""Downloaded pages of accounts to Parquet, as DuckDB or Polars does it.

    python convert.py duckdb|polars PAGES_FOLDER OUT.parquet
    python convert.py same FILE.parquet...      whether all hold the same

Of benches/export.sh: the same types, zstd level 3 and row groups of 250,000
records as an export has by default; 2 threads.
"""

import glob
import os
import sys

KINDS = {"AnnualRevenue": "double", "NumberOfEmployees": "int", "Active__c": "boolean",
         "Last_Audit__c": "datetime", "Score__c": "double"}
ROW_GROUP = 250_000
THREADS = int(os.environ.get("THREADS", "2"))


def same(files):
    """Nulls, distinct values and a digest of each column, of each file."""
    import duckdb

    database = duckdb.connect(config={"threads": THREADS})
    database.execute("SET TimeZone = 'UTC'")
    found = {}
    for file in files:
        what = database.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()
        rows = database.execute(f"SELECT count(*) FROM '{file}'").fetchone()
        columns = []
        for name, kind, *_ in what:
            # Of instants some keep micro- and some milliseconds.
            kind = "TIMESTAMPTZ" if kind.startswith("TIMESTAMP") else kind
            value = f'"{name}"::{kind}'
            columns.append((name, kind) + database.execute(
                f"SELECT count({value}), sum(hash({value})::HUGEINT) FROM '{file}'").fetchone())
        found[file] = (rows, columns)
    first = found[files[0]]
    for file in files[1:]:
        for a, b in zip(first[1], found[file][1]):
            if a != b:
                sys.exit(f"{files[0]} has {a}, {file} has {b}")
        if first[0] != found[file][0]:
            sys.exit(f"{files[0]} has {first[0]} records, {file} {found[file][0]}")
    print(f"all files hold the same {first[0][0]} records in {len(first[1])} columns")


if sys.argv[1] == "same":
    same(sys.argv[2:])
    sys.exit()
which, folder, out = sys.argv[1:]
pages = sorted(glob.glob(f"{folder}/*.csv"))
with open(pages[0], encoding="utf-8") as page:
    names = [name.strip('"') for name in page.readline().strip().split(",")]

if which == "duckdb":
    import duckdb

    words = {"double": "DOUBLE", "int": "INTEGER", "boolean": "BOOLEAN", "datetime": "TIMESTAMPTZ"}
    columns = {name: words.get(KINDS.get(name), "VARCHAR") for name in names}
    database = duckdb.connect(config={"threads": THREADS})
    database.execute("SET TimeZone = 'UTC'")
    # An empty cell in quotes is null, as in the export.
    database.execute(
        f"""COPY (SELECT * FROM read_csv(?, header = true, columns = {columns}, quote = '"',
            escape = '"', delim = ',', nullstr = '', allow_quoted_nulls = true, auto_detect = false))
            TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3,
            ROW_GROUP_SIZE {ROW_GROUP})""", [pages])
else:
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars

    # Instants are read as text and parsed by their format; no reader of CSV
    # there takes the milliseconds and the zone at once.
    words = {"double": polars.Float64, "int": polars.Int32, "boolean": polars.Boolean}
    schema = {name: words.get(KINDS.get(name), polars.String) for name in names}
    frame = polars.scan_csv(pages, schema=schema, null_values="")
    frame = frame.with_columns(
        polars.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC")
        for name, kind in KINDS.items() if kind == "datetime" and name in names)
    frame.sink_parquet(out, compression="zstd", compression_level=3, row_group_size=ROW_GROUP)
