"""Downloaded pages of accounts to Parquet, as DuckDB or Polars does it.

    python convert.py duckdb|polars PAGES_FOLDER OUT.parquet

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
