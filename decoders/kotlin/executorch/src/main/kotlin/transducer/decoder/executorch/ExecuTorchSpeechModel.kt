package transducer.decoder.executorch

import transducer.decoder.DecoderException
import transducer.decoder.Matrix
import transducer.decoder.SpeechMeta
import transducer.decoder.SpeechModel
import transducer.decoder.SpeechPackage
import transducer.decoder.StepOutput
import transducer.decoder.orClose
import java.io.File

/**
 * A speech model in ExecuTorch: `org.pytorch:executorch-android`.
 *
 * @param frontend frontend.pte, which says itself how long the recordings are that it takes.
 * @param encoder encoder.xnnpack.pte or a variant of it.
 * @param step rnnt_step.pte.
 * @param threads of the encoder.
 * @throws DecoderException.BadGraph if a graph does not load.
 */
public class ExecuTorchSpeechModel(private val meta: SpeechMeta, frontend: File, encoder: File, step: File, threads: Int = 2) : SpeechModel {
    private val frontend = EtGraph(frontend, 1)
    private val encoder = orClose(listOf(this.frontend)) { EtGraph(encoder, threads) }
    private val step = orClose(listOf(this.frontend, this.encoder)) { EtStep(step, meta.dims.getValue("L").toLong()) }
    private val samples = orClose(listOf(this.frontend, this.encoder, this.step)) { this.frontend.sizes("samples") }

    public companion object {
        /**
         * Open the graphs of a package.
         *
         * @param variant the encoder's; by default the only one for ExecuTorch, or xnnpack.pte.
         * @throws DecoderException BadPackage, MissingFile, HashMismatch or BadGraph.
         */
        public fun open(files: SpeechPackage, variant: String? = null, threads: Int = 2): ExecuTorchSpeechModel {
            fun usual(role: String) = usual(files.variants(role))
            val (frontend, step) = listOf("frontend", "rnnt_step").map { files.graph(it, usual(it)) }
            return ExecuTorchSpeechModel(files.meta, frontend, files.graph("encoder", variant ?: usual("encoder")), step, threads)
        }
    }

    /** @throws DecoderException.BadAudio if the recording is longer than the graphs take. */
    override fun encode(wave: FloatArray): Matrix {
        val count = wave.size.toLong()
        if (count !in samples) {
            throw DecoderException.BadAudio(
                "The recording holds %.1f s of audio, and the graphs take up to %.1f s; cut it in pauses."
                    .format(count.toDouble() / meta.sampleRate, samples.last.toDouble() / meta.sampleRate),
            )
        }
        val (features, length) = frontend.run(floats(wave, 1, count), longs(longArrayOf(count), 1))
        val (encoded, lengths) = encoder.run(floats(features.dataAsFloatArray, *features.shape()), longs(length.dataAsLongArray, 1))
        return frames(encoded, lengths)
    }

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput = step.step(frames, labels, h, c)

    override fun close() {
        frontend.close()
        encoder.close()
        step.close()
    }
}
