package transducer.decoder

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.ln
import kotlin.math.max

/**
 * A lexicon as a trie of label ids: read from trie.bin or built from a word list, with words added at run time.
 *
 * `py/transducer/swipe/trie.py` describes the file. Nodes come in breadth-first order, children by label, so that the children
 * of node n are first[n] to first[n + 1] - 1. Words added later hang below in nodes of higher numbers. Not for several
 * threads at once.
 */
public class Lexicon private constructor(
    private val words: MutableList<String>,
    trie: Trie,
    private val characters: Map<Char, Int>,
) {
    /** The arrays of a trie of N nodes and W words: [N + 1], label of the arc into a node [N], word's index or NONE [N], [W]. */
    private class Trie(val first: IntArray, val label: IntArray, val word: IntArray, val prior: DoubleArray)

    private val first = trie.first

    /** Nodes that were there from the beginning; the children of a node that were not are in `added`. */
    private val fixed = trie.label.size
    private val added = HashMap<Int, MutableList<Int>>()
    private val addedParents = ArrayList<Int>()
    private var nodes = fixed
    private var label = trie.label
    private var word = trie.word
    private var prior = trie.prior
    private var ahead = DoubleArray(fixed)

    /** Words that were added, with the prior that they had before, if any. */
    private val own = LinkedHashMap<String, Double?>()

    init {
        for (node in fixed - 1 downTo ROOT) lookAhead(node) // children come after their parent
    }

    /** Whether it holds no word. */
    public val isEmpty: Boolean get() = ahead[ROOT] == Double.NEGATIVE_INFINITY

    /** The words that were added and not removed, in that order. */
    public val ownWords: List<String> get() = own.keys.toList()

    /** Labels that the characters have, the blank not among them. */
    internal val labels: Int = (characters.values.maxOrNull() ?: -1) + 1

    /** Return whether a word can be found. */
    public operator fun contains(word: String): Boolean = path(word)?.let { this.word[it.last()] != NONE } ?: false

    /**
     * Add a word, or give one another log prior until it is removed. Unless given it is that of rank [USER_RANK].
     *
     * @throws DecoderException.BadWord if the word is empty or the model has no label for one of its characters.
     */
    public fun add(word: String, prior: Double = logPrior(USER_RANK)) {
        if (word.isEmpty()) throw DecoderException.BadWord("The word is empty; give one of at least one character.")
        word.find { it !in characters }?.let {
            throw DecoderException.BadWord(
                "The word \"$word\" has \"$it\", which this model has no label for; spell it in other characters.",
            )
        }
        if (!prior.isFinite()) {
            throw DecoderException.BadWord("The prior of \"$word\" is not a finite number; give a log probability.")
        }
        val path = mutableListOf(ROOT)
        for (letter in word) {
            val next = characters.getValue(letter)
            path += child(path.last(), next) ?: append(path.last(), next)
        }
        val end = path.last()
        val index = this.word[end]
        if (word !in own) own[word] = if (index == NONE) null else this.prior[index]
        if (index == NONE) {
            this.word[end] = words.size
            words += word
            if (words.size > this.prior.size) this.prior = this.prior.copyOf(room(words.size))
        }
        this.prior[this.word[end]] = prior
        path.asReversed().forEach(::lookAhead)
    }

    /** Take back an added word; one that was there before gets its prior back. Returns whether it had been added. */
    public fun remove(word: String): Boolean {
        if (word !in own) return false
        val path = path(word)!!
        val before = own.remove(word)
        if (before == null) this.word[path.last()] = NONE else prior[this.word[path.last()]] = before
        path.asReversed().forEach(::lookAhead)
        return true
    }

    /**
     * Add another list, the most frequent first: of a second language, or of an app's own words. Each word gets the log
     * prior of its rank in that list plus the logarithm of `weight`, unless it can be found with a better one already;
     * words that the characters cannot spell are left out. Returns how many words were added or became likelier.
     *
     * @throws DecoderException.BadLexicon if the weight is not a number above 0.
     */
    public fun addAll(list: Iterable<String>, weight: Double = 1.0): Int {
        if (!(weight > 0 && weight.isFinite())) {
            throw DecoderException.BadLexicon("The weight of a word list is $weight; give a number above 0.")
        }
        val better = list.filter { it.isNotEmpty() && it.all(characters::containsKey) }.distinct()
            .mapIndexed { rank, word -> word to logPrior(rank) + ln(weight) }
            .filter { (word, prior) -> priorOf(word) < prior }
        for ((word, prior) in better) add(word, prior)
        return better.size
    }

    /** Raise the log prior of words, by their index, while `run` goes on. */
    internal fun <T> lifted(gains: Map<Int, Double>, run: () -> T): T {
        // A word that was added may have been taken back since.
        val before = gains.keys.filter { words[it] in this }.associateWith { prior[it] }
        fun set(index: Int, value: Double) = path(words[index])!!.asReversed().also { prior[index] = value }.forEach(::lookAhead)
        before.forEach { (index, value) -> set(index, value + gains.getValue(index)) }
        return try { run() } finally { before.forEach(::set) }
    }

    private fun priorOf(word: String): Double {
        val index = path(word)?.let { this.word[it.last()] } ?: NONE
        return if (index == NONE) Double.NEGATIVE_INFINITY else prior[index]
    }

    /** Return the letters on the way to a node. */
    public fun prefix(node: Int): String {
        val letters = characters.entries.associate { (letter, label) -> label to letter }
        val found = StringBuilder()
        var at = node
        while (at != ROOT) {
            found.append(letters.getValue(label[at]))
            at = parent(at)
        }
        return found.reverse().toString()
    }

    /** Call `visit` with every child of a node, of the fixed ones first, in order of their labels. */
    internal inline fun forChildren(node: Int, visit: (Int) -> Unit) {
        if (node < fixed) for (child in first[node] until first[node + 1]) visit(child)
        if (added.isNotEmpty()) added[node]?.forEach(visit)
    }

    internal fun labelOf(node: Int): Int = label[node]

    /** Return the best log prior at or below a node. */
    internal fun aheadOf(node: Int): Double = ahead[node]

    /** Return the index of the word that ends at a node, or NONE. */
    internal fun wordAt(node: Int): Int = word[node]

    internal fun spelling(index: Int): String = words[index]

    internal fun priorOf(index: Int): Double = prior[index]

    private fun child(node: Int, label: Int): Int? {
        forChildren(node) { if (this.label[it] == label) return it }
        return null
    }

    private fun path(word: String): List<Int>? {
        val path = mutableListOf(ROOT)
        for (letter in word) path += characters[letter]?.let { child(path.last(), it) } ?: return null
        return path
    }

    private fun parent(node: Int): Int {
        if (node >= fixed) return addedParents[node - fixed]
        var (low, high) = Pair(0, node) // the last node whose children begin at this one or before
        while (high - low > 1) ((low + high) / 2).let { if (first[it] <= node) low = it else high = it }
        return low
    }

    private fun append(parent: Int, label: Int): Int {
        val node = nodes++
        if (nodes > this.label.size) {
            this.label = this.label.copyOf(room(nodes))
            word = word.copyOf(room(nodes))
            ahead = ahead.copyOf(room(nodes))
        }
        this.label[node] = label
        word[node] = NONE
        ahead[node] = Double.NEGATIVE_INFINITY
        addedParents += parent
        added.getOrPut(parent) { ArrayList() } += node
        return node
    }

    private fun lookAhead(node: Int) {
        var best = if (word[node] == NONE) Double.NEGATIVE_INFINITY else prior[word[node]]
        forChildren(node) { best = max(best, ahead[it]) }
        ahead[node] = best
    }

    private fun room(size: Int): Int = size + size / 4 + 64

    public companion object {
        internal const val ROOT = 0
        internal const val NONE = -1

        /** The prior of an added word is that of this rank, unless another is given. */
        public const val USER_RANK: Int = 1000

        private const val MAGIC = 0x45495254 // "TRIE" in little endian
        private const val TRIE_VERSION = 1
        private const val HEADER_BYTES = 20

        /** Return the log prior of a word by its rank from 0 on in a list, the most frequent first. */
        public fun logPrior(rank: Int): Double = -ln(rank + 10.0) - rank / 30_000.0

        /**
         * Build the trie of a word list, the most frequent first, maybe empty. Words that the characters cannot spell
         * are left out.
         *
         * @param characters the ids of a model's labels, from its metadata.
         */
        public fun of(list: Iterable<String>, characters: Map<Char, Int>): Lexicon {
            val words = LinkedHashSet<String>()
            list.filterTo(words) { word -> word.isNotEmpty() && word.all { it in characters } }
            val spelt = words.map { word -> IntArray(word.length) { characters.getValue(word[it]) } }
            return Lexicon(words.toMutableList(), build(spelt), characters)
        }

        /**
         * Read trie.bin, whose words lie in a list beside it.
         *
         * @throws DecoderException.BadLexicon if it is damaged, or not of these words and characters.
         */
        public fun read(trie: ByteArray, words: List<String>, characters: Map<Char, Int>): Lexicon {
            val found = read(trie)
            if (found.prior.size != words.size) {
                bad("The trie has ${found.prior.size} words and the word list ${words.size}; use the files of one package.")
            }
            if (!characters.values.containsAll(found.label.drop(1).distinct())) {
                bad("The trie has labels that the model has no character for; use the files of one package.")
            }
            return Lexicon(words.toMutableList(), found, characters)
        }

        /** Build the trie of distinct words, spelt in labels, whose index is their rank. */
        private fun build(spelt: List<IntArray>): Trie {
            val order = spelt.indices.sortedWith { one, other -> compare(spelt[one], spelt[other]) }
            // A node is a run of words in that order that begin alike, up to its depth; runs are found breadth first.
            class Run(val label: Int, val begin: Int, val end: Int, val depth: Int)
            val runs = mutableListOf(Run(0, 0, order.size, 0))
            val first = ArrayList<Int>()
            val word = ArrayList<Int>()
            while (first.size < runs.size) {
                val run = runs[first.size]
                var at = run.begin
                val ends = at < run.end && spelt[order[at]].size == run.depth
                word += if (ends) order[at++] else NONE
                first += runs.size
                while (at < run.end) {
                    val begin = at
                    val label = spelt[order[at]][run.depth]
                    while (at < run.end && spelt[order[at]][run.depth] == label) at++
                    runs += Run(label, begin, at, run.depth + 1)
                }
            }
            first += runs.size
            val prior = DoubleArray(spelt.size, ::logPrior)
            return Trie(first.toIntArray(), IntArray(runs.size) { runs[it].label }, word.toIntArray(), prior)
        }

        private fun compare(one: IntArray, other: IntArray): Int {
            for (at in 0 until minOf(one.size, other.size)) if (one[at] != other[at]) return one[at] - other[at]
            return one.size - other.size
        }

        private fun read(bytes: ByteArray): Trie {
            val from = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
            if (bytes.size < HEADER_BYTES || from.int != MAGIC || from.int != TRIE_VERSION) {
                bad("The trie is not of format $TRIE_VERSION; package the model again.")
            }
            val (nodes, words, labels) = List(3) { from.int.toLong() and 0xffffffffL }
            if (bytes.size.toLong() != HEADER_BYTES + 4 * (nodes + 1) + (nodes + 3) / 4 * 4 + 4 * nodes + 4 * words) {
                bad("The trie has ${bytes.size} bytes, which is not what its header says; package the model again.")
            }
            val count = nodes.toInt()
            val first = IntArray(count + 1) { from.int }
            val label = IntArray(count) { from.get().toInt() and 0xff }
            from.position((from.position() + 3) / 4 * 4)
            val word = IntArray(count) { from.int }
            val prior = DoubleArray(words.toInt()) { from.float.toDouble() }
            // Children lie behind their parent and behind those of the nodes before it, so that every walk ends.
            val sound = count > 0 && first[0] == 1 && first[count] == count &&
                (0 until count).all { first[it] > it && first[it] <= first[it + 1] } &&
                label.all { it < labels } && word.all { it in NONE until words.toInt() }
            if (!sound) bad("The trie is damaged: its nodes do not make a tree; package the model again.")
            return Trie(first, label, word, prior)
        }

        private fun bad(message: String): Nothing = throw DecoderException.BadLexicon(message)
    }
}
