package transducer.decoder

import kotlin.math.ln

/**
 * A backoff n-gram model of tokens as a bias: its weight times ln p(label | labels before). `docs/decoding.md` specifies it,
 * and `py/transducer/decoding/language_model.py` is the reference.
 *
 * @param arpa the text of an ARPA file, as `make token-lm` writes it.
 * @param labels the model's tokens in order of their ids; [SpeechDecoder.languageModel] has them.
 * @throws DecoderException.BadLanguageModel
 */
public class LanguageModel(arpa: String, private val labels: List<String>, private val weight: Double = WEIGHT) : Bias {
    /** Natural logarithms of probability and backoff weight. */
    private class Entry(val logProb: Double, val backoff: Double)

    private val entries = HashMap<List<String>, Entry>()
    private val order: Int

    /** What may follow a context, with its log probability. */
    private val followers = HashMap<List<String>, ArrayList<Pair<Int, Double>>>()
    private val contexts = Numbered<List<String>>()
    private val rows = HashMap<Int, DoubleArray>()

    init {
        read(arpa)
        val numbers = labels.withIndex().associate { (number, label) -> label to number }
        val foreign = entries.keys.filter { it.size == 1 }.map { it.single() }.filterNot { it in numbers || it == BEGIN || it == END || it == UNKNOWN }
        if (foreign.isNotEmpty()) {
            fail("\"${foreign.min()}\" and ${foreign.size - 1} more of its words are not tokens of the model; $AGAIN, of the model's own tokens")
        }
        order = entries.keys.maxOf { it.size }
        for ((words, entry) in entries) {
            // A context that only the end may follow is one, too.
            val list = followers.getOrPut(words.dropLast(1)) { ArrayList() }
            numbers[words.last()]?.let { list += it to entry.logProb }
        }
        contexts.number(shortened(listOf(BEGIN)))
    }

    override fun gains(state: Int): DoubleArray = rows.getOrPut(state) {
        val context = contexts[state]
        val row = DoubleArray(labels.size) { unknown() }
        // A longer context takes the place of a shorter one.
        for (length in 0..context.size) {
            val rest = context.takeLast(length)
            if (length > 0) backoff(rest).let { for (label in row.indices) row[label] += it }
            for ((label, logProb) in followers[rest].orEmpty()) row[label] = logProb
        }
        for (label in row.indices) row[label] *= weight
        row
    }

    override fun follow(state: Int, label: Int): Int = contexts.number(shortened(contexts[state] + labels[label]))

    override fun end(state: Int): Double = if (listOf(END) in entries) weight * logProb(contexts[state], END) else 0.0

    private fun logProb(context: List<String>, word: String): Double =
        entries[context + word]?.logProb ?: if (context.isEmpty()) unknown() else backoff(context) + logProb(context.drop(1), word)

    private fun unknown(): Double = entries[listOf(UNKNOWN)]?.logProb ?: UNSEEN

    private fun backoff(context: List<String>): Double = entries[context]?.backoff ?: 0.0

    /** The part of a context that what follows depends on. */
    private fun shortened(words: List<String>): List<String> {
        var context = words.takeLast(order - 1)
        while (context.isNotEmpty() && context !in followers && backoff(context) == 0.0) context = context.drop(1)
        return context
    }

    private fun read(arpa: String) {
        var size = 0
        for ((index, line) in arpa.lineSequence().withIndex()) {
            if (line.startsWith("\\end\\")) break
            val header = HEADER.matchEntire(line)
            if (header != null) {
                size = header.groupValues[1].toInt()
            } else if (size > 0 && line.isNotBlank()) {
                // A token may be a space of another kind than these.
                val fields = line.split(' ', '\t')
                val words = fields.drop(1).take(size)
                val logProb = number(fields[0])
                val backoff = if (fields.size == size + 2) number(fields.last()) else 0.0
                if (words.size != size || fields.size > size + 2 || words.any { it.isEmpty() } || !(logProb <= 0) || !backoff.isFinite()) {
                    fail("line ${index + 1} is not an n-gram of $size; $AGAIN")
                }
                entries[words] = Entry(logProb * LN10, backoff * LN10)
            }
        }
        if (entries.isEmpty()) fail("it has no n-grams; $AGAIN")
    }

    private fun number(field: String): Double = if (field == "-inf") Double.NEGATIVE_INFINITY else field.toDoubleOrNull() ?: Double.NaN

    private fun fail(problem: String): Nothing = throw DecoderException.BadLanguageModel("The language model cannot be used: $problem.")

    public companion object {
        /** Of the log probabilities. */
        public const val WEIGHT: Double = 0.1
        private const val BEGIN = "<s>"
        private const val END = "</s>"
        private const val UNKNOWN = "<unk>"
        private const val AGAIN = "make it again with `make token-lm TEXT=FILE`"
        private val HEADER = Regex("\\\\(\\d+)-grams:\\s*")
        private val LN10 = ln(10.0)

        /** Log probability of a label that the model has not: as rare as the rarest that a text of a million tokens holds. */
        private val UNSEEN = -ln(1e6)
    }
}
