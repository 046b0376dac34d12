package transducer.decoder

import java.lang.Character.UnicodeScript

/**
 * A lock on writing systems, which forbids every label with a letter of another script; digits and punctuation belong to
 * all.
 *
 * @param scripts Unicode's names: Latin, Cyrillic, Greek, Han (or CJK), Hangul.
 * @param spelt the labels' texts in order of their ids.
 * @throws DecoderException.BadScript
 */
public class ScriptLock(scripts: Collection<String>, spelt: List<String>) : Bias {
    private val gains: DoubleArray

    init {
        val letters = spelt.map { label -> label.codePoints().filter(Character::isLetter).toArray().map(UnicodeScript::of).toSet() }
        val known = letters.flatten().toSet()
        val allowed = scripts.map { name ->
            val script = try {
                UnicodeScript.forName(if (name.equals("CJK", ignoreCase = true)) "HAN" else name)
            } catch (_: IllegalArgumentException) {
                null
            }
            script?.takeIf { it in known } ?: throw DecoderException.BadScript(
                "The model has no token in the script \"$name\"; give scripts that its tokens have letters of, such as Latin.",
            )
        }
        // Some letters belong to several scripts, such as the Japanese mark of a long vowel.
        val every = allowed + UnicodeScript.COMMON + UnicodeScript.INHERITED
        gains = DoubleArray(spelt.size) { if (every.containsAll(letters[it])) 0.0 else Double.NEGATIVE_INFINITY }
    }

    override fun gains(state: Int): DoubleArray = gains

    override fun follow(state: Int, label: Int): Int = 0

    override fun end(state: Int): Double = 0.0
}
