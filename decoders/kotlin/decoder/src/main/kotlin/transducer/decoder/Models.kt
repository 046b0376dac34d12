package transducer.decoder

import java.io.Closeable

/** A predictor and joint, for searches. Implementations throw [DecoderException.BadGraph] where a graph fails. */
public interface StepModel : Closeable {
    /**
     * Run the predictor and joint for B prefixes at once. All arrays are row-major.
     *
     * @param frames [B, D] encoder frames.
     * @param labels [B] last labels, the blank's id at the beginning.
     * @param h, c [L, B, H] the predictor's states before these labels.
     */
    public fun step(frames: FloatArray, labels: LongArray, h: FloatArray, c: FloatArray): StepOutput
}

/** A swipe model: the one seam to an inference engine. */
public interface SwipeModel : StepModel {
    /** Return the encoder's frames [T_enc, D] of features [T, F]. */
    public fun encode(features: Matrix): Matrix
}

/** A speech model: the one seam to an inference engine. */
public interface SpeechModel : StepModel {
    /** Return the encoder's frames [T_enc, D] of samples at the model's rate. */
    public fun encode(wave: FloatArray): Matrix
}

/** Raw logits [B, V + K] of V labels and K durations, and the states [L, B, H] after the labels. */
public class StepOutput(public val logits: FloatArray, public val h: FloatArray, public val c: FloatArray)

/** Return a matrix [rows, columns] as [columns, rows], both row-major. */
public fun transposed(values: FloatArray, rows: Int, columns: Int): FloatArray {
    val turned = FloatArray(rows * columns)
    for (row in 0 until rows) for (column in 0 until columns) turned[column * rows + row] = values[row * columns + column]
    return turned
}

/** Return what `open` opens; where it fails, close what was opened before. */
public fun <T> orClose(opened: List<Closeable>, open: () -> T): T = try {
    open()
} catch (error: DecoderException) {
    opened.forEach { it.close() }
    throw error
}
