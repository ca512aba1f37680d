"""Reads a Delta table with deltalake, polars and duckdb, and compares rows and types.

Usage: delta_readers.py TABLE_FOLDER EXPECTED [TABLE_FOLDER EXPECTED ...]
EXPECTED is a file of Arrow (.arrow), or of JSON: {"types": {column: arrow type},
"rows": [[...], ...]}. Prints one line of JSON a table; fails where any two readers, or a reader and
the file, differ.
"""

import hashlib
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
    return sorted([list(row) for row in zip(*columns)], key=written)


def written(row: list) -> str:
    """One spelling of a row; floats are written so that no bit is lost."""
    return json.dumps(row, default=lambda time: time.isoformat())


def types(table: pa.Table) -> dict[str, str]:
    return {name: str(table.schema.field(name).type) for name in table.column_names}


def expectation(path: str) -> dict:
    if path.endswith(".arrow"):
        table = pa.ipc.open_file(path).read_all()
        table = plain(table, table.column_names)
        return {"types": types(table), "rows": rows(table)}
    with open(path, encoding="utf-8") as file:
        expected = json.load(file)
    return {**expected, "rows": sorted(expected["rows"], key=written)}


def check(folder: str, expected: dict) -> list[str]:
    names = list(expected["types"])
    delta = deltalake.DeltaTable(folder)
    read = {
        "deltalake": pa.table(delta.to_pyarrow_table()) if hasattr(delta, "to_pyarrow_table") else None,
        "polars": polars.read_delta(folder).to_arrow(),
    }
    uris = delta.file_uris()
    if uris:  # duckdb reads no empty list of files
        query = f"SELECT * FROM read_parquet({uris!r})"
        read["duckdb"] = duckdb.connect().execute(query).to_arrow_table()
    wanted = checksum(expected["rows"])
    problems = []
    for reader, table in read.items():
        if sorted(table.column_names) != sorted(names):
            problems.append(f"{folder}: {reader}: columns {table.column_names}, expected {names}")
            continue
        table = plain(table, names)
        if types(table) != expected["types"]:
            problems.append(f"{folder}: {reader}: types {types(table)}, expected {expected['types']}")
        count, found = table.num_rows, checksum(rows(table))
        if (count, found) != (len(expected["rows"]), wanted):
            problems.append(
                f"{folder}: {reader}: {count} rows, checksum {found}; "
                f"written were {len(expected['rows'])}, {wanted}"
            )
    print(json.dumps({"readers": sorted(read), "rows": len(expected["rows"]), "checksum": wanted}))
    return problems


def checksum(of: list[list]) -> str:
    digest = hashlib.sha256()
    for row in of:
        digest.update(written(row).encode() + b"\n")
    return digest.hexdigest()[:16]

problems = []
for folder, path in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    problems += check(folder, expectation(path))
if problems:
    sys.exit("\n".join(problems))
