"""Reads a Delta table with deltalake, polars and duckdb, and compares rows and types.

Usage: delta_readers.py TABLE_FOLDER EXPECTED_JSON
EXPECTED_JSON holds {"types": {column: arrow type}, "rows": [[...], ...]} in key order.
Prints one line of JSON; fails where any two readers, or a reader and the file, differ.
"""

import json
import sys

import deltalake
import duckdb
import polars
import pyarrow as pa


def plain(table: pa.Table, names: list[str]) -> pa.Table:
    """One spelling of each type: large and view types are the same values."""
    fields = []
    for name in names:
        kind = table.schema.field(name).type
        fields.append(pa.field(name, simple(kind)))
    return table.select(names).cast(pa.schema(fields))


def simple(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(pa.field("element", simple(kind.value_type)))
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit, "UTC") if kind.tz else kind
    return kind


def rows(table: pa.Table) -> list[list]:
    columns = [table.column(name).to_pylist() for name in table.column_names]
    return sorted([list(row) for row in zip(*columns)], key=lambda row: row[:2])


folder, expected_path = sys.argv[1:]
with open(expected_path, encoding="utf-8") as file:
    expected = json.load(file)
names = list(expected["types"])

delta = deltalake.DeltaTable(folder)
read = {
    "deltalake": pa.table(delta.to_pyarrow_table()) if hasattr(delta, "to_pyarrow_table") else None,
    "polars": polars.read_delta(folder).to_arrow(),
}
uris = delta.file_uris()
query = f"SELECT * FROM read_parquet({uris!r})"
read["duckdb"] = duckdb.connect().execute(query).to_arrow_table()

problems = []
for reader, table in read.items():
    table = plain(table, names)
    types = {name: str(table.schema.field(name).type) for name in names}
    if types != expected["types"]:
        problems.append(f"{reader}: types {types}, expected {expected['types']}")
    if rows(table) != expected["rows"]:
        problems.append(f"{reader}: {table.num_rows} rows differ from the {len(expected['rows'])} written")
if problems:
    sys.exit("\n".join(problems))
print(json.dumps({"readers": sorted(read), "rows": len(expected["rows"])}))
