package transducer.decoder

import java.io.Closeable

/**
 * From the points of a swipe to words.
 *
 *     val files = SwipePackage(File(context.filesDir, "swipe"))
 *     val lexicon = files.lexicon().apply { add("kotlin") }
 *     SwipeDecoder(files.meta, lexicon, OnnxRuntimeModel.open(files)).use { println(it.decode(points).first().word) }
 *
 * On another keyboard than the model's own, `layout` is one of the package's, as `files.layout("azerty")`, or any other.
 * Not for several threads at once. Closing it closes the model.
 */
public class SwipeDecoder(
    public val meta: RuntimeMeta,
    public val lexicon: Lexicon,
    private val model: SwipeModel,
    options: SearchOptions = meta.search,
    layout: Layout = meta.layout,
    private val bigrams: Bigrams? = null,
) : Closeable by model {
    private val keyboard = layout.arranged(meta.layout.keys)
    private val search =
        BeamSearch(lexicon, model, meta.blankId, meta.dims.getValue("L"), meta.dims.getValue("H"), options)

    /**
     * Return the best `count` words of a swipe, the best first; fewer where fewer were found.
     *
     * @param previous the word before it, "" at the beginning of a sentence; without one, or without bigrams, it does
     *   not count.
     * @throws DecoderException EmptyTrace, SinglePoint or BadTrace; BadGraph if the model fails.
     */
    public fun decode(
        points: List<Point>,
        count: Int = 5,
        previous: String? = null,
        listener: FrameListener? = null,
    ): List<Candidate> {
        Features.check(points)
        val frames = model.encode(Features.of(points, keyboard))
        val gains = previous?.let { bigrams?.gains(it) }.orEmpty()
        return lexicon.lifted(gains) { search.decode(frames, count, listener) }
    }
}
