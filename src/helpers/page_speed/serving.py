"""One server for both books, and for the files that the stock one asks of another host.

A stock page loads MathJax and Vega from jsDelivr, which serves what npm's packages hold. The very
same files lie in the user's cache folder here, so the comparison needs no internet, and is kind to
the stock pages: the other host answers as fast as their own.
"""

import gzip
import mimetypes
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import loads
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

#: The host that npm's packages are served from, and what its addresses look like.
CDN = "cdn.jsdelivr.net"
_ADDRESS = re.compile(r"/npm/(?P<package>(?:@[\w.-]+/)?[\w.-]+@[\w.-]+)(?P<file>/.*)?")

#: What servers of static pages pack. Fonts and pictures are packed by themselves.
PACKED = {".css", ".html", ".js", ".json", ".svg", ".txt"}


def cache_folder() -> Path:
    """Where fetched packages are kept."""
    import platformdirs

    return platformdirs.user_cache_path("first-weights") / "npm"


def package(name: str, folder: Path) -> Path:
    """Return the folder of an npm package such as ``vega@6``; npm fetches what is not there.

    Raises ValueError where npm is missing or cannot get the package; it says what to do.
    """
    place = folder / name.replace("/", "+")
    if place.is_dir():
        return place
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            f"npm is missing, and the stock pages load {name} through it. Install Node.js with npm "
            "(Debian: apt-get install npm) and run this again; what it fetches is kept."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        command = [npm, "pack", "--silent", name]
        made = subprocess.run(command, cwd=beside, capture_output=True, text=True)
        archives = list(Path(beside).glob("*.tgz"))
        if made.returncode or len(archives) != 1:
            raise ValueError(
                f"npm cannot get {name}, which the stock pages load: {made.stderr.strip()}. Run "
                "this once with a connection; what it fetches is kept."
            )
        with tarfile.open(archives[0]) as archive:
            archive.extractall(beside, filter="data")
        (Path(beside) / "package").rename(place)
    return place


def file_of_package(path: str, folder: Path) -> Path | None:
    """Return the local copy of what the CDN has at ``path``, or None where it is no package's.

    An address without a file is that which the package names for the CDN.
    """
    address = _ADDRESS.fullmatch(path)
    if address is None:
        return None
    place = package(address["package"], folder)
    file = (address["file"] or "").strip("/")
    if not file:
        file = loads((place / "package.json").read_text("utf-8")).get("jsdelivr", "")
    return _within(place, file)


def version(name: str, folder: Path) -> str:
    """The exact version of a package that was fetched."""
    return loads((package(name, folder) / "package.json").read_text("utf-8"))["version"]


def packages_in(page: str) -> set[str]:
    """The npm packages, with versions, that a page of HTML names."""
    return {
        address["package"]
        for found in re.findall(rf"https?://{re.escape(CDN)}(/npm/[^\s\"'?<>]+)", page)
        if (address := _ADDRESS.fullmatch(found))
    }


def _within(folder: Path, name: str) -> Path | None:
    file = (folder / name).resolve()
    return file if file.is_relative_to(folder.resolve()) and file.is_file() else None


class Server:
    """Serves folders of pages under ``/<name>/``, packed and without a cache of the browser's.

    ``packages`` is the folder of the CDN's packages: a request whose host is `CDN` is answered from
    there. As the browser reaches that name here without a certificate, pages are served with its
    address beginning ``http:``.
    """

    def __init__(self, folders: dict[str, Path], packages: Path) -> None:
        folders = {name: folder.resolve() for name, folder in folders.items()}

        @cache
        def answer(host: str, path: str) -> tuple[bytes, dict[str, str]] | None:
            if host == CDN:
                file = file_of_package(path, packages)
            else:
                name, _, rest = path.lstrip("/").partition("/")
                file = _within(folders[name], rest) if name in folders else None
            return _response(file) if file else None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answer))
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _response(file: Path) -> tuple[bytes, dict[str, str]]:
    body = file.read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    headers = {"Content-Type": kind, "Access-Control-Allow-Origin": "*"}
    if file.suffix == ".html":
        body = body.replace(f"https://{CDN}/".encode(), f"http://{CDN}/".encode())
        headers["Content-Type"] += "; charset=utf-8"
    if file.suffix in PACKED:
        body = gzip.compress(body, 6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return body, headers | {"Content-Length": str(len(body))}


def _handler(answer: Callable[[str, str], tuple[bytes, dict] | None]) -> type:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host = self.headers.get("Host", "").partition(":")[0]
            found = answer(host, unquote(urlsplit(self.path).path))
            body, headers = found or (b"", {"Content-Length": "0"})
            self.send_response(200 if found else 404)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler
