package transducer.decoder

/**
 * Phrases that a beam search prefers, whatever tokens spell them: `docs/decoding.md` specifies it, and
 * `py/transducer/decoding/phrases.py` is the reference.
 *
 * An automaton (Aho and Corasick 1975) follows the text letter by letter. Each letter of a phrase adds the phrase's weight
 * as soon as it is spelt, and all of it is taken back where the phrase does not go on or does not end with a word.
 *
 * @param weights of each phrase, in nats a letter.
 * @param spelt the labels' texts in order of their ids, a space before what begins a word.
 * @throws DecoderException.BadPhrase
 */
public class Phrases(weights: Map<String, Double>, private val spelt: List<String>) : Bias {
    /** Where a text stands: what its letters so far have earned, and what the phrases that end here have earned for good. */
    private class Node {
        val children = HashMap<Int, Node>()
        var suffix: Node? = null
        var partial = 0.0
        var whole = 0.0
    }

    /** Of one node: the node after each label, and what the label adds in nats. */
    private class Row(val nodes: List<Node>, val gains: DoubleArray)

    private val bound = if (spelt.any { it.startsWith(SPACE) }) SPACE else ""
    private val root = Node()
    private val rows = HashMap<Node, Row>()

    /** A state is a node's number; the first is that of an empty text. */
    private val nodes = Numbered<Node>()

    init {
        val phrases = weights.map { (phrase, weight) -> phrase.trim().split(Regex("\\s+")).joinToString(SPACE) to weight }
        // A phrase comes before those that begin with it.
        for ((phrase, weight) in phrases.sortedBy { it.first }) {
            if (!(weight > 0 && weight <= MOST_WEIGHT)) {
                throw DecoderException.BadPhrase("The weight $weight of \"$phrase\" is not a number of nats above 0 and up to 100; correct it.")
            }
            if (phrase.isEmpty()) throw DecoderException.BadPhrase("A phrase is empty; leave it out.")
            unspellable(phrase)?.let {
                throw DecoderException.BadPhrase(
                    "The model has no token for \"$it\" in \"$phrase\"; spell the phrase with the letters and the case of the " +
                        "model's own transcripts.",
                )
            }
            add(phrase, weight)
        }
        connect()
        nodes.number(if (bound.isEmpty()) root else step(root, SPACE.codePointAt(0)).first)
    }

    override fun gains(state: Int): DoubleArray = row(nodes[state]).gains

    override fun follow(state: Int, label: Int): Int = nodes.number(row(nodes[state]).nodes[label])

    override fun end(state: Int): Double {
        val node = nodes[state]
        return (if (bound.isEmpty()) 0.0 else step(node, SPACE.codePointAt(0)).second) - node.partial
    }

    private fun row(node: Node): Row = rows.getOrPut(node) {
        val gains = DoubleArray(spelt.size)
        val nodes = spelt.mapIndexed { label, text ->
            var at = node
            var total = 0.0
            for (letter in text.codePoints().toArray()) {
                val (next, earned) = step(at, letter)
                at = next
                total += earned
            }
            gains[label] = total + at.partial - node.partial
            at
        }
        Row(nodes, gains)
    }

    private fun add(phrase: String, weight: Double) {
        var node = root
        var earned = 0.0
        var locked = 0.0
        for (letter in "$bound$phrase$bound".codePoints().toArray()) {
            node = node.children.getOrPut(letter) { Node() }
            if (letter != SPACE.codePointAt(0)) earned += weight
            locked += node.whole
            // What a shorter phrase has earned for good is not earned twice.
            node.partial = maxOf(node.partial, earned - locked)
        }
        node.partial = 0.0
        node.whole += maxOf(earned - locked, 0.0)
    }

    private fun connect() {
        var level = root.children.values.toList()
        for (node in level) node.suffix = root
        while (level.isNotEmpty()) {
            val below = ArrayList<Node>()
            for (node in level) {
                for ((letter, child) in node.children) {
                    child.suffix = next(node.suffix ?: root, letter)
                    below += child
                }
            }
            level = below
        }
    }

    private fun next(node: Node, letter: Int): Node {
        var at = node
        while (letter !in at.children) at = at.suffix ?: return root
        return at.children.getValue(letter)
    }

    /** The node after a letter, and what the phrases that end with it earn for good. */
    private fun step(node: Node, letter: Int): Pair<Node, Double> {
        val next = next(node, letter)
        return next to generateSequence(next) { it.suffix }.sumOf { it.whole }
    }

    /** The first letter of a phrase that no tokens spell; null where tokens spell it all. */
    private fun unspellable(phrase: String): String? {
        val letters = "$bound$phrase".codePoints().toArray().map { String(Character.toChars(it)) }
        val labels = spelt.toSet()
        val reached = BooleanArray(letters.size + 1).also { it[0] = true }
        for (end in 1..letters.size) {
            reached[end] = (0 until end).any { reached[it] && letters.subList(it, end).joinToString("") in labels }
        }
        return if (reached.last()) null else letters[reached.lastIndexOf(true)]
    }

    public companion object {
        /** Nats for each letter of a phrase. */
        public const val WEIGHT: Double = 0.5
        private const val MOST_WEIGHT = 100.0
        private const val SPACE = " "
    }
}
