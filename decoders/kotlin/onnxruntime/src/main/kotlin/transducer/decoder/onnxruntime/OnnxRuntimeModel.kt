package transducer.decoder.onnxruntime

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import transducer.decoder.DecoderException
import transducer.decoder.Matrix
import transducer.decoder.RuntimeMeta
import transducer.decoder.StepOutput
import transducer.decoder.SwipeModel
import transducer.decoder.SwipePackage
import transducer.decoder.transposed
import java.io.File
import java.nio.FloatBuffer
import java.nio.LongBuffer

/**
 * A swipe model in ONNX Runtime: `com.microsoft.onnxruntime:onnxruntime-android`, or `onnxruntime` on a desktop.
 *
 * @param encoder encoder.onnx or a variant of it, also in ORT format.
 * @param step rnnt_step.onnx.
 * @param threads a swipe is short: more than one or two do not help.
 * @throws DecoderException.BadGraph if a graph does not load.
 */
public class OnnxRuntimeModel(meta: RuntimeMeta, encoder: File, step: File, threads: Int = 1) : SwipeModel {
    private val environment = OrtEnvironment.getEnvironment()
    private val encoder = open(encoder, threads)
    private val step = try {
        open(step, 1)
    } catch (error: DecoderException) {
        this.encoder.close()
        throw error
    }
    private val layers = meta.dims.getValue("L").toLong()

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
        return run(
            encoder,
            mapOf("features" to floats(turned, 1, width, frames), "length" to longs(longArrayOf(frames), 1)),
        ) { outputs ->
            val encoded = outputs.tensor("encoder_output")
            val (_, depth, count) = encoded.info.shape.map { it.toInt() }
            Matrix(transposed(encoded.floatArray(), depth, count), count, depth)
        }
    }

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput {
        val batch = labels.size.toLong()
        val inputs = mapOf(
            "encoder_frame" to floats(frames, batch, frames.size / batch),
            "y" to longs(labels, batch),
            "h" to floats(h, layers, batch, h.size / layers / batch),
            "c" to floats(c, layers, batch, c.size / layers / batch),
        )
        return run(step, inputs) {
            StepOutput(it.tensor("logits").floatArray(), it.tensor("h_out").floatArray(), it.tensor("c_out").floatArray())
        }
    }

    override fun close() {
        encoder.close()
        step.close()
    }

    private fun open(file: File, threads: Int): OrtSession = try {
        OrtSession.SessionOptions().use { options ->
            options.setIntraOpNumThreads(threads)
            environment.createSession(file.path, options)
        }
    } catch (error: OrtException) {
        throw DecoderException.BadGraph("$file cannot be loaded (${reason(error)}); package the model again.", error)
    }

    private fun <T> run(session: OrtSession, inputs: Map<String, OnnxTensor>, read: (OrtSession.Result) -> T): T = try {
        session.run(inputs).use(read)
    } catch (error: OrtException) {
        throw DecoderException.BadGraph("A graph failed (${reason(error)}); use graphs and metadata of one package.", error)
    } finally {
        inputs.values.forEach { it.close() }
    }

    private fun reason(error: OrtException) = error.message.orEmpty().lineSequence().first().trimEnd('.')

    private fun floats(values: FloatArray, vararg shape: Long) =
        OnnxTensor.createTensor(environment, FloatBuffer.wrap(values), shape)

    private fun longs(values: LongArray, vararg shape: Long) =
        OnnxTensor.createTensor(environment, LongBuffer.wrap(values), shape)

    private fun OrtSession.Result.tensor(name: String): OnnxTensor = get(name).orElse(null) as? OnnxTensor
        ?: throw DecoderException.BadGraph("A graph has no output $name; use graphs and metadata of one package.")

    private fun OnnxTensor.floatArray(): FloatArray = floatBuffer.let { buffer -> FloatArray(buffer.remaining()).also(buffer::get) }
}
