"""The Kotlin decoder, compiled and run on the JVM, with graphs that this process runs in ONNX Runtime.

Example:
    with Decoder(compile_decoder(folder)) as decoder:
        decoder.do("open", package=str(package))
        decoder.do("decode", points=points, count=5)["n_best"]

tests/decoders/kotlin/Commands.kt carries the commands out, tests/decoders/kotlin/shims has the runtimes' Java classes
as far as the adapters use them.
"""

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.runtime.pte import open_pte
from transducer.runtime.sessions import open_session

HERE = Path(__file__).parent / "kotlin"
SOURCES = Path(__file__).parents[2] / "decoders/kotlin"
KOTLIN = HERE / "node_modules/kotlin-compiler"
# As the build files of the library say.
STRICT = ("-Xexplicit-api=strict", "-Werror", "-jvm-target", "11", "-no-reflect")
# A compiler runs too short for the second of the JVM's own compilers to pay.
QUICK = ("-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
DTYPES = {"f": ">f4", "l": ">i8"}
# Frames and samples that an encoder and a frontend take, as the demos' .pte say of themselves and graphs for ONNX
# Runtime in their place cannot.
BOUNDS = {"T": [3, 512], "samples": [400, 480_159]}


def install_compiler() -> None:
    """Install the pinned compiler, of npm's package kotlin-compiler, once."""
    if not KOTLIN.exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=HERE, check=True)


def kotlinc(target: Path, classpath: list[Path], *arguments: str | Path) -> None:
    """Compile Kotlin to a folder of classes; a warning is an error."""
    # The launcher script is in the package too, but not executable on every system.
    compiler = [
        "java",
        *QUICK,
        "-cp",
        str(KOTLIN / "lib/kotlin-compiler.jar"),
        "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
    ]
    command = [*compiler, "-kotlin-home", str(KOTLIN), *STRICT, "-d", str(target)]
    if classpath:
        command += ["-classpath", ":".join(str(path) for path in classpath)]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def compile_decoder(folder: Path) -> list[Path]:
    """Compile the library by itself, the adapters with the shims, and the commands; return what to run."""
    install_compiler()
    library, shims, adapters, commands = (folder / name for name in ("library", "shims", "adapters", "commands"))
    kotlinc(library, [], SOURCES / "decoder/src/main/kotlin")
    java = [str(path) for path in sorted((HERE / "shims").rglob("*.java"))]
    subprocess.run(["javac", "--release", "11", "-Xlint:-options", "-d", str(shims), *java], check=True)
    kotlinc(
        adapters, [library, shims], *(SOURCES / f"{name}/src/main/kotlin" for name in ("onnxruntime", "executorch"))
    )
    friend = f"-Xfriend-paths={library}"
    kotlinc(commands, [library, shims, adapters], "-Xexplicit-api=disable", friend, HERE / "Commands.kt")
    return [library, shims, adapters, commands, KOTLIN / "lib/kotlin-stdlib.jar"]


class Decoder:
    """A running decoder. Its graphs are run here, by name or, as ExecuTorch does, by place."""

    def __init__(self, classpath: list[Path]) -> None:
        command = [
            "java",
            "-Xmx512m",
            "-cp",
            ":".join(str(path) for path in classpath),
            "transducer.decoder.CommandsKt",
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdout, self._process.stdin
        self._sessions: dict[str, Any] = {}
        # Graphs by file name: those that were loaded, and the shapes of inputs of every run.
        self.loads: list[str] = []
        self.runs: list[tuple[str, dict[str, tuple[int, ...]]]] = []

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()
        self._process.wait(timeout=60)

    def do(self, command: str, **arguments: Any) -> Any:
        """Carry out a command, serving the graphs that it runs, and return its answer."""
        self._send(text(json.dumps({"do": command, **arguments})))
        while True:
            kind = self._in.read(1)
            assert kind, "the decoder ended; its standard error says why"
            if kind == b"J":
                return json.loads(self._text())
            path = self._text()
            inputs = self._tensors() if kind == b"R" else {}
            name = self._text() if kind == b"N" else ""
            if kind == b"L":
                self.loads.append(Path(path).name)
            try:
                session = self._session(path)
                answer = b"O"
                if kind == b"R":
                    answer += self._run(path, session, inputs)
                elif kind == b"N":
                    end, _, axis = name.partition("_")
                    answer += struct.pack(">q", getattr(session, "bounds", BOUNDS)[axis][("min", "max").index(end)])
            except Exception as error:  # whatever the runtime raises is the adapter's to tell
                answer = b"E" + text(str(error))
            self._send(answer)

    def forget_graphs(self) -> None:
        """Load graphs again, which were changed."""
        self._sessions.clear()

    def _session(self, path: str) -> Any:
        if path not in self._sessions:
            # A real .pte lies beside its manifest; others are graphs for ONNX Runtime under its name.
            real = path.endswith(".pte") and Path(path).with_suffix(".json").exists()
            self._sessions[path] = open_pte(Path(path)) if real else open_session(Path(path), threads=1)
        return self._sessions[path]

    def _run(self, path: str, session: Any, inputs: dict[str, NDArray[Any]]) -> bytes:
        self.runs.append((Path(path).name, {name: value.shape for name, value in inputs.items()}))
        if "0" in inputs:
            inputs = dict(zip((value.name for value in session.get_inputs()), inputs.values(), strict=True))
        names = [value.name for value in session.get_outputs()]
        found = zip(names, session.run(names, inputs), strict=True)
        return struct.pack(">i", len(names)) + b"".join(text(name) + tensor(value) for name, value in found)

    def _tensors(self) -> dict[str, NDArray[Any]]:
        found = {}
        for _ in range(self._int()):
            name, dtype = self._text(), DTYPES[self._in.read(1).decode()]
            rank = self._int()
            shape = struct.unpack(f">{rank}q", self._in.read(8 * rank))
            values = np.frombuffer(self._in.read(self._int()), dtype)
            found[name] = values.astype(values.dtype.newbyteorder("=")).reshape(shape)
        return found

    def _send(self, message: bytes) -> None:
        self._out.write(message)
        self._out.flush()

    def _int(self) -> int:
        return int(struct.unpack(">i", self._in.read(4))[0])

    def _text(self) -> str:
        return self._in.read(self._int()).decode()


def text(value: str) -> bytes:
    content = value.encode()
    return struct.pack(">i", len(content)) + content


def tensor(array: NDArray[Any]) -> bytes:
    kind = "f" if array.dtype == np.float32 else "l"
    content = array.astype(DTYPES[kind]).tobytes()
    shape = struct.pack(f">i{array.ndim}q", array.ndim, *array.shape)
    return kind.encode() + shape + struct.pack(">i", len(content)) + content
