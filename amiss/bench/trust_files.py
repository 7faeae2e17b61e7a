"""Other people's files: hostile ones opened as data, and hostile names carried through a whole audit."""

import contextlib
import csv
import io
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch

from amiss.audit import Plan, record, run_audit
from amiss.bench.bench import Run, Skip
from amiss.bench.hostile import Case, Maker, array_cases, csv_cases, image_cases, mutant_cases, zip_cases
from amiss.classifier import Classifier
from amiss.data import open_data
from amiss.data.cells import csv_text
from amiss.report import build

__all__ = ["files", "names"]

Figures = tuple[dict[str, float], dict[str, Any]]

_SECONDS = 10.0
_MEMORY = 2 * 2**30
"""What a source may add to the memory of a process that opens it at 16 pixels a side."""

SCRIPT = "</script><img src=x onerror=\"document.title='owned'\">"
FORMULA = "=cmd()"


def files(run: Run) -> Figures:
    """Open every hostile source, and mutants of healthy ones, in a process that is watched.

    A failure is an error that is not ours, more than ten seconds, more than 2 GB, code that ran, a healthy neighbor
    that was lost, or anything that was read outside of the source.
    """
    place = run.place.resolve() / "hostile"
    shutil.rmtree(place, ignore_errors=True)
    make = Maker.at(place)
    cases = [make_all(make, run.quick) for make_all in (image_cases, zip_cases, csv_cases, array_cases)]
    cases.append(mutant_cases(make, run.seed, 6 if run.quick else 30))
    every = [case for group in cases for case in group]
    failures = watched(every, place)
    if make.marker.exists():
        failures.append("code ran")
    shutil.rmtree(place)
    made, mutants = sum(map(len, cases[:-1])), (6 if run.quick else 30) * 7
    raw = {"sources": made, "mutants": mutants, "failures": failures}
    return {"hostile_failures": float(len(failures))}, raw


def watched(cases: Sequence[Case], place: Path, seconds: float = _SECONDS, memory: int = _MEMORY) -> list[str]:
    """Open each source in a child, which is replaced where it hangs or dies; what went wrong, in words."""
    failures, rest = [], list(cases)
    while rest:
        with _child(rest, place) as lines:
            if lines.get(timeout=120) is None:
                raise RuntimeError("the process that opens the sources does not start")
            while rest:
                case = rest.pop(0)
                try:
                    line = lines.get(timeout=seconds)
                except queue.Empty:
                    failures.append(f"{case.name}: more than {seconds:g} seconds")
                    break
                if line is None:
                    failures.append(f"{case.name}: the process died")
                    break
                wrong, grown = json.loads(line)
                failures += [f"{case.name}: {text}" for text in wrong]
                failures += [f"{case.name}: {grown / 2**30:.2f} GB"] if grown > memory else []
    return failures


@contextlib.contextmanager
def _child(cases: Sequence[Case], place: Path) -> Iterator["queue.Queue[str | None]"]:
    """A process that visits the cases, and what it says, line by line; None at its end."""
    listed = place / "cases.json"
    listed.write_text(json.dumps([asdict(case) for case in cases]), encoding="utf-8")
    command = [sys.executable, "-m", "amiss.bench.hostile.visit", str(listed)]
    lines: queue.Queue[str | None] = queue.Queue()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:  # noqa: S603

        def read(said: IO[str]) -> None:
            for line in said:
                lines.put(line)
            lines.put(None)

        assert child.stdout is not None  # noqa: S101
        reader = threading.Thread(target=read, args=(child.stdout,), daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            child.kill()
            reader.join()


def names(run: Run) -> Figures:
    """Audit images whose files and classes have hostile names, and open the page in a browser.

    A failure is a dialog, a request, an error or a changed title on the page, a name that it does not show as it
    is, or a cell of a table that begins as a formula does.
    """
    chromium = Path(os.environ.get("AMISS_CHROMIUM", "/usr/bin/chromium"))
    if not chromium.exists():
        raise Skip(f"{chromium} is not installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise Skip("playwright is not installed") from error
    place = run.place / "names"
    shutil.rmtree(place, ignore_errors=True)
    page, failures = _hostile_audit(place, run.seed)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"])
        try:
            failures += _visit_page(browser, page)
        finally:
            browser.close()
    shutil.rmtree(place)
    return {"hostile_name_failures": float(len(failures))}, {"failures": failures}


def _hostile_audit(place: Path, seed: int) -> tuple[Path, list[str]]:
    """The page of an audit of hostile names, and what was wrong with its tables."""
    data = place / "photos"
    data.mkdir(parents=True)
    rows = []
    for i in range(8):
        name = ("<img src=x onerror=alert(1)>", "=cmd()|", "@SUM(1)", "line\nbreak")[i % 4] + f"{i}.png"
        (data / name).write_bytes(Maker.picture((i * 30, 90, 200 - i * 20)))
        rows.append([name, SCRIPT if i < 4 else FORMULA])
    with (data / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file", "label"], *rows])
    (data / "<svg onload=alert(1)>.png").write_bytes(b"no image")
    images = open_data(data, size=8)
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2))
    classifier = Classifier(network, labels=images.classes)
    out = place / "run"
    plan = Plan(mistakes=4, attacked=4, steps=5, fooled=2, seed=seed)
    found = run_audit(classifier, images, out, plan=plan)
    account = record(found, classifier, out, model=SCRIPT, data=SCRIPT, command=SCRIPT)
    table = list(
        csv.reader(io.StringIO(csv_text(["name", "class"], zip(images.names, images.classes * 4, strict=True))))
    )
    live = [cell for row in table for cell in row if cell.startswith(tuple("=+-@\t\r"))]
    return build(account, out), [f"a live cell: {cell!r}" for cell in live]


def _visit_page(browser: Any, path: Path) -> list[str]:
    """What a page does that it should not, on every one of its sections."""
    wrong: list[str] = []
    page = browser.new_page()
    page.set_default_timeout(5000)

    def refuse(dialog: Any) -> None:
        wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("console", lambda message: wrong.append(f"{message.type} on the console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"an error: {error}"))
    own, asked = path.resolve().as_uri(), set[str]()
    page.on(
        "request",
        lambda request: (
            None
            if request.url.split("#")[0] == own or request.url.startswith("data:")
            else wrong.append(f"a request: {request.url}")
        ),
    )
    shown = ""
    for route in ("overview", "cases", "case/0", "robustness", "fooled", "methods"):
        page.goto(f"{own}#/{route}")
        page.wait_for_timeout(150)
        shown += page.locator("body").inner_text()
        if page.locator("img[src=x], svg[onload]").count():
            wrong.append(f"a name became an element on {route}")
    wrong += [f"a request: {url}" for url in asked - {own} if not url.startswith("data:")]
    if "owned" in page.title().replace(SCRIPT, ""):
        wrong.append("the title was changed")
    for name in (SCRIPT, FORMULA):
        if name not in shown:
            wrong.append(f"{name!r} is not shown as it is")
    page.close()
    return wrong
