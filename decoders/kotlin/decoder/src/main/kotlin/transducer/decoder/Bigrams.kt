package transducer.decoder

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * What the word before tells of a word: pairs that are likelier together than apart, read from bigrams.bin.
 *
 * `py/transducer/swipe/bigrams.py` describes the file.
 */
public class Bigrams private constructor(
    private val ids: Map<String, Int>,
    private val first: IntArray,
    private val next: IntArray,
    private val gain: ByteArray,
) {
    /** Return the gains of words, in nats by their index, after another word; "" is the beginning of a sentence. */
    public fun gains(previous: String): Map<Int, Double> {
        val index = ids[previous] ?: return emptyMap()
        return (first[index] until first[index + 1]).associate { next[it] to (gain[it].toInt() and 0xff) / STEPS }
    }

    public companion object {
        private const val MAGIC = 0x52474942 // "BIGR" in little endian
        private const val VERSION = 1
        private const val HEADER_BYTES = 20

        /** Gains are stored in steps of a nat's sixteenth. */
        private const val STEPS = 16.0

        /** Before the first word of a sentence. */
        private const val BEGIN = ""

        /**
         * Read bigrams.bin, of the words of a lexicon's file.
         *
         * @throws DecoderException.BadLexicon if it is damaged, or of other words.
         */
        public fun read(bytes: ByteArray, words: List<String>): Bigrams {
            val from = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
            if (bytes.size < HEADER_BYTES || from.int != MAGIC || from.int != VERSION) bad("are not of format $VERSION")
            val (count, pairs) = List(2) { from.int.toLong() and 0xffffffffL }
            val digest = from.int
            if (bytes.size.toLong() != HEADER_BYTES + 4 * (count + 2) + 5 * pairs) {
                bad("have ${bytes.size} bytes, which is not what their header says")
            }
            if (count != words.size.toLong() || digest != digestOf(words)) bad("are of another word list")
            val first = IntArray(count.toInt() + 2) { from.int }
            val next = IntArray(pairs.toInt()) { from.int }
            val gain = ByteArray(pairs.toInt()).also(from::get)
            val sound = first[0] == 0 && first.last() == pairs.toInt() &&
                (0..count.toInt()).all { first[it] <= first[it + 1] } && next.all { it in words.indices }
            if (!sound) bad("are damaged: their pairs are not those of their words")
            return Bigrams(words.withIndex().associate { it.value to it.index } + (BEGIN to words.size), first, next, gain)
        }

        /** Return FNV-1a, 32 bits, of the words' UTF-8, each with a line feed after it. */
        private fun digestOf(words: List<String>): Int {
            var digest = 0x811c9dc5.toInt()
            for (word in words) for (byte in "$word\n".encodeToByteArray()) digest = (digest xor (byte.toInt() and 0xff)) * 0x01000193
            return digest
        }

        private fun bad(what: String): Nothing = throw DecoderException.BadLexicon("The bigrams $what; package the model again.")
    }
}
