"""What the experiments share: a daemon of their own, jobs over REST, and figures of what metrics say."""
import contextlib
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

COLOURS = ["#1f6fb4", "#d1561d", "#3a8f3a"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(base, method, path, body=None, raw=None):
    data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(base + path, data=data, method=method)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with opener.open(request) as answer:
            content = answer.read()
            return json.loads(content) if "json" in answer.headers["Content-Type"] else content
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}")


@contextlib.contextmanager
def running(daemon):
    """The base URL of a daemon with a data directory that goes with it."""
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen([daemon, "--data", directory, "--listen", "127.0.0.1:0", "--log-level", "error"],
                                   stderr=subprocess.PIPE, text=True)
        try:
            yield next(line for line in process.stderr if line.startswith("listening")).split()[-1]
        finally:
            process.terminate()
            process.wait(20)


def train(base, job):
    """Runs a job to its end. Its document, and all its points."""
    answer = call(base, "POST", "/api/v1/jobs", job)
    while answer["state"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(1)
        answer = call(base, "GET", f"/api/v1/jobs/{answer['id']}")
    assert answer["state"] == "succeeded", answer["reason"]
    points, after = [], 0
    while True:
        page = call(base, "GET", f"/api/v1/jobs/{answer['id']}/metrics?after={after}&limit=10000")
        points += page["points"]
        after = page["next"]
        if not page["points"]:
            return answer, points


def moving_mean(curve, width=9):
    return [(x, sum(v for _, v in curve[max(0, i - width):i + 1]) / (i + 1 - max(0, i - width)))
            for i, (x, _) in enumerate(curve)]


def draw(path, title, x_label, y_label, curves, top, low=0):
    """An SVG file of curves [(name, [(x, y)])], y from low to top."""
    width, height, left, bottom, right, head = 720, 420, 60, 50, 24, 64
    x_most = max(x for _, curve in curves for x, _ in curve)
    at_x = lambda x: left + (width - left - right) * x / x_most
    at_y = lambda y: height - bottom - (height - bottom - head) * (min(max(y, low), top) - low) / (top - low)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
             f'font-size="13"><rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{left}" y="22" font-size="15">{title}</text>',
             f'<text x="{width / 2}" y="{height - 10}" text-anchor="middle">{x_label}</text>',
             f'<text x="16" y="{height / 2}" text-anchor="middle" transform="rotate(-90 16 {height / 2})">{y_label}</text>']
    for i in range(6):
        y, x = low + (top - low) * i / 5, x_most * i / 5
        lines.append(f'<path d="M{left} {at_y(y):.1f}H{width - right}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
                     f'<text x="{at_x(x):.1f}" y="{height - bottom + 18}" text-anchor="middle">{x:g}</text>')
    legend_x = left
    for i, (name, curve) in enumerate(curves):
        points = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in curve)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[i]}" stroke-width="1.8"/>'
                     f'<path d="M{legend_x} 42h20" stroke="{COLOURS[i]}" stroke-width="3"/>'
                     f'<text x="{legend_x + 26}" y="46">{name}</text>')
        legend_x += 60 + 7 * len(name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines + ["</svg>"]) + "\n")
