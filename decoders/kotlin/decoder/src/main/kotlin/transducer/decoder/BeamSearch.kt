package transducer.decoder

import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.ln1p
import kotlin.math.max
import kotlin.math.pow

/** A word, its log probability under the model, and the score that it is ranked by. */
public class Candidate(public val word: String, public val logProb: Double, public val score: Double)

/** Called with the prefixes that have left a frame, the best first: nodes of the lexicon and their log probabilities. */
public fun interface FrameListener {
    public fun onFrame(nodes: IntArray, logProbs: DoubleArray)
}

/**
 * How to search.
 *
 * @property beam prefixes kept at most.
 * @property maxSymbols labels at most in one frame.
 * @property priorWeight of the words' log prior, which guides the search as soon as a prefix excludes likelier words.
 * @property lengthPower the log probability of a word is divided by its letters to this power.
 * @property threshold nats that the rank of a prefix kept may lie below the best one's.
 */
public data class SearchOptions(
    public val beam: Int = 16,
    public val maxSymbols: Int = 10,
    public val priorWeight: Double = 0.5,
    public val lengthPower: Double = 0.0,
    public val threshold: Double = Double.POSITIVE_INFINITY,
)

/**
 * Beam search of an RNN transducer over a lexicon: the likeliest words of a swipe.
 *
 * `py/transducer/swipe/beam_search.py` is the reference, step for step. A frame is left by blank alone, which keeps the last
 * label and the predictor's state from before it; up to `maxSymbols` labels may come before. A prefix is a node of the
 * trie, so prefixes found along several paths are merged by adding their probabilities.
 *
 * @param blank the blank's id, which is the last label.
 * @param layers L of the predictor's LSTM.
 * @param width H of the predictor's LSTM.
 */
