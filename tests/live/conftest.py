"""A real JupyterLab on copies of the notebooks, and one browser. Every other host is refused."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from helpers.page_speed import visits

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()
SETTINGS = {
    # Cells out of sight are drawn too: what a reader will scroll to must be there.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # Saved when a test says so.
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
#: Seconds that the server may take to start, or to stop.
PATIENCE = 60


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, and the folder that it shows."""

    url: str
    folder: Path

    def api(self, path: str, method: str = "GET") -> list:
        """Ask the server; return what it answers, as lists and dictionaries."""
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or "[]")

    def shut_down_kernels(self) -> None:
        """End every session, and with it the memory of its kernel."""
        for session in self.api("sessions"):
            self.api(f"sessions/{session['id']}", "DELETE")


def start(folder: Path, log: Path, home: Path, port: int) -> subprocess.Popen:
    """Start the server on `folder`, as a user has it who has never started it before."""
    for name, setting in SETTINGS.items():
        file = home / "settings" / f"{name.replace(':', '/')}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(setting))
    places = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | {name: str(home / place) for name, place in places.items()}
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "ServerApp.disable_check_xsrf": True,
        # Nothing that looks for news, updates or extensions elsewhere.
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
        "LabApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    command += [f"--{name}={value}" for name, value in options.items()]
    # The kernel is the environment that the tests run in, whatever the user has registered.
    environment["JUPYTER_PREFER_ENV_PATH"] = "1"
    with open(log, "w") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file)


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab")
    folder, log, port = home / "book", home / "log", free_port()
    folder.mkdir()
    for notebook in sorted((ROOT / "book").glob("*.ipynb")):
        shutil.copy(notebook, folder)
    # The pictures that chapters show: with MyST in JupyterLab, they are asked for there too.
    shutil.copytree(ROOT / "book" / "_static", folder / "_static")
    server, lab = start(folder, log, home, port), Lab(f"http://127.0.0.1:{port}", folder)
    try:
        wait_for(server, lab, log)
        yield lab
        lab.shut_down_kernels()
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE / 3)
        except subprocess.TimeoutExpired:  # it waits for a kernel that is gone
            server.kill()
            server.wait()


def wait_for(server: subprocess.Popen, lab: Lab, log: Path) -> None:
    for _ in range(PATIENCE * 10):
        assert server.poll() is None, f"JupyterLab did not start:\n{log.read_text()[-2000:]}"
        try:
            lab.api("status")
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not answer in {PATIENCE} seconds:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        path = visits.chromium()
    except ValueError as error:
        pytest.exit(str(error), returncode=2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
