package transducer.decoder

/** Everything that this library throws on bad input. The message is one sentence: what is wrong, and what to do. */
public sealed class DecoderException(message: String, cause: Throwable? = null) : Exception(message, cause) {
    /** The trace has no points. */
    public class EmptyTrace(message: String) : DecoderException(message)

    /** The trace has a single point: a tap. */
    public class SinglePoint(message: String) : DecoderException(message)

    /** A coordinate is not finite or outside the letter area, time runs backwards, or the trace is too long. */
    public class BadTrace(message: String) : DecoderException(message)

    /** A recording that is too short, or with samples that are not finite. */
    public class BadAudio(message: String) : DecoderException(message)

    /** A phrase that is empty, has no weight above 0, or has letters that no token spells. */
    public class BadPhrase(message: String) : DecoderException(message)

    /** An n-gram model that is damaged, or of other tokens than the model's. */
    public class BadLanguageModel(message: String) : DecoderException(message)

    /** A script that the model does not write in. */
    public class BadScript(message: String) : DecoderException(message)

    /** A beam below 1. */
    public class BadBeam(message: String) : DecoderException(message)

    /** A word that the model has no labels for. */
    public class BadWord(message: String) : DecoderException(message)

    /** A trie or word list that is damaged, or two that do not belong together. */
    public class BadLexicon(message: String) : DecoderException(message)

    /** A keyboard without a letter of the model, or one that is damaged. */
    public class BadLayout(message: String) : DecoderException(message)

    /** Metadata that is damaged, of another format, or of another task. */
    public class BadPackage(message: String) : DecoderException(message)

    /** A graph that does not load, or that fails or returns other shapes than the metadata says. */
    public class BadGraph(message: String, cause: Throwable? = null) : DecoderException(message, cause)

    /** A graph that is not the one that was packaged. */
    public class HashMismatch(message: String) : DecoderException(message)

    /** A file that should be in the package and is not. */
    public class MissingFile(message: String) : DecoderException(message)
}
