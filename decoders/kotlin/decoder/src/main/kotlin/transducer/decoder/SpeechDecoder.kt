package transducer.decoder

import java.io.Closeable

/**
 * From samples to text.
 *
 *     val files = SpeechPackage(File(context.filesDir, "speech"))
 *     SpeechDecoder(files.meta, OnnxRuntimeSpeechModel.open(files)).use { println(it.transcribe(samples).text) }
 *
 * Not for several threads at once. Closing it closes the model.
 */
public class SpeechDecoder(public val meta: SpeechMeta, private val model: SpeechModel) : Closeable by model {
    private val vocabulary = Vocabulary(meta.tokens.dropLast(1), meta.tokenizer)

    /**
     * Read an n-gram model from the text of an ARPA file, which `make token-lm` or `LANGUAGE=` makes.
     *
     * @throws DecoderException.BadLanguageModel
     */
    public fun languageModel(arpa: String, weight: Double = LanguageModel.WEIGHT): LanguageModel =
        LanguageModel(arpa, meta.tokens.dropLast(1), weight)

    /**
     * Transcribe samples at the model's rate, up to some 30 s: cut longer recordings in pauses. What has no signal has no
     * words.
     *
     * @param beam prefixes kept: 1, the greedy search, unless given or something steers the search; then 8.
     * @param hotwords phrases to prefer, each with its weight in nats a letter, [Phrases.WEIGHT] for most.
     * @param languageModel an n-gram model of the model's tokens.
     * @param scripts of all that is written, by Unicode's names: Latin, Cyrillic, Han; all of them unless given.
     * @throws DecoderException BadAudio, BadPhrase, BadScript or BadBeam; BadGraph if the model fails.
     */
    public fun transcribe(
        samples: FloatArray,
        beam: Int? = null,
        hotwords: Map<String, Double> = emptyMap(),
        languageModel: LanguageModel? = null,
        scripts: Collection<String> = emptyList(),
    ): Transcript {
        check(samples)
        if (beam != null && beam < 1) throw DecoderException.BadBeam("A beam of $beam keeps nothing; give at least 1.")
        val biases = listOfNotNull(
            if (hotwords.isEmpty()) null else Phrases(hotwords, vocabulary.spelt),
            languageModel,
            if (scripts.isEmpty()) null else ScriptLock(scripts, vocabulary.spelt),
        )
        if (samples.max() - samples.min() <= NO_SIGNAL) return Transcript("", emptyList(), emptyList(), emptyList())
        val kept = beam ?: if (biases.isEmpty()) 1 else BEAM
        val found = SpeechSearch(meta, model, kept, if (biases.size > 1) Biases(biases) else biases.firstOrNull()).decode(model.encode(samples))
        val tokens = tokens(found.first().labels)
        val texts = found.take(ALTERNATIVES).map { Alternative(vocabulary.text(tokens(it.labels)), it.score) }
        val others = if (kept == 1 && biases.isEmpty()) emptyList() else texts.distinctBy { it.text }
        return Transcript(vocabulary.text(tokens), tokens, vocabulary.words(tokens), others)
    }

    private fun tokens(labels: List<Label>) = labels.map {
        val length = if (meta.durations.isEmpty()) 1 else it.duration
        Token(it.id, it.frame * meta.frameSeconds, (it.frame + length) * meta.frameSeconds, it.confidence)
    }

    private fun check(samples: FloatArray) {
        val seconds = samples.size.toDouble() / meta.sampleRate
        if (seconds < LEAST_SECONDS) {
            throw DecoderException.BadAudio("The recording holds %.2f s of audio; bring at least $LEAST_SECONDS s.".format(seconds))
        }
        if (samples.any { !it.isFinite() }) {
            throw DecoderException.BadAudio("The recording has samples that are not finite numbers; export the audio again.")
        }
    }

    private companion object {
        /** Less is not speech, and too little for the encoder's convolutions. */
        const val LEAST_SECONDS = 0.1

        /** Samples that differ by no more than one step of 16 bit hold no signal. */
        const val NO_SIGNAL = 1f / 32768
        const val BEAM = 8
        const val ALTERNATIVES = 8
    }
}
