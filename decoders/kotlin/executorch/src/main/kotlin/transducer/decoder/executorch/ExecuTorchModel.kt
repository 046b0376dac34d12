package transducer.decoder.executorch

import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import transducer.decoder.DecoderException
import transducer.decoder.Features
import transducer.decoder.Matrix
import transducer.decoder.RuntimeMeta
import transducer.decoder.StepOutput
import transducer.decoder.SwipeModel
import transducer.decoder.SwipePackage
import transducer.decoder.transposed
import java.io.File

/**
 * A swipe model in ExecuTorch: `org.pytorch:executorch-android`.
 *
 * @param encoder encoder.xnnpack.pte or a variant of it, which says itself how long the swipes are that it takes.
 * @param step rnnt_step.pte.
 * @param threads a swipe is short: more than one or two do not help.
 * @throws DecoderException.BadGraph if a graph does not load.
 */
public class ExecuTorchModel(meta: RuntimeMeta, encoder: File, step: File, threads: Int = 1) : SwipeModel {
    private val encoder = load(encoder, threads)
    private val step = load(step, 1)
    private val layers = meta.dims.getValue("L").toLong()
    private val lengths = number(this.encoder, "min_T")..number(this.encoder, "max_T")

    public companion object {
        /**
         * Open the graphs of a package.
         *
         * @param variant the encoder's; by default the only one for ExecuTorch, or xnnpack.pte.
         * @throws DecoderException BadPackage, MissingFile, HashMismatch or BadGraph.
         */
        public fun open(files: SwipePackage, variant: String? = null, threads: Int = 1): ExecuTorchModel {
            fun usual(role: String) = files.variants(role).singleOrNull { it.endsWith("pte") } ?: "xnnpack.pte"
            val encoder = files.graph("encoder", variant ?: usual("encoder"))
            return ExecuTorchModel(files.meta, encoder, files.graph("rnnt_step", usual("rnnt_step")), threads)
        }
    }

    override fun encode(features: Matrix): Matrix {
        val (frames, width) = listOf(features.rows.toLong(), features.columns.toLong())
        if (frames !in lengths) {
            val (length, advice) = if (frames < lengths.first) "short" to "wait for more of it" else "long" to "cut it"
            throw DecoderException.BadTrace(
                "The swipe is too $length: the encoder takes ${lengths.first} to ${lengths.last} frames of " +
                    "${Features.FRAME_SECONDS} s and it has $frames; $advice.",
            )
        }
        val turned = transposed(features.values, features.rows, features.columns)
        val (encoded) = run(encoder, floats(turned, 1, width, frames), longs(longArrayOf(frames), 1))
        val (_, depth, count) = encoded.shape().map { it.toInt() }
        return Matrix(transposed(encoded.dataAsFloatArray, depth, count), count, depth)
    }

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput {
        val batch = labels.size.toLong()
        val (logits, hOut, cOut) = run(
            step,
            floats(frames, batch, frames.size / batch),
            longs(labels, batch),
            floats(h, layers, batch, h.size / layers / batch),
            floats(c, layers, batch, c.size / layers / batch),
        )
        return StepOutput(logits.dataAsFloatArray, hOut.dataAsFloatArray, cOut.dataAsFloatArray)
    }

    override fun close() {
        encoder.destroy()
        step.destroy()
    }

    // ExecuTorch throws unchecked exceptions of its own, and others from its native side.
    @Suppress("TooGenericExceptionCaught")
    private fun load(file: File, threads: Int): Module = try {
        Module.load(file.path, Module.LOAD_MODE_MMAP, threads).apply { loadMethod("forward") }
    } catch (error: RuntimeException) {
        throw DecoderException.BadGraph("$file cannot be loaded (${reason(error)}); package the model again.", error)
    }

    @Suppress("TooGenericExceptionCaught")
    private fun run(module: Module, vararg inputs: EValue): List<Tensor> = try {
        module.forward(*inputs).map { it.toTensor() }
    } catch (error: RuntimeException) {
        throw DecoderException.BadGraph("A graph failed (${reason(error)}); use graphs and metadata of one package.", error)
    }

    @Suppress("TooGenericExceptionCaught")
    private fun number(module: Module, name: String): Long = try {
        module.execute(name).single().toInt()
    } catch (error: RuntimeException) {
        throw DecoderException.BadGraph("The encoder does not tell $name (${reason(error)}); package the model again.", error)
    }

    private fun reason(error: RuntimeException) = error.message.orEmpty().lineSequence().first().trimEnd('.')

    private fun floats(values: FloatArray, vararg shape: Long) = EValue.from(Tensor.fromBlob(values, shape))

    private fun longs(values: LongArray, vararg shape: Long) = EValue.from(Tensor.fromBlob(values, shape))
}
