package transducer.decoder.executorch

import transducer.decoder.DecoderException
import transducer.decoder.Features
import transducer.decoder.Matrix
import transducer.decoder.RuntimeMeta
import transducer.decoder.StepOutput
import transducer.decoder.SwipeModel
import transducer.decoder.SwipePackage
import transducer.decoder.orClose
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
    private val encoder = EtGraph(encoder, threads)
    private val step = orClose(listOf(this.encoder)) { EtStep(step, meta.dims.getValue("L").toLong()) }
    private val lengths = orClose(listOf(this.encoder, this.step)) { this.encoder.sizes("T") }

    public companion object {
        /**
         * Open the graphs of a package.
         *
         * @param variant the encoder's; by default the only one for ExecuTorch, or xnnpack.pte.
         * @throws DecoderException BadPackage, MissingFile, HashMismatch or BadGraph.
         */
        public fun open(files: SwipePackage, variant: String? = null, threads: Int = 1): ExecuTorchModel {
            fun usual(role: String) = usual(files.variants(role))
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
        val (encoded, count) = encoder.run(floats(turned, 1, width, frames), longs(longArrayOf(frames), 1))
        return frames(encoded, count)
    }

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput = step.step(frames, labels, h, c)

    override fun close() {
        encoder.close()
        step.close()
    }
}
