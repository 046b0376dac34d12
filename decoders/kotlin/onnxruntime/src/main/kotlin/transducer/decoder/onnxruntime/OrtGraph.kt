package transducer.decoder.onnxruntime

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import transducer.decoder.DecoderException
import transducer.decoder.StepModel
import transducer.decoder.StepOutput
import java.io.Closeable
import java.io.File
import java.nio.FloatBuffer
import java.nio.LongBuffer

/** A graph in ONNX Runtime. @throws DecoderException.BadGraph if it does not load. */
internal class OrtGraph(file: File, threads: Int) : Closeable {
    private val environment = OrtEnvironment.getEnvironment()
    private val session = try {
        OrtSession.SessionOptions().use { options ->
            options.setIntraOpNumThreads(threads)
            environment.createSession(file.path, options)
        }
    } catch (error: OrtException) {
        throw DecoderException.BadGraph("$file cannot be loaded (${reason(error)}); package the model again.", error)
    }

    /** Run the graph; `read` gets its outputs while they are there. */
    fun <T> run(inputs: Map<String, OnnxTensor>, read: (OrtSession.Result) -> T): T = try {
        session.run(inputs).use(read)
    } catch (error: OrtException) {
        throw DecoderException.BadGraph("A graph failed (${reason(error)}); use graphs and metadata of one package.", error)
    } finally {
        inputs.values.forEach { it.close() }
    }

    fun floats(values: FloatArray, vararg shape: Long): OnnxTensor =
        OnnxTensor.createTensor(environment, FloatBuffer.wrap(values), shape)

    fun longs(values: LongArray, vararg shape: Long): OnnxTensor =
        OnnxTensor.createTensor(environment, LongBuffer.wrap(values), shape)

    override fun close(): Unit = session.close()

    private fun reason(error: OrtException) = error.message.orEmpty().lineSequence().first().trimEnd('.')
}

internal fun OrtSession.Result.tensor(name: String): OnnxTensor = get(name).orElse(null) as? OnnxTensor
    ?: throw DecoderException.BadGraph("A graph has no output $name; use graphs and metadata of one package.")

internal fun OnnxTensor.floatArray(): FloatArray = floatBuffer.let { buffer -> FloatArray(buffer.remaining()).also(buffer::get) }

internal fun OnnxTensor.longArray(): LongArray = longBuffer.let { buffer -> LongArray(buffer.remaining()).also(buffer::get) }

/** rnnt_step.onnx of a model whose predictor has so many layers. One thread: it is small. */
internal class OrtStep(file: File, private val layers: Int) : StepModel {
    private val graph = OrtGraph(file, 1)

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput {
        val batch = labels.size.toLong()
        val inputs = mapOf(
            "encoder_frame" to graph.floats(frames, batch, frames.size / batch),
            "y" to graph.longs(labels, batch),
            "h" to graph.floats(h, layers.toLong(), batch, h.size / layers / batch),
            "c" to graph.floats(c, layers.toLong(), batch, c.size / layers / batch),
        )
        return graph.run(inputs) {
            StepOutput(it.tensor("logits").floatArray(), it.tensor("h_out").floatArray(), it.tensor("c_out").floatArray())
        }
    }

    override fun close(): Unit = graph.close()
}
