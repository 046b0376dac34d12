"""What sherpa-onnx asks of NeMo transducers.

Example:
    require_supported(model, "sherpa-onnx", FRONTEND)
    set_metadata(graph, encoder_props(model))
"""

import math

import onnx
import onnx.parser

from transducer.core.onnx_files import set_metadata
from transducer.package.facts import Model
from transducer.package.foreign import frontend_of
from transducer.package.graphs import expose

# Graphs under the names that its examples use.
FILES = {"encoder": "encoder", "encoder_streaming": "encoder", "predictor": "decoder", "joint": "joiner"}
# What sherpa-onnx's frontend for NeMo models follows besides; where it has settings of its own, the README says so.
FRONTEND = {"normalize": ["per_feature", ""]}

# What sherpa-onnx raises a faint power to before it takes the logarithm, and what NeMo adds to every power instead.
FLOOR = 1.1920929e-7
GUARD = 2.0**-24

# What goes around a streaming encoder, which takes the place of `Encoder`.
ADAPTER = """
online (
    float[B,{features},{shift}] audio_signal,
    int64[B] length,
    float[B,{all_layers},{cache},{width}] cache_last_channel,
    float[B,{layers},{width},{conv}] cache_last_time,
    int64[B] cache_last_channel_len
) => (
    float[B,{width},T_enc] encoder_output,
    int64[B] encoded_lengths,
    float[B,{all_layers},{cache},{width}] cache_last_channel_out,
    float[B,{layers},{width},{conv}] cache_last_time_out,
    int64[B] cache_last_channel_len_out
) {{
    zero = Constant <value_ints = [0]> ()
    axis_1 = Constant <value_ints = [1]> ()
    axis_2 = Constant <value_ints = [2]> ()
    layers = Constant <value_ints = [{layers}]> ()
    all_layers = Constant <value_ints = [{all_layers}]> ()
    as_rows = Constant <value_ints = [0, -1]> ()

    carried_layers = Slice (cache_last_channel, layers, all_layers, axis_1)
    carried_values = Reshape (carried_layers, as_rows)
    before_values = Constant <value_ints = [{before_values}]> ()
    carried = Slice (carried_values, zero, before_values, axis_1)
    as_frames = Constant <value_ints = [0, {features}, {before}]> ()
    frames_before = Reshape (carried, as_frames)
    power = Exp (audio_signal)
    guard = Constant <value_float = {guard}> ()
    guarded_power = Add (power, guard)
    log_power = Log (guarded_power)
    floor = Constant <value_float = {floor}> ()
    is_faint = LessOrEqual (audio_signal, floor)
    log_guard = Log (guard)
    signal = Where (is_faint, log_guard, log_power)
    frames = Concat <axis = 2> (frames_before, signal)

    window = Constant <value_ints = [{window}]> ()
    inner_signal = Slice (frames, zero, window, axis_2)
    longer = Constant <value_ints = [{longer}]> ()
    inner_length = Add (length, longer)
    own_layers = Slice (cache_last_channel, zero, layers, axis_1)
    inner_channel = Transpose <perm = [1, 0, 2, 3]> (own_layers)
    inner_time = Transpose <perm = [1, 0, 2, 3]> (cache_last_time)
    encoder_output, encoded_lengths, inner_channel_out, inner_time_out, cache_last_channel_len_out =
        Encoder (inner_signal, inner_length, inner_channel, inner_time, cache_last_channel_len)

    shift = Constant <value_ints = [{shift}]> ()
    end = Constant <value_ints = [{end}]> ()
    last_frames = Slice (frames, shift, end, axis_2)
    last_values = Reshape (last_frames, as_rows)
    filler = Constant <value_ints = [0, 0, 0, {filler}]> ()
    filled_values = Pad (last_values, filler)
    as_layers = Constant <value_ints = [0, {carrying}, {cache}, {width}]> ()
    next_layers = Reshape (filled_values, as_layers)
    own_layers_out = Transpose <perm = [1, 0, 2, 3]> (inner_channel_out)
    cache_last_channel_out = Concat <axis = 1> (own_layers_out, next_layers)
    cache_last_time_out = Transpose <perm = [1, 0, 2, 3]> (inner_time_out)
}}
"""


