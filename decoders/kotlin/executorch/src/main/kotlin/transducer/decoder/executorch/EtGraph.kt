package transducer.decoder.executorch

import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import transducer.decoder.DecoderException
import transducer.decoder.Matrix
import transducer.decoder.StepModel
import transducer.decoder.StepOutput
import transducer.decoder.transposed
import java.io.Closeable
import java.io.File

/** A graph in ExecuTorch, by one method. @throws DecoderException.BadGraph if it does not load. */
// ExecuTorch throws unchecked exceptions of its own, and others from its native side.
@Suppress("TooGenericExceptionCaught")
internal class EtGraph(private val file: File, threads: Int) : Closeable {
    private val module = try {
        Module.load(file.path, Module.LOAD_MODE_MMAP, threads).apply { loadMethod("forward") }
    } catch (error: RuntimeException) {
        throw DecoderException.BadGraph("$file cannot be loaded (${reason(error)}); package the model again.", error)
    }

    fun run(vararg inputs: EValue): List<Tensor> = try {
        module.forward(*inputs).map { it.toTensor() }
    } catch (error: RuntimeException) {
        throw DecoderException.BadGraph("A graph failed (${reason(error)}); use graphs and metadata of one package.", error)
    }

    /** Return the sizes of an axis that the file says it takes. */
    fun sizes(axis: String): LongRange = number("min_$axis")..number("max_$axis")

    override fun close(): Unit = module.destroy()

    private fun number(name: String): Long = try {
        module.execute(name).single().toInt()
    } catch (error: RuntimeException) {
        throw DecoderException.BadGraph("$file does not tell $name (${reason(error)}); package the model again.", error)
    }

    private fun reason(error: RuntimeException) = error.message.orEmpty().lineSequence().first().trimEnd('.')
}

internal fun floats(values: FloatArray, vararg shape: Long): EValue = EValue.from(Tensor.fromBlob(values, shape))

internal fun longs(values: LongArray, vararg shape: Long): EValue = EValue.from(Tensor.fromBlob(values, shape))

/** rnnt_step.pte of a model whose predictor has so many layers. One thread: it is small. */
internal class EtStep(file: File, private val layers: Long) : StepModel {
    private val graph = EtGraph(file, 1)

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput {
        val batch = labels.size.toLong()
        val (logits, hOut, cOut) = graph.run(
            floats(frames, batch, frames.size / batch),
            longs(labels, batch),
            floats(h, layers, batch, h.size / layers / batch),
            floats(c, layers, batch, c.size / layers / batch),
        )
        return StepOutput(logits.dataAsFloatArray, hOut.dataAsFloatArray, cOut.dataAsFloatArray)
    }

    override fun close(): Unit = graph.close()
}

/** Return an encoder's frames [1, D, T] of one utterance, of which `lengths` [1] count, as [T, D]. */
internal fun frames(encoded: Tensor, lengths: Tensor): Matrix {
    val (_, depth, count) = encoded.shape().map { it.toInt() }
    val length = lengths.dataAsLongArray.first().toInt()
    return Matrix(transposed(encoded.dataAsFloatArray, depth, count).copyOf(length * depth), length, depth)
}

/** Return the only variant for ExecuTorch, or the usual one of several. */
internal fun usual(variants: Set<String>): String = variants.singleOrNull { it.endsWith("pte") } ?: "xnnpack.pte"
