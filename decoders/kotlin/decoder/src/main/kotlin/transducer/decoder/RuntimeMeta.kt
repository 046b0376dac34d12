package transducer.decoder

/** A graph's path in a package, its SHA-256, and the paths of the files beside it that hold its weights, if any. */
public class GraphFile(public val file: String, public val sha256: String, public val sidecars: List<String>)

/** What `meta/runtime_meta.json` says of a swipe model. */
public class RuntimeMeta private constructor(
    /** Labels in order of their ids, the blank last. */
    public val tokens: List<String>,
    public val blankId: Int,
    /** The ids of characters. */
    public val characters: Map<Char, Int>,
    /** F features, D encoder width, L and H layers and width of the predictor's LSTM, V labels plus blank. */
    public val dims: Map<String, Int>,
    public val layout: Layout,
    public val search: SearchOptions,
    /** Path of the words in a package with a lexicon, one a line. */
    public val words: String?,
    /** Path of the trie in a package with a lexicon. */
    public val trie: String?,
    /** Path of what tells which words follow which, if the package has it. */
    public val bigrams: String?,
    /** Role (encoder, rnnt_step, ...), then variant (fp32, int8, fp32.pte, ...). */
    public val graphs: Map<String, Map<String, GraphFile>>,
) {
    public companion object {
        public const val FORMAT: Int = 1

        /** Read the metadata; `source` is its name in messages. @throws DecoderException.BadPackage */
        public fun parse(text: String, source: String): RuntimeMeta = Reader(source).run { meta(content(text)) }

        /** Read a keyboard's file; `source` is its name in messages. @throws DecoderException.BadPackage */
        public fun parseLayout(text: String, source: String): Layout = Reader(source).run { layout(content(text)) }
    }

    private class Reader(source: String) : MetaReader(source) {
        fun meta(content: Any?): RuntimeMeta {
            val root = root(content, "swipe", "swipes")
            val type = root["model_type"].text("model_type")
            if (type != "rnnt") fail("is of a model of type $type and this decoder reads rnnt; give another package")
            val tokens = tokens(root)
            val blank = tokens.size - 1
            val characters = root["characters"].map("characters").entries.associate { (key, id) ->
                (key.singleOrNull() ?: fail("has the character \"$key\", which is not one; package the model again")) to
                    id.int("characters")
            }
            if (characters.values.any { it !in 0 until blank }) fail("has characters that are not labels; package the model again")
            val dims = dims(root, "F", "D", "L", "H", "V")
            val layout = layout(root["layout"])
            featurizer(root["featurizer"].map("featurizer"), dims.getValue("F"), layout)
            val lexicon = root["lexicon"]?.map("lexicon")
            return RuntimeMeta(
                tokens, blank, characters, dims, layout,
                search(root["decoding"].map("decoding")),
                lexicon?.get("words")?.text("lexicon.words"),
                lexicon?.get("trie")?.text("lexicon.trie"),
                lexicon?.get("bigrams")?.text("lexicon.bigrams"),
                graphs(root),
            )
        }

        fun layout(root: Any?): Layout {
            val content = root.map("layout")
            val rows = content["rows"].list("layout.rows").map { it.map("layout.rows") }.map {
                Layout.Companion.Row(it["keys"].text("layout.rows"), it["offset"].number("layout.rows"))
            }
            return Layout.of(rows, content["columns"].number("layout.columns"), content["aspect"].number("layout.aspect"))
        }

        private fun featurizer(content: Map<String, Any?>, features: Int, layout: Layout) {
            val made = mapOf(
                "version" to Features.VERSION.toDouble(),
                "frame_seconds" to Features.FRAME_SECONDS,
                "kinematics" to Features.KINEMATICS.toDouble(),
                "proximity_width" to Features.PROXIMITY_WIDTH,
            )
            for ((name, value) in made) {
                val asked = content[name].number("featurizer.$name")
                if (asked != value) {
                    fail("asks for features of $name ${plain(asked)} and this decoder makes those of ${plain(value)}; update one of them")
                }
            }
            val keys = layout.keys.length
            if (features != Features.KINEMATICS + keys) {
                fail("has $features features and a layout of $keys keys, which do not go together; package the model again")
            }
        }

        private fun search(content: Map<String, Any?>) = SearchOptions(
            content["beam"].int("decoding.beam"),
            content["max_symbols"].int("decoding.max_symbols"),
            content["prior_weight"].number("decoding.prior_weight"),
            content["length_power"].number("decoding.length_power"),
            // Packages made before there was a threshold have none.
            content["threshold"]?.number("decoding.threshold")?.also { if (it < 0) wrong("decoding.threshold") } ?: Double.POSITIVE_INFINITY,
        )
    }
}