def file_name(role: str, variant: str) -> str:
    """Return a graph's name in a package; variant "" is fp32."""
    return ".".join(filter(None, (FILES[role], variant, "onnx")))


def variants_text(model: Model) -> str:
    """Return what a package's README says of the graphs that are not fp32."""
    others = [f"`{file_name(role, variant)}`" for role, variant in sorted(model.graphs) if variant]
    return (
        f"Besides fp32 there are {', '.join(others)}: give these names instead." if others else "The graphs are fp32."
    )


def encoder_props(model: Model) -> dict[str, str]:
    """Return the metadata that sherpa-onnx reads from any encoder."""
    facts, dims = model.facts, model.facts["dims"]
    return {
        "vocab_size": str(dims["V"] - 1),
        "subsampling_factor": str(facts["subsampling_factor"]),
        "normalize_type": frontend_of(facts)["normalize"],
        "pred_rnn_layers": str(dims["L"]),
        "pred_hidden": str(dims["H"]),
        "feat_dim": str(dims["F"]),
        # The two classes that it knows: with or without a CTC head, which is not exported.
        "model_type": f"EncDec{'HybridRNNTCTC' if 'Hybrid' in facts['model_class'] else 'RNNT'}BPEModel",
        # It takes a model for TDT if its url has these letters.
        "url": facts["model_type"],
    }


def online_encoder(model: Model, graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a streaming encoder with the inputs, outputs and metadata that sherpa-onnx's online recognizer asks for.

    It gives a stream's feature frames in windows from the first on, none twice, and every window is full; caches are
    batch-first. The window's last frames, which the graph needs again, are carried in more layers of the cache of
    attention, zeros at first like all caches: what a stream's first window has before its first frame. Features become
    NeMo's: GUARD is added to their power, which where it was raised to FLOOR is taken for none.

    In: audio_signal float32 [B,F,shift_frames], length int64 [B], cache_last_channel [B,N+X,cache_T,D],
    cache_last_time [B,N,D,C], cache_last_channel_len int64 [B]; out: encoder_output [B,D,T_enc], encoded_lengths [B],
    and the caches.
    """
    streaming = model.facts["streaming"]
    features, before = model.facts["dims"]["F"], streaming["initial_padding_frames"]
    cache, width = streaming["cache_size"], streaming["d_model"]
    carrying = -(-before * features // (cache * width))
    layers = streaming["n_layers"]
    sizes = {
        "features": features,
        "before": before,
        "before_values": before * features,
        "window": streaming["window_frames"],
        "shift": streaming["shift_frames"],
        "end": streaming["shift_frames"] + before,
        "longer": streaming["window_frames"] - streaming["shift_frames"],
        "layers": layers,
        "all_layers": layers + carrying,
        "carrying": carrying,
        "cache": cache,
        "width": width,
        "conv": streaming["conv_cache_size"],
        "filler": carrying * cache * width - before * features,
        "guard": GUARD,
        # The logarithm's rounding goes either way.
        "floor": math.log(FLOOR) + 1e-5,
    }
    adapter = onnx.parser.parse_graph(ADAPTER.format(**sizes))
    place = next(index for index, node in enumerate(adapter.node) if node.op_type == "Encoder")
    call, inner = adapter.node[place], graph.graph
    expose(
        graph,
        {value.name: name for value, name in zip(inner.input, call.input, strict=True)},
        {value.name: name for value, name in zip(inner.output, call.output, strict=True)},
    )
    nodes = [*adapter.node[:place], *inner.node, *adapter.node[place + 1 :]]
    for field, values in (("node", nodes), ("input", adapter.input), ("output", adapter.output)):
        inner.ClearField(field)
        getattr(inner, field).extend(values)
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in adapter.input}
    props = {
        f"{name}_dim{axis}": str(shapes[name][axis])
        for name in ("cache_last_channel", "cache_last_time")
        for axis in (1, 2, 3)
    }
    window = {"window_size": str(sizes["shift"]), "chunk_shift": str(sizes["shift"])}
    set_metadata(graph, encoder_props(model) | props | window)
    return graph