public class BeamSearch(
    private val lexicon: Lexicon,
    private val model: StepModel,
    private val blank: Int,
    private val layers: Int,
    private val width: Int,
    private val options: SearchOptions,
) {
    /** States [layers, batch, width] of several prefixes. */
    private class States(val h: FloatArray, val c: FloatArray, val batch: Int)

    /** A prefix with the state before its last label, which is row `row` of `states`. */
    private class Prefix(val node: Int, val label: Int, val states: States, val row: Int, val logProb: Double, val rank: Double)

    /** Return the best `count` words of encoder frames [T, D], the best first; fewer where fewer were found. */
    public fun decode(frames: Matrix, count: Int = 5, listener: FrameListener? = null): List<Candidate> {
        if (lexicon.isEmpty) return emptyList()
        val zeros = States(FloatArray(layers * width), FloatArray(layers * width), 1)
        var prefixes = listOf(Prefix(Lexicon.ROOT, blank, zeros, 0, 0.0, rank(Lexicon.ROOT, 0.0)))
        for (at in 0 until frames.rows) {
            prefixes = throughFrame(frames.values.copyOfRange(at * frames.columns, (at + 1) * frames.columns), prefixes)
            listener?.onFrame(
                IntArray(prefixes.size) { prefixes[it].node },
                DoubleArray(prefixes.size) { prefixes[it].logProb },
            )
        }
        return prefixes.filter { lexicon.wordAt(it.node) != Lexicon.NONE }
            .map { candidate(lexicon.wordAt(it.node), it.logProb) }
            .sortedWith(compareByDescending<Candidate> { it.score }.thenBy { it.word })
            .take(count)
    }

    private fun candidate(index: Int, logProb: Double): Candidate {
        val word = lexicon.spelling(index)
        val score = logProb / word.length.toDouble().pow(options.lengthPower) +
            options.priorWeight * lexicon.priorOf(index)
        return Candidate(word, logProb, score)
    }

    /** Return the best prefixes that have left a frame [D], from those that entered it. */
    private fun throughFrame(frame: FloatArray, entered: List<Prefix>): List<Prefix> {
        var active = entered
        var left = emptyList<Prefix>()
        for (symbols in 0..options.maxSymbols) {
            val output = step(frame, active)
            val labels = output.logits.size / active.size
            val norms = DoubleArray(active.size) { logSumExp(output.logits, it * labels, labels) }
            left = near(best(merged(left, active.mapIndexed { row, one ->
                val logProb = one.logProb + (output.logits[row * labels + blank] - norms[row])
                Prefix(one.node, one.label, one.states, one.row, logProb, rank(one.node, logProb))
            })))
            if (symbols == options.maxSymbols) break
            active = grown(active, output, norms, left)
            if (active.isEmpty()) break
        }
        return left
    }

    /** Run the model for all prefixes at once. */
    private fun step(frame: FloatArray, active: List<Prefix>): StepOutput {
        val batch = active.size
        val frames = FloatArray(batch * frame.size)
        val h = FloatArray(layers * batch * width)
        val c = FloatArray(layers * batch * width)
        active.forEachIndexed { row, one ->
            frame.copyInto(frames, row * frame.size)
            for (layer in 0 until layers) {
                val from = (layer * one.states.batch + one.row) * width
                one.states.h.copyInto(h, (layer * batch + row) * width, from, from + width)
                one.states.c.copyInto(c, (layer * batch + row) * width, from, from + width)
            }
        }
        val output = model.step(frames, LongArray(batch) { active[it].label.toLong() }, h, c)
        if (output.logits.size != batch * (blank + 1) || output.h.size != h.size || output.c.size != c.size) {
            throw DecoderException.BadGraph(
                "The step returned ${output.logits.size} logits for $batch prefixes of ${blank + 1} labels; " +
                    "use graph and metadata of one package.",
            )
        }
        return output
    }

    /** Return the best prefixes one letter longer, only those that may still come before the worst of `left`. */
    private fun grown(active: List<Prefix>, output: StepOutput, norms: DoubleArray, left: List<Prefix>): List<Prefix> {
        val worst = if (left.size >= options.beam) left.last().rank else left.first().rank - options.threshold
        val states = States(output.h, output.c, active.size)
        val longer = ArrayList<Prefix>()
        active.forEachIndexed { row, one ->
            lexicon.forChildren(one.node) { child ->
                val label = lexicon.labelOf(child)
                val logProb = one.logProb + (output.logits[row * (blank + 1) + label] - norms[row])
                val rank = rank(child, logProb)
                if (rank > worst) longer += Prefix(child, label, states, row, logProb, rank)
            }
        }
        return best(longer)
    }

    private fun rank(node: Int, logProb: Double): Double = logProb + options.priorWeight * lexicon.aheadOf(node)

    /** Of equals the one that came first. */
    private fun best(prefixes: List<Prefix>): List<Prefix> = prefixes.sortedByDescending { it.rank }.take(options.beam)

    /** Return those of ranked prefixes that lie within the threshold of the first. */
    private fun near(prefixes: List<Prefix>): List<Prefix> =
        prefixes.dropLastWhile { it.rank < prefixes.first().rank - options.threshold }

    /** Return the prefixes of both in order of their nodes, those in both with their probabilities added: their states are the same. */
    private fun merged(first: List<Prefix>, second: List<Prefix>): List<Prefix> {
        if (first.isEmpty()) return second
        return (first + second).groupBy { it.node }.toSortedMap().values.map { same ->
            same.reduce { one, other ->
                val logProb = logAddExp(one.logProb, other.logProb)
                Prefix(one.node, one.label, one.states, one.row, logProb, rank(one.node, logProb))
            }
        }
    }

    private fun logSumExp(values: FloatArray, from: Int, count: Int): Double {
        var most = values[from]
        for (at in from until from + count) most = max(most, values[at])
        var sum = 0.0
        for (at in from until from + count) sum += exp(values[at].toDouble() - most)
        return most + ln(sum)
    }

    private fun logAddExp(one: Double, other: Double): Double {
        val most = max(one, other)
        return if (most == Double.NEGATIVE_INFINITY) most else most + ln1p(exp(minOf(one, other) - most))
    }
}
