package transducer.decoder.onnxruntime

import transducer.decoder.Matrix
import transducer.decoder.SpeechMeta
import transducer.decoder.SpeechModel
import transducer.decoder.SpeechPackage
import transducer.decoder.StepOutput
import transducer.decoder.orClose
import transducer.decoder.transposed
import java.io.File

/**
 * A speech model in ONNX Runtime: `com.microsoft.onnxruntime:onnxruntime-android`, or `onnxruntime` on a desktop.
 *
 * @param frontend frontend.onnx.
 * @param encoder encoder.onnx or a variant of it, also in ORT format.
 * @param step rnnt_step.onnx.
 * @param threads of the encoder.
 * @throws DecoderException.BadGraph if a graph does not load.
 */
public class OnnxRuntimeSpeechModel(meta: SpeechMeta, frontend: File, encoder: File, step: File, threads: Int = 2) : SpeechModel {
    private val frontend = OrtGraph(frontend, 1)
    private val encoder = orClose(listOf(this.frontend)) { OrtGraph(encoder, threads) }
    private val step = orClose(listOf(this.frontend, this.encoder)) { OrtStep(step, meta.dims.getValue("L")) }

    public companion object {
        /**
         * Open the graphs of a package.
         *
         * @param variant the encoder's; by default the only one for ONNX Runtime, or fp32.
         * @throws DecoderException BadPackage, MissingFile, HashMismatch or BadGraph.
         */
        public fun open(files: SpeechPackage, variant: String? = null, threads: Int = 2): OnnxRuntimeSpeechModel {
            fun usual(role: String) = files.variants(role).filterNot { it.endsWith("pte") }.singleOrNull() ?: "fp32"
            val (frontend, step) = listOf("frontend", "rnnt_step").map { files.graph(it, usual(it)) }
            return OnnxRuntimeSpeechModel(files.meta, frontend, files.graph("encoder", variant ?: usual("encoder")), step, threads)
        }
    }

    override fun encode(wave: FloatArray): Matrix {
        val samples = wave.size.toLong()
        val heard = mapOf("waveform" to frontend.floats(wave, 1, samples), "length" to frontend.longs(longArrayOf(samples), 1))
        val inputs = frontend.run(heard) { outputs ->
            val features = outputs.tensor("audio_signal")
            mapOf(
                "audio_signal" to encoder.floats(features.floatArray(), *features.info.shape),
                "length" to encoder.longs(outputs.tensor("length_out").longArray(), 1),
            )
        }
        return encoder.run(inputs) { outputs ->
            val encoded = outputs.tensor("encoder_output")
            val (_, depth, count) = encoded.info.shape.map { it.toInt() }
            val frames = transposed(encoded.floatArray(), depth, count)
            val length = outputs.tensor("encoded_lengths").longArray().first().toInt()
            Matrix(frames.copyOf(length * depth), length, depth)
        }
    }

    override fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput = step.step(frames, labels, h, c)

    override fun close() {
        frontend.close()
        encoder.close()
        step.close()
    }
}
