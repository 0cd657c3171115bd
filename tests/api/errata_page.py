"""The runs of docs/ERRATA.md: its csv blocks are data sets, its json blocks requests, and the text block
behind each request is what came out. `python3 tests/api/errata_page.py` runs them all and writes the
outputs anew."""

import json
import pathlib
import re
import tempfile

import daemon_process
import rest_client
import safetensors_file

PAGE = daemon_process.ROOT / "docs" / "ERRATA.md"
DATASET = re.compile(r"`([a-z-]+)`[^\n]*\n\n```csv\n(.*?)```", re.DOTALL)
RUN = re.compile(r"```json\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def upload(client, text):
    for name, content in DATASET.findall(text):
        client.put(f"datasets/{name}", content.encode(), headers={"Content-Type": "text/csv"})


def shown(values):
    return json.dumps(values)


def run_job(client, body):
    """Weights of the finished job, or the faults of a refused one; and the weights as arrays."""
    answer = client.post("jobs", json=body, expect=(201, 422))
    if answer.status_code == 422:
        return "".join(f"{fault['pointer']}: {fault['detail']}\n"
                       for fault in answer.json()["errors"]), None
    model = client.wait(answer.json()["id"])["model"]
    path = f"models/{model['name']}/versions/{model['version']}/weights"
    arrays, _ = safetensors_file.parse(client.get(path, query={"format": "safetensors"}).content)
    return "".join(f"{name} {shown(array.tolist())}\n" for name, array in sorted(arrays.items())), arrays


def run_prediction(client, body):
    """body: a prediction's, and the model that it is for."""
    answer = client.post(f"models/{body['model']}/predict", json={"rows": body["rows"]}).json()
    values = [prediction["value"] for prediction in answer["predictions"]]
    return "".join(f"{shown(row)} -> {shown(value)}\n" for row, value in zip(body["rows"], values)), values


def run_check(client, body):
    report = client.post("gradient-check", json=body).json()
    lines = [f"pass: {shown(report['pass'])}\n"]
    lines += [f"{tensor['name']}: {tensor['checked']} checked, {tensor['failed']} failed\n"
              for tensor in report["tensors"]]
    return "".join(lines), report


def run(client, body):
    if "method" in body:
        return run_check(client, body)
    return run_prediction(client, body) if "model" in body else run_job(client, body)


def main():
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        daemon = daemon_process.Daemon(pathlib.Path(directory) / "data")
        client = rest_client.Client(daemon)
        upload(client, text)

        def fill(match):
            output, _ = run(client, json.loads(match.group(1)))
            return f"```json\n{match.group(1)}```\n\n```text\n{output}```"

        PAGE.write_text(RUN.sub(fill, text), encoding="utf-8")
        daemon.stop()


if __name__ == "__main__":
    main()
