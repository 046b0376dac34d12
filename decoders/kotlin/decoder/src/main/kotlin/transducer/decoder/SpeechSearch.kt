package transducer.decoder

import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.max

/** A label, the encoder frame where it was found, its duration in frames (0 for RNN-T), and its probability. */
public class Label(public val id: Int, public val frame: Int, public val duration: Int, public val confidence: Double)

/** The labels of a hypothesis, their log probability over all alignments found, and the score that it is ranked by. */
public class Hypothesis(public val labels: List<Label>, public val logProb: Double, public val score: Double)

/**
 * Beam search of RNN-T and TDT models, one recording: `docs/decoding.md` specifies it, and
 * `py/transducer/decoding/beam_search.py` is the reference. With a beam of 1 and no bias it is the greedy search.
 *
 * @param beam prefixes kept.
 * @param bias what steers it beside the model.
 */
public class SpeechSearch(private val meta: SpeechMeta, private val model: StepModel, private val beam: Int, private val bias: Bias? = null) {
    private val blank = meta.blankId
    private val layers = meta.dims.getValue("L")
    private val width = meta.dims.getValue("H")
    private val threshold = if (bias == null) THRESHOLD else STEERED_THRESHOLD
    private val spans = meta.durations.ifEmpty { listOf(0) }

    /** States [layers, batch, width] of several prefixes. */
    private class States(val h: FloatArray, val c: FloatArray, val batch: Int)

    /** An alignment's last label, and the rest of it. */
    private class Link(val before: Link?, val label: Label)

    /** A prefix and the frame that it sees next. The states are those before its last label, in row `row` of `states`. */
    private data class Prefix(
        val number: Int,
        val link: Link?,
        val frame: Int,
        val last: Int,
        val states: States,
        val row: Int,
        val bias: Int,
        val logProb: Double,
        val score: Double,
    )

    private class Arc(val row: Int, val label: Int, val span: Int, val logProb: Double, val score: Double, val confidence: Double)

    /** Numbers of prefixes by the number before and the label. */
    private val numbers = HashMap<Pair<Int, Int>, Int>()

    /**
     * Return the hypotheses of encoder frames [T, D], the best first.
     *
     * @param watch called before every step with the frame, and the labels and scores of the prefixes that go on.
     */
    public fun decode(frames: Matrix, watch: ((Int, List<List<Int>>, List<Double>) -> Unit)? = null): List<Hypothesis> {
        numbers.clear()
        val zeros = States(FloatArray(layers * width), FloatArray(layers * width), 1)
        var prefixes = listOf(Prefix(0, null, 0, blank, zeros, 0, 0, 0.0, 0.0))
        var before = -1
        var symbols = 0
        while (true) {
            val now = prefixes.minOf { it.frame }
            if (now >= frames.rows) break
            symbols = if (now == before) symbols + 1 else 0
            before = now
            val (due, waiting) = prefixes.partition { it.frame == now }
            val every = (merged(due) + waiting).sortedByDescending { it.score }.take(beam)
            val going = every.filter { it.frame == now && it.score >= every[0].score - threshold }
            if (going.isNotEmpty()) watch?.invoke(now, going.map { row -> labels(row.link).map { it.id } }, going.map { it.score })
            prefixes = if (going.isEmpty()) waiting else waiting + grown(frames, now, going, symbols == meta.maxSymbols - 1)
        }
        return merged(prefixes.map { it.copy(frame = frames.rows) })
            .map { Hypothesis(labels(it.link), it.logProb, it.score + (bias?.end(it.bias) ?: 0.0)) }
            .sortedByDescending { it.score }
    }

