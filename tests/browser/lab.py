"""Drive a notebook in JupyterLab with a real browser: run it, move its controls, time and photograph what changes.

As a script: ``python tests/browser/lab.py notebooks/01_tokenization.ipynb --shots /tmp/shots [--dark]``.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120_000     # ms: on a busy machine a server has needed 48 s to answer
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")

CURRENT = "window.jupyterapp.shell.currentWidget"
_WATCH = """(cell) => {
    const watch = window.minillmWatch = {began: null, first: null, last: null, observer: null};
    for (const kind of ["keydown", "mousedown", "input", "change"])
        cell.addEventListener(kind, () => { if (watch.began === null) watch.began = performance.now(); }, true);
    const within = (node) => (node.closest ? node : node.parentElement)?.closest(".minillm-part");
    const bears = (node) => node.querySelector && (within(node) || node.querySelector(".minillm-part"));
    watch.observer = new MutationObserver(async (records) => {
        if (watch.began === null || !records.some(one => within(one.target) || [...one.addedNodes].some(bears))) return;
        for (const image of cell.querySelectorAll("img.minillm-part"))
            await image.decode().catch(() => null);  // a newer one took its place, which is heard of by itself
        watch.last = performance.now();
        watch.first ??= watch.last;
    });
    watch.observer.observe(cell, {subtree: true, childList: true, characterData: true,
                                  attributeFilter: ["src", "class"]});
}"""


_CONTROLS = {"slider": ".widget-slider", "choice": ".widget-dropdown", "toggle": ".widget-checkbox",
             "text": ".widget-text", "textarea": ".widget-textarea", "play": ".widget-play",
             "buttons": ".widget-toggle-buttons",
             "button": "button.widget-button:not(.widget-play *):not(.widget-toggle-buttons *)"}
_DISABLED = """control => [control, ...control.querySelectorAll("input, select, textarea, button, .noUi-target")].some(
    each => each.disabled || each.hasAttribute("disabled"))"""


class Page:
    """One notebook, open in the browser.  Cells are counted from 0 and looked up anew each time."""

    def __init__(self, page, folder: Path):
        self.page, self.folder = page, folder

    def run_all(self) -> None:
        """Run all cells and wait for the last; raise if one failed or a widget could not be shown."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.wait_for_function(
            f"() => {CURRENT}.sessionContext.session.kernel.status === 'idle'", timeout=PATIENCE)
        self.page.wait_for_timeout(500)
        errors = self.page.evaluate(
            f"() => [...{CURRENT}.content.model.sharedModel.cells].flatMap(cell => cell.toJSON().outputs || [])"
            ".filter(output => output.output_type === 'error').map(output => output.ename + ': ' + output.evalue)")
        if errors:
            raise AssertionError(f"the notebook failed in JupyterLab: {errors[0]}")

    def run_cell(self, index: int) -> None:
        """Run one cell again, as a reader does."""
        self.page.evaluate(f"(i) => {{ {CURRENT}.content.deselectAll(); {CURRENT}.content.activeCellIndex = i; "
                           "return window.jupyterapp.commands.execute('notebook:run-cell'); }", index)
        self.page.wait_for_function(
            f"() => {CURRENT}.sessionContext.session.kernel.status === 'idle'", timeout=PATIENCE)
        self.page.wait_for_timeout(300)

    def evaluate(self, code: str) -> str:
        """Run Python in the notebook's kernel, unseen by the notebook; return what it printed."""
        return self.page.evaluate(f"""async (code) => {{
            const future = {CURRENT}.sessionContext.session.kernel.requestExecute({{code, store_history: false}});
            let printed = "";
            future.onIOPub = (message) => {{
                if (message.header.msg_type === "stream") printed += message.content.text;
                if (message.header.msg_type === "error") printed += message.content.evalue;
            }};
            await future.done;
            return printed;
        }}""", code).strip()

    def cell(self, index: int):
        """The cell as playwright's locator, scrolled to (JupyterLab draws only the cells near the window)."""
        self.page.evaluate(f"(i) => {CURRENT}.content.scrollToItem(i, 'center')", index)
        found = self.page.locator(f".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell[data-windowed-list-index='{index}']")
        found.wait_for(timeout=PATIENCE)
        return found

    def widget_cells(self) -> list[int]:
        """Which cells show controls."""
        return self.page.evaluate(
            f"() => [...{CURRENT}.content.model.sharedModel.cells].flatMap((cell, i) => "
            "(cell.toJSON().outputs || []).some(output => output.data && !output.data['image/png'] && "
            "output.data['application/vnd.jupyter.widget-view+json']) ? [i] : [])")

    def controls(self, index: int) -> list[tuple[str, str, object]]:
        """Every usable control of a cell: (kind, label, locator)."""
        cell, found = self.cell(index), []
        cell.locator(".jupyter-widgets").first.wait_for(timeout=PATIENCE)
        for kind, selector in _CONTROLS.items():
            for place in range(cell.locator(selector).count()):
                each = cell.locator(selector).nth(place)
                if each.is_visible() and not each.evaluate(_DISABLED):
                    label = "play" if kind == "play" else each.inner_text().split("\n")[0].strip()
                    found.append((kind, label, each))
        return found

    def touch(self, kind: str, control, value: str | None = None) -> None:
        """Use a control as a hand would: an arrow key on a slider, a click, a key stroke."""
        if kind == "slider":
            handle = control.locator(".noUi-handle, .ui-slider-handle").first
            handle.focus()
            at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            handle.press(value or ("ArrowLeft" if at_end else "ArrowRight"))
        elif kind == "choice":
            select = control.locator("select")
            names = select.locator("option").all_inner_texts()
            chosen = select.evaluate("node => node.selectedIndex")
            select.select_option(label=value or names[(chosen + 1) % len(names)])
        elif kind in ("text", "textarea"):
            box = control.locator("input, textarea").first
            if value is not None:
                box.fill(value)
            else:
                box.focus()
                box.press("End")
                box.press_sequentially("e")
        elif kind == "toggle":
            control.locator("input").click()
        elif kind == "play":
            control.locator("button").first.click()
        elif kind == "buttons":
            buttons = control.locator("button")
            buttons.nth(1 if "mod-active" in (buttons.nth(0).get_attribute("class") or "") else 0).click()
        else:
            control.click()

    def timed(self, index: int, kind: str, control, value: str | None = None, *, patience: float = 5) -> float | None:
        """Touch a control; milliseconds from the hand's event until all parts of the picture have changed (for a
        button or a clock, which may go on changing it: any part), or None."""
        from playwright.sync_api import TimeoutError
        self.cell(index).evaluate(_WATCH)
        self.touch(kind, control, value)
        over = "watch.first !== null" if kind in ("button", "play") else "watch.last < performance.now() - 400"
        try:
            self.page.wait_for_function(f"() => {{ const watch = window.minillmWatch; return watch.last && {over}; }}",
                                        polling=50, timeout=patience * 1000)
        except TimeoutError:
            return None
        finally:
            began, first, last = self.page.evaluate("() => { const watch = window.minillmWatch; "
                                                    "watch.observer.disconnect(); "
                                                    "return [watch.began, watch.first, watch.last]; }")
        return (first if kind in ("button", "play") else last) - began

    def control(self, index: int, label: str):
        """(kind, locator) of the control with this label, as soon as it can be used."""
        end = time.monotonic() + 10
        while True:
            found = self.controls(index)
            for kind, text, locator in found:
                if text.startswith(label):
                    return kind, locator
            if time.monotonic() > end:
                break
            self.page.wait_for_timeout(100)
        raise AssertionError(f"cell {index} has no usable control {label!r}, only {[text for _, text, _ in found]}")

    def shot(self, path: Path, index: int | None = None) -> Path:
        """Photograph a cell, or the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.page if index is None else self.cell(index)).screenshot(path=str(path))
        return path

    def theme(self, dark: bool) -> None:
        """Choose JupyterLab's light or dark theme."""
        name = f"JupyterLab {'Dark' if dark else 'Light'}"
        self.page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_function("(dark) => (document.body.dataset.jpThemeLight === 'false') === dark", arg=dark,
                                    timeout=PATIENCE)


