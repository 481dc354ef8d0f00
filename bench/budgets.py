#!/usr/bin/env python3
"""The budgets of delivery, measured: `make bench`, or `bench/budgets.py --quick` to try something.

Headwater's origin and Debian's nginx serve the same bytes with one worker each on core 0; the
harness asks from core 1. Turns go A B A B, costs come from the process table, and a budget is kept
or missed by the whole interval (README.md). Writes its table into docs/performance.md with
`--write`, prints it always; ends with 1 where a budget is missed.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
DOC = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench/budgets.py writes what follows -->", "<!-- up to here -->"
VERSION = "01939c2e-7f00-7abc-8def-0123456789ab"
SEGMENTS = 64
SERVER_CORE, HARNESS_CORE = "0", "1"
# What nginx-vod-module takes on the maintainers' machines, in microseconds.
GENERATED = [("master", 90), ("media", 46), ("mpd", 100), ("iframes", 60)]

CONFIG = """
[store]
url = "file://{folder}/store"
[origin]
listen = ["127.0.0.1:{http}"]
admin_listen = "127.0.0.1:{admin}"
workers = 1
access_log = "off"
log_level = "error"
[origin.tls]
listen = ["127.0.0.1:{https}"]
certificates = [{{ cert = "{folder}/cert.pem", key = "{folder}/key.pem" }}]
[origin.cache]
responses_mib = {responses_mib}
[profiles.{profile}]
"""

# One profile for each process: a title is served in the clear or under keys, never both.
KEYS = """
[keys.main]
provider = "derived"
master = "env:BENCH_MASTER"
[profiles.{profile}.protection]
keys = "main"
scheme = "{scheme}"
"""
SCHEMES = {
    "cbcs": 'systems = ["common"]',
    "cenc": 'systems = ["common"]',
    "aes-128": "deliver_keys = true",
}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    options.add_argument("--write", action="store_true", help=f"into {DOC.relative_to(ROOT)}")
    options.add_argument("--only", default="", help="rows whose name has this in it")
    options.add_argument("--built", action="store_true", help="with the binaries that are there")
    options.add_argument(
        "--origin", default=str(RELEASE / "headwater-origin"), help="another origin to measure"
    )
    options = options.parse_args()
    if not options.built:
        build()
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        bench = Bench(Path(folder), options)
        try:
            bench.start_all()
            bench.run()
        finally:
            bench.stop()
    text = bench.table()
    print(text)
    if options.write:
        write(text)
    sys.exit(1 if any(row["verdict"] == "missed" for row in bench.rows) else 0)


def build():
    packages = ["headwater-origin", "headwater-bench", "headwater-packager-bench"]
    command = ["cargo", "build", "--release", "--locked", "-q"]
    subprocess.run(command + [f"-p={name}" for name in packages], cwd=ROOT, check=True)


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        # Where root starts nginx, its worker is somebody else.
        folder.chmod(0o755)
        self.rows, self.processes = [], []
        self.pairs, self.turn_s = (5, 2.0) if options.quick else (9, 4.0)
        self.urls = {}

    def start_all(self):
        store = self.folder / "store"
        subprocess.run([RELEASE / "headwater-packager-store", store], check=True)
        certificate(self.folder)
        self.nginx = self.start_nginx()
        self.warm = self.start_origin(512)
        self.copy_for_nginx()

    def run(self):
        big, small = self.targets("clear", "v720"), self.targets("clear", "a-en")
        nginx, warm = self.nginx, self.warm
        self.compare("warm 2 MB segment", big, warm, nginx, "cpu_s_per_gb", ratio=1.2)
        self.compare(
            "warm 2 MB segment, TLS", big, warm, nginx, "cpu_s_per_gb", ratio=1.0, tls=True
        )
        self.compare("warm 10 KB object", small, warm, nginx, "cpu_us_per_request", ratio=1.15)
        self.compare("warm 10 KB object, TLS", small, warm, nginx, "cpu_us_per_request", tls=True)
        cold = self.start_origin(0)
        # By itself: nginx takes too little in its own program to be compared with.
        self.compare("cold clear CMAF, user part", big, cold, cold, "user_s_per_gb", own=0.06)
        for scheme, most in [("cbcs", 0.05), ("cenc", 0.18), ("aes-128", 0.65)]:
            name = f"{scheme} on top of clear"
            if self.wanted(name):
                server = self.start_origin(0, scheme)
                targets = self.targets(scheme, "v720", server)
                self.compare(name, targets, server, cold, "cpu_s_per_gb", more=most, base=scheme)
                self.stop(server)
        self.generated()
        self.collapse()
        self.amplification()
        self.overload()
        self.memory()

    # Servers.

    def start_nginx(self):
        http, https = free_ports(2)
        text = (ROOT / "bench" / "nginx.conf").read_text()
        for word, value in [("FOLDER", self.folder), ("HTTPS", https), ("HTTP", http)]:
            text = re.sub(rf"\b{word}\b", str(value), text)
        config = self.folder / "nginx.conf"
        config.write_text(text)
        (self.folder / "files").mkdir()
        # Debian keeps it where only root looks.
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        return self.start([program, "-p", self.folder, "-c", config], http, https)

    def start_origin(self, responses_mib, profile="clear", max_lag_ms=0):
        http, https, admin = free_ports(3)
        config = self.folder / f"origin-{http}.toml"
        values = {"http": http, "https": https, "admin": admin, "responses_mib": responses_mib}
        text = CONFIG.format(folder=self.folder, profile=profile, **values)
        if profile == "aes-128":
            text += 'formats = ["hls"]\n'
        if profile in SCHEMES:
            text += KEYS.format(profile=profile, scheme=profile) + SCHEMES[profile] + "\n"
        text += f"[origin.limits]\nmax_lag_ms = {max_lag_ms}\n"
        config.write_text(text)
        server = self.start([self.options.origin, "--config", config], http, https)
        server["admin"] = admin
        return server

    def start(self, command, http, https):
        environment = {**os.environ, "BENCH_MASTER": "5e" * 32}
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / f"server-{http}.log", "w"),
        )
        self.processes.append(process)
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", http), 0.1).close()
                return {"process": process, "http": http, "https": https}
            except OSError:
                if process.poll() is not None:
                    sys.exit((self.folder / f"server-{http}.log").read_text())
                time.sleep(0.1)
        sys.exit(f"{command[0]} does not answer")

    def stop(self, *servers):
        ending = [server["process"] for server in servers] or self.processes
        for process in ending:
            process.terminate()
        for process in ending:
            process.wait()

    # What is asked for.

    def version_of(self, profile, server):
        """`<version>.<rev>`, as the profile's manifest says it."""
        if profile not in self.urls:
            path = f"/{profile}/segments/master.m3u8"
            self.urls[profile] = re.search(rf"{VERSION}\.[0-9a-f]+", get(server, path))[0]
        return self.urls[profile]

    def targets(self, profile, track, server=None):
        folder = f"/{profile}/segments/{self.version_of(profile, server or self.warm)}"
        return folder, [f"/{track}/{n}.m4s" for n in range(1, SEGMENTS + 1)]

    def copy_for_nginx(self):
        for track in ["v720", "a-en"]:
            folder, names = self.targets("clear", track)
            for name in names:
                file = self.folder / "files" / (folder + name).lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(get(self.warm, folder + name, text=False))

    # Rows.

    def wanted(self, name):
        return self.options.only.lower() in name.lower()

    def compare(self, name, targets, a, b, of, ratio=None, own=None, more=None, tls=False, base=None):
        if not self.wanted(name):
            return
        folder, paths = targets
        scheme, port = ("https", "https") if tls else ("http", "http")
        server_a = f"{scheme}://127.0.0.1:{a[port]}{folder}"
        folder_b = folder if base is None else self.targets("clear", "v720")[0]
        server_b = f"{scheme}://127.0.0.1:{b[port]}{folder_b}"
        urls = self.folder / "urls"
        urls.write_text("".join(server_a + path + "\n" for path in paths))
        report = self.folder / "report.json"
        command = ["taskset", "-c", HARNESS_CORE, RELEASE / "headwater-bench", "compare"]
        command += [server_a, server_b, "--urls", urls, "--json", report]
        command += ["--pid-a", a["process"].pid, "--pid-b", b["process"].pid]
        command += ["--pairs", self.pairs, "--turn-s", self.turn_s, "--connections", 16]
        command += ["--insecure"] * tls + ["--bodies-may-differ"] * (base is not None)
        for option, limit in [("--budget", ratio), ("--budget-own", own), ("--budget-more", more)]:
            command += [] if limit is None else [option, limit, "--of", of]
        run = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if run.returncode not in (0, 1, 4):
            sys.exit(f"{name}: {run.stdout}{run.stderr}")
        told = json.loads(report.read_text())
        row = next((r for r in told["comparison"]["rows"] if r["name"] == of), None)
        if row is None:
            self.row(name, f"a turn without a tick of {of}: longer turns", "", "", "undecided")
            return
        judged = row["ratio"] if ratio or not (own or more) else row["a"] if own else row["more"]
        budget = told["comparison"]["budget"]
        unit = {"cpu_s_per_gb": "CPU-s/GB", "user_s_per_gb": "user CPU-s/GB"}.get(of, "CPU us")
        against = "clear" if base else "itself" if own else "nginx"
        self.row(
            name,
            f"{row['a']['median']:.3g} {unit}, {against} {row['b']['median']:.3g}",
            f"{judged['median']:.3f} [{judged['low']:.3f}, {judged['high']:.3f}]"
            + ("" if own else f" {unit} more" if more else " x nginx"),
            "" if budget is None else f"{budget['limit']:g}",
            "" if budget is None else budget["verdict"],
        )
        if told["figures"]["failed"]:
            sys.exit(f"{name}: {run.stdout}")

    def generated(self):
        """Time on the processor for each piece of the packager's work, by the kernel's account."""
        if not self.wanted("generated"):
            return
        program = RELEASE / "headwater-packager-count"
        command = ["taskset", "-c", SERVER_CORE, program, "--us"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        us = {line.split()[0]: [float(v) for v in line.split()[1:]] for line in lines.splitlines()}
        words = {"media": "2 h media playlist", "mpd": "2 h MPD", "iframes": "2 h I-frame playlist"}
        for work, most in GENERATED:
            median, low, high = us.pop(work)
            name = f"generated: {words.get(work, work)}"
            verdict = "kept" if high <= most else "missed" if low > most else "undecided"
            shown = f"{median:.1f} [{low:.1f}, {high:.1f}] us"
            self.row(name, f"{median:.1f} us", shown, f"{most} us", verdict)
        for work, (median, low, high) in us.items():
            self.row(f"packager: {work}", f"{median:.1f} us", f"[{low:.1f}, {high:.1f}] us", "", "")

    def collapse(self):
        name = "1,000 requests at once for one cold segment"
        if not self.wanted(name):
            return
        origin = self.start_origin(512, "cbcs")
        folder, paths = self.targets("cbcs", "v720", origin)
        # The title is opened by this one.
        get(origin, folder + "/v720/index.m3u8")
        before = metrics(origin)
        asyncio.run(at_once(origin["http"], folder + paths[0], 1000))
        after = metrics(origin)
        reads = total(after, "store_reads_total") - total(before, "store_reads_total")
        fills = total(after, "cache_fills_total") - total(before, "cache_fills_total")
        self.stop(origin)
        verdict = "kept" if reads == 1 and fills == 1 else "missed"
        self.row(name, f"{reads:.0f} store reads, {fills:.0f} packagings", "", "1, 1", verdict)

    def amplification(self):
        for name, track in [("pictures", "v720"), ("sound alone", "a-en")]:
            name = f"bytes read per byte sent, {name}"
            if not self.wanted(name):
                continue
            origin = self.start_origin(512)
            folder, paths = self.targets("clear", track)
            for path in paths:
                get(origin, folder + path, text=False)
            after = metrics(origin)
            self.stop(origin)
            read = total(after, "store_read_bytes_total")
            # Heads of this short title are a part of it that they are of no real one.
            heads = (self.folder / f"store/titles/segments/{VERSION}/heads.bin").stat().st_size
            ratio = (read - heads) / total(after, "sent_bytes_total")
            verdict = "kept" if ratio <= 1.05 else "missed"
            self.row(name, f"{ratio:.4f}", "", "1.05", verdict)

    def overload(self):
        """Processors, not the store, that have three times too much to do: segments under AES-128,
        each made anew but where several ask for it at one time. What can be done, and how late it
        comes at half of that, is asked of an origin that refuses nothing, before each turn."""
        for max_lag_ms in [0, 2]:
            name = f"three times too much, max_lag_ms = {max_lag_ms}"
            if not self.wanted(name):
                continue
            free, judged = self.start_origin(0, "aes-128"), self.start_origin(0, "aes-128", max_lag_ms)
            folder, paths = self.targets("aes-128", "v720", free)
            urls = self.folder / "urls"

            def fetch(server, *options, seconds, may_fail=False):
                base = f"http://127.0.0.1:{server['http']}{folder}"
                urls.write_text("".join(base + path + "\n" for path in paths))
                options = ["--duration-s", seconds * self.turn_s, *options]
                told = self.fetch(urls, *options, may_fail=may_fail)
                return told["figures"]["rate_per_s"], told["latencies"]["time"]

            turns = []
            for _ in range(self.pairs):
                most, _ = fetch(free, "--connections", 16, seconds=1)
                _, alone = fetch(free, "--rate", most / 2, seconds=1)
                three = ["--rate", 3 * most]
                settled = [*three, "--settle-s", self.turn_s / 2]
                good, time = fetch(judged, *settled, seconds=2, may_fail=True)
                turns.append([most, good, alone["p99_ms"], time["p50_ms"], time["p99_ms"]])
            # Until the limit, if it stood, has long been lifted.
            fetch(free, "--connections", 16, seconds=1)
            _, begun = fetch(judged, *three, seconds=2, may_fail=True)
            self.stop(free, judged)
            most, good, alone, p50, p99 = (median(figures) for figures in zip(*turns))
            # As `compare` does: the interval of the median is without the outliers from nine turns on.
            out = self.pairs // 9
            share = sorted(turn[1] / turn[0] for turn in turns)[out : self.pairs - out]
            late = sorted(turn[4] / turn[2] for turn in turns)[out : self.pairs - out]
            verdict = "undecided"
            if share[0] >= 0.9 and late[-1] <= 2:
                verdict = "kept"
            elif share[-1] < 0.9 or late[0] > 2:
                verdict = "missed"
            self.row(
                name,
                f"{good:.0f} good a second of {most:.0f}; p50 {p50:.0f}, p99 {p99:.0f} ms, at half of it {alone:.0f}; "
                f"how it begins, p99 {begun['p99_ms']:.0f} ms",
                f"{median(share):.2f} [{share[0]:.2f}, {share[-1]:.2f}] of what it can; "
                f"p99 {median(late):.1f} [{late[0]:.1f}, {late[-1]:.1f}] x",
                ".9; 2 x" if max_lag_ms else "",
                verdict if max_lag_ms else "",
            )

    def fetch(self, urls, *options, may_fail=False):
        """What `headwater-bench fetch` tells of these URLs; it fails where a request does."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        command = ["taskset", "-c", HARNESS_CORE, RELEASE / "headwater-bench", "fetch"]
        command += ["--urls", urls, "--json", report, *options]
        run = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if run.returncode != 0 and not (may_fail and report.exists()):
            sys.exit(f"{' '.join(map(str, command))}: {run.stdout}{run.stderr}")
        return json.loads(report.read_text())

    def memory(self):
        name = "memory"
        if not self.wanted(name):
            return
        origin = self.start_origin(64)
        folder, small = self.targets("clear", "a-en")
        _, big = self.targets("clear", "v720")
        base = f"http://127.0.0.1:{origin['http']}{folder}"
        urls = self.folder / "urls"
        # What the cache cannot hold, so that it lets go all the time, among what it can.
        urls.write_text("".join(base + path + "\n" for path in big + small * 40))
        requests = 100_000 if self.options.quick else 1_000_000
        resident = []
        for _ in range(4):
            self.fetch(urls, "--requests", requests // 4, "--connections", 64)
            resident.append(resident_mib(origin["process"].pid))
        self.stop(origin)
        most = 64 * 1.1 + 64 * 1.1 + 64
        shown = ", ".join(f"{mib:.0f}" for mib in resident)
        verdict = "kept" if max(resident) <= most else "missed"
        told = f"{shown} MiB resident after each quarter of {requests:,} requests"
        self.row(name, told, "", f"{most:.0f} MiB", verdict)

    def row(self, name, got, judged, budget, verdict):
        self.rows.append(
            {"name": name, "got": got, "judged": judged, "budget": budget, "verdict": verdict}
        )
        print(f"measured: {name}: {got}; {judged}; budget {budget or '-'} {verdict}", flush=True)

    def table(self):
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
        load = os.getloadavg()[1]
        lines = [
            f"{time.strftime('%Y-%m-%d')}, {cpu}, {os.cpu_count()} virtual CPUs, load {load:.0f}; "
            f"{self.pairs} pairs of {self.turn_s:g} s{', quick' if self.options.quick else ''}.",
            "",
            "| what | figure | judged, with its interval | budget | |",
            "|---|---|---|---|---|",
        ]
        for row in self.rows:
            lines.append("| {name} | {got} | {judged} | {budget} | {verdict} |".format(**row))
        return "\n".join(re.sub(r" +\|", " |", line) for line in lines) + "\n"


def write(text):
    before, _, rest = DOC.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOC.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def certificate(folder):
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def get(server, path, text=True, port="http"):
    with urllib.request.urlopen(f"http://127.0.0.1:{server[port]}{path}", timeout=30) as answer:
        body = answer.read()
    return body.decode() if text else body


def metrics(server):
    return get(server, "/metrics", port="admin")


def total(text, name):
    """The sum of a metric over its labels."""
    lines = re.findall(rf"^headwater_origin_{name}(?:{{.*}})? (\S+)$", text, re.M)
    return sum(float(value) for value in lines)


def resident_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) / 1024


async def at_once(port, path, count):
    """Sends `count` requests on as many connections before any answer is read: for a few bytes, since
    the whole segment has to be made for any of them."""
    opening = [asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    connections = await asyncio.gather(*opening)
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-99\r\nConnection: close\r\n\r\n"
    request = request.encode()
    for _, writer in connections:
        writer.write(request)
    answers = await asyncio.gather(*[reader.read() for reader, _ in connections])
    for answer, (_, writer) in zip(answers, connections):
        if not answer.startswith(b"HTTP/1.1 206"):
            sys.exit(f"a request of many at once got {answer[:60]!r}")
        writer.close()


main()
