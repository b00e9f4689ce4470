"""The job of benches/mapping.sh in Polars: FOLDER/source.csv to FOLDER/polars.csv.

    mapping-polars.py FOLDER [plain]

What a person would write who knows Polars: lazily, streaming, in expressions of
its own wherever there are such. Only the keyed hash has none; it goes value by
value through Python's hmac. With `plain` that is left out.
"""

import hashlib
import hmac
import sys
from pathlib import Path

import polars as pl

KEY = b"a secret for the bench"
folder = Path(sys.argv[1])
plain = sys.argv[2:] == ["plain"]


def text(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars()


def hashed(value: str) -> str:
    return hmac.new(KEY, b"hash\0" + value.encode(), hashlib.sha256).hexdigest()[:32]


def mail() -> pl.Expr:
    lower = text("Mail").str.to_lowercase()
    return lower if plain else lower.map_elements(hashed, return_dtype=pl.String)


def number(column: str) -> pl.Expr:
    plain = text(column).str.strip_chars("€ ").str.replace_all(".", "", literal=True)
    return plain.str.replace(",", ".", literal=True)


def both(one: str, other: str) -> pl.Expr:
    return pl.concat_str([pl.col(one), pl.lit(" "), pl.col(other)]).str.strip_chars()


def instant(column: str) -> pl.Expr:
    local = text(column).str.to_datetime("%d.%m.%Y %H:%M", time_unit="us")

    def there(time: pl.Expr) -> pl.Expr:
        return time.dt.replace_time_zone(
            "Europe/Berlin", ambiguous="earliest", non_existent="null"
        )

    # A time that the zone skips: an hour later.
    found = pl.coalesce(there(local), there(local + pl.duration(hours=1)))
    return found.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")


COUNTRIES = {"D": "Germany", "A": "Austria", "CH": "Switzerland"}
BRANCHES = {
    "MB": "Machinery",
    "BK": "Banking",
    "LM": "Food",
    "IT": "Technology",
    "TR": "Transportation",
}
ACTIVE = {"ja": "true", "nein": "false"}

source = pl.scan_csv(folder / "source.csv", separator=";", infer_schema=False)
owners = pl.scan_csv(folder / "owners.csv", infer_schema=False)

rows = source.with_columns(text("Betreuer").alias("Betreuer")).join(
    owners, left_on="Betreuer", right_on="Code", how="left", maintain_order="left"
)
rows.select(
    F0=text("Nr"),
    F1=both("Firma", "Rechtsform"),
    # In the order of the source's columns, as a mapping sends them.
    F19=text("Firma").str.head(10),
    F2=both("Strasse", "Hausnr"),
    F3=text("PLZ"),
    F4=text("Ort").str.to_uppercase(),
    F5=text("Land").replace_strict(COUNTRIES),
    F6=text("Telefon").str.replace_all(r"[^+0-9]", ""),
    F7=mail(),
    F8=text("Branche").replace_strict(BRANCHES),
    F9=number("Umsatz").cast(pl.Decimal(20, 2)),
    F10=number("Mitarbeiter").cast(pl.Int64),
    F11=number("Rabatt").cast(pl.Decimal(20, 1)).fill_null(0),
    F12=text("Beginn").str.to_date("%d.%m.%Y"),
    F13=instant("Zuletzt"),
    F14=text("Aktiv").str.to_lowercase().replace_strict(ACTIVE, default="false"),
    F15=text("Segmente").str.replace_all(r"\s*,\s*", ";"),
    F16=pl.col("Id"),
    F17=text("Bemerkung")
    .str.replace_all(r"<[^>]*>", "")
    .str.replace_all(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "")
    .str.head(255),
    F18=pl.lit("Customer"),
).sink_csv(folder / "polars.csv", separator=";", maintain_order=True)
