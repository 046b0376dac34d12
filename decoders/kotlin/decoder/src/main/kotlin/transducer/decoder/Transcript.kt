package transducer.decoder

/** A token id, its times in seconds from the beginning of the audio, and its probability. */
public class Token(public val id: Int, public val start: Double, public val end: Double, public val confidence: Double)

/** A word, its times in seconds, and its least certain token's probability. */
public class Word(public val text: String, public val start: Double, public val end: Double, public val confidence: Double)

/** A text and its score in nats. */
public class Alternative(public val text: String, public val score: Double)

/** What was heard in one recording; of a beam search also other texts, the best first. */
public class Transcript(public val text: String, public val tokens: List<Token>, public val words: List<Word>, public val alternatives: List<Alternative>)

/** The labels of a model as they are spelt, a space before what begins a word; `transcript.py` is the reference. */
internal class Vocabulary(labels: List<String>, kind: String) {
    val spelt: List<String> = labels.map { label ->
        when (kind) {
            "char" -> label
            "wpe" -> if (label.startsWith("##")) label.drop(2) else " $label"
            // NeMo's EOU models say by these that something ends.
            else -> if (label == "<EOU>" || label == "<EOB>") "" else if (label == "<unk>") " \u2047 " else label.replace('\u2581', ' ')
        }
    }

    private val punctuation: Set<String> =
        labels.filterNot(NO_PUNCTUATION::containsMatchIn).flatMap { PUNCTUATION.findAll(it) }.map { it.value }.toSet()

    /** As in NeMo, a space before punctuation goes; of several, one. */
    fun text(tokens: List<Token>): String =
        SPACE_BEFORE.replace(tokens.joinToString("") { spelt[it.id] }.trim()) {
            if (it.groupValues[1] in punctuation) it.groupValues[1] else it.value
        }

    fun words(tokens: List<Token>): List<Word> {
        val words = ArrayList<ArrayList<Token>>()
        var spaces = 0
        for (token in tokens) {
            val text = spelt[token.id]
            val body = text.trimStart()
            spaces += text.length - body.length
            if (body.isEmpty()) continue
            val needed = if (PUNCTUATION.matchAt(body, 0)?.value in punctuation) 1 else 0
            if (words.isEmpty() || spaces > needed) words += ArrayList<Token>()
            words.last() += token
            spaces = body.length - body.trimEnd().length
        }
        return words.map { Word(text(it), it.first().start, it.last().end, it.minOf { token -> token.confidence }) }
    }

    private companion object {
        /** Labels whose punctuation NeMo does not look at: those that begin a word or go on with one, and in brackets. */
        val NO_PUNCTUATION = Regex("^(\\[.*]$|<.*>$|##|\u2581)")
        val PUNCTUATION = Regex("\\p{P}")
        val SPACE_BEFORE = Regex("\\s(\\p{P})")
    }
}
