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
            else -> if (label == "<unk>") " \u2047 " else label.replace('\u2581', ' ')
        }
    }

    fun text(tokens: List<Token>): String = tokens.joinToString("") { spelt[it.id] }.trim()

    fun words(tokens: List<Token>): List<Word> {
        val words = ArrayList<ArrayList<Token>>()
        var between = true
        for (token in tokens) {
            val text = spelt[token.id]
            between = between || text.startsWith(" ")
            if (text.isBlank()) continue
            if (between) words += ArrayList<Token>()
            words.last() += token
            between = text.endsWith(" ")
        }
        return words.map { Word(text(it), it.first().start, it.last().end, it.minOf { token -> token.confidence }) }
    }
}
