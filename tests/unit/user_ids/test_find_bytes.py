"""The search for planted texts finds them in whatever they were packed."""

import gzip
import json
import sqlite3
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PLANTED = "Kunde-7f3a9c41"


def _parquet(folder):
    nested = pa.array([[{"label": PLANTED}]], pa.list_(pa.struct([("label", pa.string())])))
    pq.write_table(pa.table({"a": nested}), folder / "x.parquet", compression="zstd")


def _map(folder):
    rows = pa.array([[("mail", PLANTED)]], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"a": rows}), folder / "x.parquet", compression="lz4")


def _gzip(folder):
    (folder / "x.json.gz").write_bytes(gzip.compress(json.dumps({"user": PLANTED}).encode()))


def _lz4(folder):
    with pa.CompressedOutputStream(pa.OSFile(str(folder / "x"), "wb"), "lz4") as stream:
        stream.write(PLANTED.encode() * 9)


def _parquet_in_zip(folder):
    _parquet(folder)
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "x.parquet", "inner/x.parquet")
    (folder / "x.parquet").unlink()


def _database(folder):
    with sqlite3.connect(folder / "x.db") as database:
        database.execute("CREATE TABLE xcom (value BLOB)")
        database.execute("INSERT INTO xcom VALUES (?)", [gzip.compress(PLANTED.encode())])


def _numpy(folder):
    np.save(folder / "x.npy", np.array([PLANTED]))


def _name(folder):
    (folder / f"{PLANTED}.txt").write_text("")


def _feather(folder):
    with pa.ipc.new_file(
        folder / "x.arrow", pa.schema([("a", pa.string())]), options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as file:
        file.write_table(pa.table({"a": [PLANTED] * 50}))


@pytest.mark.parametrize("pack", [_parquet, _map, _gzip, _lz4, _parquet_in_zip, _database, _numpy, _name, _feather])
def test_a_planted_text_is_found(find_bytes, tmp_path, pack):
    pack(tmp_path)
    assert find_bytes(tmp_path, [PLANTED.upper()])
    assert find_bytes(tmp_path, ["Kunde-000"]) == []


def test_numbers_are_found_and_folders_are_left_out(find_bytes, tmp_path):
    (tmp_path / "landing").mkdir()
    pq.write_table(pa.table({"a": [987654321], "b": [123456789.0]}), tmp_path / "landing" / "x.parquet")
    assert find_bytes(tmp_path, ["987654321"]) == []
    assert len(find_bytes(tmp_path, ["987654321", "123456789"], leave_out=())) >= 2
