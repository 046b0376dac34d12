"""Serve the demo page: built packages to swipe and speak to, decoded in the browser.

Example:
    .venv/bin/python py/demo/serve.py --decoder decoders/typescript --port 8000 \
        --packages out/demo-swipe/package/bundled/web out/demo-tdt/package/dynamic/web
"""

import argparse
import json
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from transducer.core.cli import InputError, existing, log, parser, run
from transducer.speech.manifest import read_manifest

EXAMPLES = 6
HEADERS = {
    # The page is isolated from others, as threads in WebAssembly ask for, and may fetch from here only.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'self' blob:; script-src 'self' blob: 'wasm-unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'",
    "Cache-Control": "no-cache",
}


def main() -> int:
    args = parse_args()
    folders, content = catalogue(args.packages, args.examples)
    folders |= {
        "": args.decoder / "demo",
        "js": args.decoder / "build",
        "ort": args.decoder / "node_modules/onnxruntime-web/dist",
    }
    for folder in folders.values():
        existing(folder, "run `make demo-web`, which makes it")
    handler = partial(Handler, folders=folders, catalogue=json.dumps(content).encode())
    try:
        server = ThreadingHTTPServer((args.host, args.port), handler)
    except OSError as error:
        raise InputError(f"Port {args.port} of {args.host} cannot be used ({error.strerror}); set PORT.") from None
    print(f"http://{args.host}:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        log.info("stopped")
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--decoder", type=Path, required=True, help="folder of the TypeScript decoder, compiled")
    args.add_argument("--packages", type=Path, nargs="+", required=True, help="folders of packages")
    args.add_argument("--examples", type=Path, help="manifest of recordings to listen to")
    args.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other devices in the network")
    args.add_argument("--port", type=int, default=8000, help="0 for any that is free")
    return args.parse_args()


def catalogue(packages: list[Path], examples: Path | None) -> tuple[dict[str, Path], dict[str, Any]]:
    """Return folders by what addresses begin with, and what packages.json tells the page."""
    folders, listed = {}, []
    for folder in packages:
        meta = json.loads(existing(folder / "meta/runtime_meta.json", "run `make package-bundled`").read_text("utf-8"))
        *_, model, _, kind, target = folder.resolve().parts
        url = f"packages/{model}/{kind}/{target}"
        folders[url] = folder
        variants = list(meta["graphs"]["encoder"])
        entry = {"model": model, "kind": kind, "target": target, "task": meta["task"], "variants": variants}
        listed.append({**entry, "url": url})
    clips = []
    if examples:
        folders["examples"] = examples.parent
        for clip in read_manifest(examples)[:EXAMPLES]:
            name = clip["audio_filepath"].relative_to(examples.parent).as_posix()
            clips.append({"url": f"examples/{name}", "text": clip["text"]})
    return folders, {"packages": listed, "examples": clips}


# Python's own list depends on the machine's.
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".ogg": "audio/ogg"}


class Handler(SimpleHTTPRequestHandler):
    """Files of several folders, by what their addresses begin with."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, folders: dict[str, Path], catalogue: bytes) -> None:
        self._folders, self._catalogue = folders, catalogue
        self.extensions_map = SimpleHTTPRequestHandler.extensions_map | TYPES
        super().__init__(*args)

    def translate_path(self, path: str) -> str:
        """Return the file of an address, in the folder with the longest beginning; never above that folder."""
        address = unquote(urlsplit(path).path).strip("/")
        prefix = max((p for p in self._folders if not p or f"{address}/".startswith(f"{p}/")), key=len)
        root = self._folders[prefix].resolve()
        target = (root / address[len(prefix) :].strip("/")).resolve()
        return str(target if target.is_relative_to(root) else root / "missing")

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/packages.json":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self._catalogue)))
        self.end_headers()
        self.wfile.write(self._catalogue)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, form: str, *values: Any) -> None:
        log.debug(form, *values)


if __name__ == "__main__":
    sys.exit(run(main))
