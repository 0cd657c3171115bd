"""Data sets over REST: formats, types, missing values, versions, previews, faults with their place."""

import gzip
import io
import string
import struct
import threading

import numpy
import pytest


def idx(array):
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    header = bytes([0, 0, codes[array.dtype.name], array.ndim])
    header += b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npy(array):
    stream = io.BytesIO()
    numpy.save(stream, array)
    return stream.getvalue()


def columns(document):
    return {column["name"]: column for column in document["columns"]}


TABLE = b"\xef\xbb\xbfsize;ok;\"the kind\"\r\n1.5;TRUE;a\r\nNA;false;\"b;\nc\"\r\n\r\n-2;;?\r\n"


def test_a_table(client):
    document = client.put("datasets/t", TABLE, expect=201).json()
    assert (document["name"], document["version"], document["rows"]) == ("t", 1, 3)
    by_name = columns(document)
    assert list(by_name) == ["size", "ok", "the kind"]
    size = by_name["size"]
    assert (size["type"], size["missing"], size["distinct"]) == ("numeric", 1, 2)
    assert (size["minimum"], size["maximum"], size["mean"]) == (-2, 1.5, -0.25)
    assert (by_name["ok"]["type"], by_name["ok"]["missing"]) == ("boolean", 1)
    kind = by_name["the kind"]
    assert (kind["type"], kind["missing"]) == ("categorical", 1)
    assert kind["categories"] == ["a", "b;\nc"]
    rows = client.get("datasets/t/rows", query={"limit": 10}).json()
    assert rows["columns"] == ["size", "ok", "the kind"]
    assert rows["rows"] == [[1.5, True, "a"], [None, False, "b;\nc"], [-2, None, None]]
    assert client.get("datasets/t/rows", query={"limit": 1}).json()["rows"] == [[1.5, True, "a"]]


def test_numbers_survive_exactly(client):
    texts = ["0.1", "1e-320", "1.7976931348623157e308", "123456789012345678", "-0.30000000000000004"]
    client.put("datasets/t", ("x\n" + "\n".join(texts) + "\n").encode())
    rows = client.get("datasets/t/rows", query={"limit": 10}).json()["rows"]
    assert [row[0] for row in rows] == [float(text) for text in texts]


def test_gzip_and_versions(client):
    first = client.put("datasets/t", b"a,b\n1,2\n", expect=201).json()
    assert client.put("datasets/t", gzip.compress(b"a,b\n1,2\n"), expect=200).json() == first
    halves = gzip.compress(b"a,b\n1") + gzip.compress(b",3\n")
    second = client.put("datasets/t", halves, expect=201).json()
    assert second["version"] == 2 and second["sha256"] != first["sha256"]
    assert [v["version"] for v in client.get("datasets/t").json()["versions"]] == [2, 1]
    assert client.put("datasets/t", b"a,b\n1,2\n", expect=201).json()["version"] == 3


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx_columns(client, dtype):
    array = (numpy.arange(24).reshape(2, 3, 4) - (0 if dtype == "uint8" else 12)).astype(dtype)
    document = client.put("datasets/m/columns/images", idx(array), expect=201).json()
    column = document["columns"][0]
    assert (column["type"], column["element"], column["shape"]) == ("tensor", dtype, [3, 4])
    assert (column["minimum"], column["maximum"]) == (array.min(), array.max())
    assert column["mean"] == array.mean()
    assert client.get("datasets/m/rows", query={"limit": 2}).json()["rows"] == [
        [row] for row in array.tolist()]


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<i2", ">i4", "<i8", "<f4", ">f8"])
def test_npy_columns(client, dtype):
    array = numpy.array([1, 0, 1]).astype(dtype)
    document = client.put("datasets/m/columns/y", npy(array), expect=201).json()
    assert document["columns"][0]["type"] == ("boolean" if dtype == "?" else "numeric")
    assert client.get("datasets/m/rows", query={"limit": 5}).json()["rows"] == [
        [value] for value in array.tolist()]
    # A whole data set from one array has the column "values".
    document = client.put("datasets/whole", npy(array), query={"format": "npy"}, expect=201).json()
    assert list(columns(document)) == ["values"]


def test_columns_keep_each_other(client):
    client.put("datasets/m/columns/images", idx(numpy.zeros((5, 2), "uint8")), expect=201)
    labels = idx(numpy.arange(5).astype("uint8"))
    document = client.put("datasets/m/columns/labels", labels, expect=201).json()
    assert list(columns(document)) == ["images", "labels"]
    assert client.put("datasets/m/columns/labels", labels, expect=200).json() == document
    document = client.put("datasets/m/columns/images", idx(numpy.ones((5, 3), "uint8"))).json()
    assert list(columns(document)) == ["images", "labels"]
    assert columns(document)["images"]["shape"] == [3]


def test_two_columns_at_once(client, daemon):
    def put(name):
        rest = type(client)(daemon)
        statuses[name] = rest.put(f"datasets/m/columns/{name}", idx(numpy.zeros(3, "uint8"))).status_code
    statuses = {}
    threads = [threading.Thread(target=put, args=(f"c{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {f"c{i}": 201 for i in range(6)}
    assert set(columns(client.get("datasets/m").json())) == set(statuses)


def test_unequal_lengths_are_refused_at_the_job(client):
    client.put("datasets/m/columns/x", idx(numpy.zeros((5, 2), "uint8")))
    client.put("datasets/m/columns/y", idx(numpy.arange(4).astype("uint8")))
    assert client.get("datasets/m").json()["rows"] == 4
    client.problem("POST", "jobs", 409, json={"data": {"dataset": "m", "target": "y"}})


FAULTS = [
    (b"", "empty"),
    (b"a,b\n", "no rows"),
    (b"a,b\n1,2\n3\n", "line 3"),
    (b"a,b\n1,2,3\n", "line 2"),
    (b"a,a\n1,2\n", "\"a\" comes twice"),
    (b"a,\n1,2\n", "line 1, column 2"),
    (b"a,b\n1,\"2\n", "never closed"),
    (b"a,b\n1,\"2\"x\n", "after the closing quote"),
    (b"a,b\n1,\x00\n", "NUL"),
    (b"a,b\n1,\xff\n", "UTF-8"),
    (gzip.compress(b"a,b\n1,2\n" * 1000)[:-9], "truncated"),
    (b"\x1f\x8b\x08\x00garbage garbage", "damaged"),
    (idx(numpy.zeros((3, 4), "uint8"))[:-1], "23"),
    (idx(numpy.zeros((3, 4), "uint8")) + b"x", "more follow"),
    (b"\x00\x00\x0e\x03" + b"\xff" * 12, "overflow"),
    (b"\x00\x00\x0a\x01\x00\x00\x00\x01x", "element type"),
    (npy(numpy.zeros(4))[:-3], "truncated"),
    (npy(numpy.asfortranarray(numpy.ones((2, 3)))), "Fortran"),
    (npy(numpy.array(["text"])), "<U4"),
    (npy(numpy.array([1.0, numpy.inf])), "infinite"),
]


@pytest.mark.parametrize("body, message", FAULTS)
def test_faults_name_the_place(client, body, message):
    problem = client.problem("PUT", "datasets/bad", (400, 413, 422), data=body)
    told = problem["detail"] + "".join(error["pointer"] + error["detail"]
                                       for error in problem.get("errors", []))
    assert message in told
    client.problem("GET", "datasets/bad", 404)
    client.put("datasets/good", b"a\n1\n", expect=201)  # the daemon lives


def test_format_must_fit(client):
    client.problem("PUT", "datasets/x", (400, 422), data=b"a\n1\n2\n3\n", query={"format": "idx"})
    client.problem("PUT", "datasets/x", (400, 422), data=idx(numpy.zeros(3, "uint8")),
                   query={"format": "csv"})
    client.problem("PUT", "datasets/x/columns/y", (400, 422), data=b"a\n1\n2\n3\n")


def test_delete(client):
    problem = client.problem("DELETE", "datasets/none", 404)
    assert problem["detail"] == 'there is no data set "none"' and "errors" not in problem
    client.put("datasets/t", b"x,y\n" + b"1,a\n2,b\n" * 500)
    job = client.submit({"data": {"dataset": "t", "target": "y"},
                         "training": {"epochs": 100_000_000, "batch_size": 1}})["id"]
    problem = client.problem("DELETE", "datasets/t", 409)
    assert f"job {job}" in problem["detail"]
    client.post(f"jobs/{job}/cancel", expect=202)
    client.wait(job, "cancelled")
    client.delete("datasets/t", expect=(200, 204))
    assert "errors" not in client.problem("GET", "datasets/t", 404)
    client.problem("GET", "datasets/t/rows", 404)
    assert client.get("datasets").json()["items"] == []


def test_files_go_with_the_data_set_and_stay_over_a_restart(start_daemon, tmp_path):
    import rest_client
    daemon = start_daemon(data=tmp_path / "d")
    client = rest_client.Client(daemon)
    client.put("datasets/a", b"x,y\n1,2\n")
    client.put("datasets/b", b"y\n2\n")  # shares a file with a
    document = client.get("datasets/a").json()
    daemon.stop()
    client = rest_client.Client(start_daemon(data=tmp_path / "d"))
    assert client.get("datasets/a").json() == document
    client.delete("datasets/a", expect=(200, 204))
    client.put("datasets/c", b"z\n9\n")  # files are swept before the next upload is taken
    assert client.get("datasets/b/rows").json()["rows"] == [[2]]
    assert len(list((tmp_path / "d" / "columns").iterdir())) == 2
    assert list((tmp_path / "d" / "tmp").iterdir()) == []


def pages(client, path):
    """The items of each page of a list, with the largest limit."""
    after = {}
    while True:
        page = client.get(path, query={"limit": 10000, **after}).json()
        yield page["items"]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


def test_lists_of_long_documents_come_in_pages(client):
    categories = [letter * 20000 for letter in string.ascii_letters]
    for index in range(8):
        rows = [f"{category},{index}" for category in categories]
        client.put(f"datasets/d{index}", "\n".join(["x,y", *rows]).encode())
    listed = list(pages(client, "datasets"))
    assert len(listed) > 1 and all(listed)
    assert [item["name"] for page in listed for item in page] == [f"d{index}" for index in range(8)]

    names = [f"{index:0250}" for index in range(200)]
    client.put("datasets/wide", "\n".join([",".join(["y", *names]), *[f"{row}" + ",1" * 200
                                                                     for row in (0, 1)]]).encode())
    jobs = [client.submit({"data": {"dataset": "wide", "target": "y"},
                           "training": {"epochs": 0}})["id"] for _ in range(100)]
    listed = list(pages(client, "jobs"))
    assert len(listed) > 1 and all(listed)
    assert [item["id"] for page in listed for item in page] == jobs[::-1]