class Lab:
    """JupyterLab on loopback and one headless Chromium, both with nothing of the user's: use in a `with`."""

    def __init__(self, *, width: int = 1280, height: int = 900):
        self.size = {"width": width, "height": height}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Lab:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def _start(self) -> None:
        from playwright.sync_api import sync_playwright
        home = Path(self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        self.folder = home / "notebooks"
        self.folder.mkdir()
        settings = home / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.token, self.address = secrets.token_hex(16), f"http://127.0.0.1:{port}"
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive",
                     "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_DIR": str(home / "config"),
                     "JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
                     "IPYTHONDIR": str(home / "ipython")}
        log = self._stack.enter_context((home / "log").open("w"))
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
             f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.folder}",
             f"--IdentityProvider.token={self.token}", "--LabApp.expose_app_in_browser=True",
             f"--LabApp.user_settings_dir={home / 'settings'}", f"--LabApp.workspaces_dir={home / 'workspaces'}"],
            env=variables, stdout=log, stderr=subprocess.STDOUT, cwd=home)
        self._stack.callback(_stop, server)
        if not answers(f"{self.address}/api/status?token={self.token}", server):
            raise RuntimeError(f"JupyterLab did not start: {(home / 'log').read_text()[-2000:]}")
        playwright = self._stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        self._stack.callback(browser.close)
        self.browser = browser

    @contextlib.contextmanager
    def open(self, notebook: Path, *, dark: bool = False) -> Iterator[Page]:
        """Open a copy of a notebook, with a kernel that is ready; the original stays as it is."""
        shutil.copy(notebook, self.folder)
        context = self.browser.new_context(viewport=self.size)
        page = Page(context.new_page(), self.folder)
        try:
            self.visit(page, notebook.name)
            page.theme(dark)
            yield page
        finally:
            with contextlib.suppress(Exception):
                page.page.evaluate(f"() => {CURRENT}.sessionContext.shutdown()")
            context.close()

    def visit(self, page: Page, name: str) -> None:
        """Load (or reload) the notebook's address and wait until its kernel can answer."""
        page.page.goto(f"{self.address}/doc/tree/{name}?token={self.token}", timeout=PATIENCE)
        page.page.wait_for_function(f"() => window.jupyterapp && {CURRENT} && {CURRENT}.sessionContext",
                                    timeout=PATIENCE)
        page.page.evaluate(f"async () => {{ const context = {CURRENT}.sessionContext; await context.ready; "
                           f"await {CURRENT}.revealed; await context.session.kernel.info; }}")


