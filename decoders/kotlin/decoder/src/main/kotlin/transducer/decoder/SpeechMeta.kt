package transducer.decoder

/** What `meta/runtime_meta.json` says of a speech model. */
public class SpeechMeta private constructor(
    /** Labels in order of their ids, the blank last. */
    public val tokens: List<String>,
    /** char, bpe, wpe or agg. */
    public val tokenizer: String,
    /** D encoder width, L and H layers and width of the predictor's LSTM, V labels plus blank. */
    public val dims: Map<String, Int>,
    /** Of TDT, in encoder frames; none for RNN-T. */
    public val durations: List<Int>,
    /** Labels at most on one frame. */
    public val maxSymbols: Int,
    /** That waveforms must have, in Hz. */
    public val sampleRate: Int,
    /** Of one encoder frame. */
    public val frameSeconds: Double,
    /** Role (frontend, encoder, rnnt_step), then variant (fp32, int8, ...). */
    public val graphs: Map<String, Map<String, GraphFile>>,
) {
    public val blankId: Int get() = tokens.size - 1

    public companion object {
        /** Read the metadata; `source` is its name in messages. @throws DecoderException.BadPackage */
        public fun parse(text: String, source: String): SpeechMeta = Reader(source).run { meta(content(text)) }
    }

    private class Reader(source: String) : MetaReader(source) {
        fun meta(content: Any?): SpeechMeta {
            val root = root(content, "speech", "speech")
            return SpeechMeta(
                tokens(root),
                root["tokenizer"].text("tokenizer"),
                dims(root, "D", "L", "H", "V"),
                root["durations"].list("durations").map { it.int("durations") },
                root["max_symbols"].int("max_symbols"),
                root["sample_rate"].int("sample_rate"),
                root["subsampling_factor"].int("subsampling_factor") * root["window_stride"].number("window_stride"),
                graphs(root),
            )
        }
    }
}
