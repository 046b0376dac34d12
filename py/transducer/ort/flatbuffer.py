"""ONNX Runtime's flatbuffer files (.ort), written so that equal graphs are equal bytes.

Example:
    path.write_bytes(in_fixed_order(path.read_bytes()))
"""

from typing import Any

from flatbuffers import Builder
from onnxruntime.tools.ort_format_model import ort_flatbuffers_py  # noqa: F401  makes `fbs` below importable
from ort_flatbuffers_py.fbs import (
    ArgTypeAndIndex,
    InferenceSession,
    KernelTypeStrArgsEntry,
    KernelTypeStrResolver,
    OpIdKernelTypeStrArgsEntry,
)

# Room for what is written before the model; the builder takes more if it must.
ROOM = 1 << 16


def in_fixed_order(content: bytes) -> bytes:
    """Return an .ort file whose table of operators' types is written by operator, not in the order of a hash map.

    That order differs from run to run, because the hash depends on where the program was loaded. The table comes
    before the model, which stays as it is: offsets in a flatbuffer point forward only, so the model and all that it
    has lie behind its own table, or behind that table's layout (its vtable) if that is before it.
    """
    session = InferenceSession.InferenceSession.GetRootAs(content, 0)
    model = session.Model()._tab
    begin = min(model.Pos, model.Pos - int.from_bytes(content[model.Pos : model.Pos + 4], "little", signed=True))
    tail = content[begin:]
    builder = Builder(0)
    builder.Bytes = bytearray(ROOM) + tail
    builder.head = ROOM
    # Alignment counts from the end of a file, whose length is a multiple of the largest there is.
    builder.minalign = len(content) & -len(content) & 15 or 16
    version = builder.CreateString(session.OrtVersion())
    resolver = _resolver(builder, session.KernelTypeStrResolver())
    InferenceSession.Start(builder)
    InferenceSession.AddOrtVersion(builder, version)
    InferenceSession.AddModel(builder, len(tail) - (model.Pos - begin))
    InferenceSession.AddKernelTypeStrResolver(builder, resolver)
    builder.Finish(InferenceSession.End(builder), b"ORTM")
    return bytes(builder.Output())


def _resolver(builder: Builder, resolver: Any) -> int:
    """Write for every operator, in order of its id, which of its inputs and outputs its types are found at."""
    operators = []
    for operator in _entries(resolver, "OpKernelTypeStrArgs"):
        types = []
        for entry in _entries(operator, "KernelTypeStrArgs"):
            places = []
            for place in _entries(entry, "Args"):
                ArgTypeAndIndex.Start(builder)
                ArgTypeAndIndex.AddArgType(builder, place.ArgType())
                ArgTypeAndIndex.AddIndex(builder, place.Index())
                places.append(ArgTypeAndIndex.End(builder))
            name, args = builder.CreateString(entry.KernelTypeStr()), _vector(builder, places)
            KernelTypeStrArgsEntry.Start(builder)
            KernelTypeStrArgsEntry.AddKernelTypeStr(builder, name)
            KernelTypeStrArgsEntry.AddArgs(builder, args)
            types.append(KernelTypeStrArgsEntry.End(builder))
        op_id, args = builder.CreateString(operator.OpId()), _vector(builder, types)
        OpIdKernelTypeStrArgsEntry.Start(builder)
        OpIdKernelTypeStrArgsEntry.AddOpId(builder, op_id)
        OpIdKernelTypeStrArgsEntry.AddKernelTypeStrArgs(builder, args)
        operators.append(OpIdKernelTypeStrArgsEntry.End(builder))
    args = _vector(builder, operators)
    KernelTypeStrResolver.Start(builder)
    KernelTypeStrResolver.AddOpKernelTypeStrArgs(builder, args)
    return int(KernelTypeStrResolver.End(builder))


def _entries(table: Any, name: str) -> list[Any]:
    """Return the tables of a vector, which are in order of their keys already."""
    return [getattr(table, name)(index) for index in range(getattr(table, f"{name}Length")())]


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