    /** Return the likeliest successors of prefixes at a frame: after the blank, or one label longer. */
    private fun grown(frames: Matrix, frame: Int, prefixes: List<Prefix>, lastSymbol: Boolean): List<Prefix> {
        val count = prefixes.size
        val stepped = step(frames, frame, prefixes)
        val states = States(stepped.h, stepped.c, count)
        val size = stepped.logits.size / count
        val labels = List(count) { logSoftmax(stepped.logits, it * size, blank + 1) }
        val durations = List(count) {
            if (meta.durations.isEmpty()) doubleArrayOf(0.0) else logSoftmax(stepped.logits, it * size + blank + 1, spans.size)
        }
        val gains = prefixes.map { bias?.gains(it.bias) }
        fun score(row: Int, label: Int) = prefixes[row].score + labels[row][label] + (if (label == blank) 0.0 else gains[row]?.get(label) ?: 0.0)
        val longest = durations.map { it.max() }
        val least = (0 until count).maxOf { row -> (0..blank).maxOf { score(row, it) } + longest[row] } - threshold
        val arcs = ArrayList<Arc>()
        for (row in 0 until count) {
            for (label in 0..blank) {
                val reached = score(row, label)
                if (reached + longest[row] < least) continue
                for (span in spans.indices) {
                    val total = reached + durations[row][span]
                    if (total < least) continue
                    val logProb = prefixes[row].logProb + labels[row][label] + durations[row][span]
                    arcs += Arc(row, label, span, logProb, total, exp(labels[row][label]))
                }
            }
        }
        return arcs.sortedByDescending { it.score }.take(beam).map { arc ->
            val from = prefixes[arc.row]
            val next = frame + max(spans[arc.span], if (arc.label == blank || lastSymbol) 1 else 0)
            if (arc.label == blank) return@map from.copy(frame = next, logProb = arc.logProb, score = arc.score)
            Prefix(
                numbers.getOrPut(from.number to arc.label) { numbers.size + 1 },
                Link(from.link, Label(arc.label, frame, spans[arc.span], arc.confidence)),
                next,
                arc.label,
                states,
                arc.row,
                bias?.follow(from.bias, arc.label) ?: 0,
                arc.logProb,
                arc.score,
            )
        }
    }

    private fun step(frames: Matrix, frame: Int, prefixes: List<Prefix>): StepOutput {
        val count = prefixes.size
        val inputs = FloatArray(count * frames.columns)
        val h = FloatArray(layers * count * width)
        val c = FloatArray(layers * count * width)
        prefixes.forEachIndexed { row, prefix ->
            frames.values.copyInto(inputs, row * frames.columns, frame * frames.columns, (frame + 1) * frames.columns)
            for (layer in 0 until layers) {
                val from = (layer * prefix.states.batch + prefix.row) * width
                prefix.states.h.copyInto(h, (layer * count + row) * width, from, from + width)
                prefix.states.c.copyInto(c, (layer * count + row) * width, from, from + width)
            }
        }
        return model.step(inputs, LongArray(count) { prefixes[it].last.toLong() }, h, c)
    }

    /** Prefixes of the same labels as one, their probabilities added; the likeliest alignment stays known. */
    private fun merged(prefixes: List<Prefix>): List<Prefix> = prefixes.groupBy { it.number }.values.map { group ->
        val likeliest = group.maxBy { it.logProb }
        val logProb = likeliest.logProb + ln(group.sumOf { exp(it.logProb - likeliest.logProb) })
        likeliest.copy(logProb = logProb, score = likeliest.score + logProb - likeliest.logProb)
    }

    private fun labels(link: Link?): List<Label> = generateSequence(link) { it.before }.map { it.label }.toList().reversed()

    private fun logSoftmax(logits: FloatArray, start: Int, size: Int): DoubleArray {
        val most = (start until start + size).maxOf { logits[it] }.toDouble()
        val sum = ln((start until start + size).sumOf { exp(logits[it] - most) })
        return DoubleArray(size) { logits[start + it] - most - sum }
    }

    private companion object {
        /** Nats behind the best at which a prefix is dropped, also where something steers, which may bring it back. */
        const val THRESHOLD = 2.5
        const val STEERED_THRESHOLD = 5.0
    }
}
