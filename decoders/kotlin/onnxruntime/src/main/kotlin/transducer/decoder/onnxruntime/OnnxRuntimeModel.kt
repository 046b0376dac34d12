package transducer.decoder.onnxruntime

import transducer.decoder.Matrix
import transducer.decoder.RuntimeMeta
import transducer.decoder.StepOutput
import transducer.decoder.SwipeModel
import transducer.decoder.SwipePackage
import transducer.decoder.orClose
import transducer.decoder.transposed
import java.io.File

/**
 * A swipe model in ONNX Runtime: `com.microsoft.onnxruntime:onnxruntime-android`, or `onnxruntime` on a desktop.
 *
 * @param encoder encoder.onnx or a variant of it, also in ORT format.
 * @param step rnnt_step.onnx.
 * @param threads a swipe is short: more than one or two do not help.
 * @throws DecoderException.BadGraph if a graph does not load.
 */
public class OnnxRuntimeModel(meta: RuntimeMeta, encoder: File, step: File, threads: Int = 1) : SwipeModel {
    private val encoder = OrtGraph(encoder, threads)
    private val step = orClose(listOf(this.encoder)) { OrtStep(step, meta.dims.getValue("L")) }

    public companion object {
        /**
         * Open the graphs of a package.
         *
         * @param variant the encoder's; by default the only one for ONNX Runtime, or fp32.
         * @throws DecoderException BadPackage, MissingFile, HashMismatch or BadGraph.
         */
        public fun open(files: SwipePackage, variant: String? = null, threads: Int = 1): OnnxRuntimeModel {
            fun usual(role: String) = files.variants(role).filterNot { it.endsWith("pte") }.singleOrNull() ?: "fp32"
            val encoder = files.graph("encoder", variant ?: usual("encoder"))
            return OnnxRuntimeModel(files.meta, encoder, files.graph("rnnt_step", usual("rnnt_step")), threads)
        }
    }

    override fun encode(features: Matrix): Matrix {
        val (frames, width) = listOf(features.rows.toLong(), features.columns.toLong())
        val turned = transposed(features.values, features.rows, features.columns)
        val inputs = mapOf("features" to encoder.floats(turned, 1, width, frames), "length" to encoder.longs(longArrayOf(frames), 1))
        return encoder.run(inputs) { outputs ->
            val encoded = outputs.tensor("encoder_output")
            val (_, depth, count) = encoded.info.shape.map { it.toInt() }
            Matrix(transposed(encoded.floatArray(), depth, count), count, depth)
        }
    }

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput = step.step(frames, labels, h, c)

    override fun close() {
        encoder.close()
        step.close()
    }
}