def answers(address: str, server: subprocess.Popen) -> bool:
    """Wait until the address answers; False where the server ended or kept silent."""
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--shots", type=Path, help="leave pictures of every widget here")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in pixels")
    options = parser.parse_args(arguments)
    worst = 0.0
    with Lab(width=options.width) as lab, lab.open(options.notebook, dark=options.dark) as page:
        began = time.monotonic()
        page.run_all()
        print(f"all cells ran in {time.monotonic() - began:.1f} s; widgets in cells {page.widget_cells()}")
        for index in page.widget_cells():
            if options.shots:
                page.shot(options.shots / f"{index:03}-stored.png", index)
            for kind, label, _ in page.controls(index):
                if kind == "play":
                    continue
                usable = {(k, text): control for k, text, control in page.controls(index)}
                if (kind, label) not in usable:
                    print(f"  cell {index} {kind:8} {label!r}: disabled by now")
                    continue
                took = [page.timed(index, kind, usable[kind, label]) for _ in range(3)]
                shown = ", ".join("no change" if each is None else f"{each:.0f} ms" for each in took)
                print(f"  cell {index} {kind:8} {label!r}: {shown}", flush=True)
                worst = max([worst, *filter(None, took)])
            if options.shots:
                page.shot(options.shots / f"{index:03}-live.png", index)
        print(f"slowest change: {worst:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
