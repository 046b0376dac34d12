package transducer.decoder

/** Takes `meta/runtime_meta.json` apart; whatever is missing or of another kind is named. `source` is its name in messages. */
internal open class MetaReader(private val source: String) {
    /** Return the content of a JSON text. @throws DecoderException.BadPackage */
    fun content(text: String): Any? = try {
        Json.parse(text)
    } catch (error: Json.SyntaxError) {
        throw DecoderException.BadPackage("$source is not readable (${error.message}); package the model again.")
    }

    /** Return the whole, of this format and task. */
    fun root(content: Any?, task: String, kind: String): Map<String, Any?> {
        val root = content.map("the whole")
        val format = root["format"].number("format")
        if (format != RuntimeMeta.FORMAT.toDouble()) {
            fail("is of format ${plain(format)} and this decoder reads ${RuntimeMeta.FORMAT}; update one of them")
        }
        val found = root["task"].text("task")
        if (found != task) fail("is of a model for $found and this decoder is for $kind; give a $task model's package")
        return root
    }

    /** Return the labels, of which the blank must be the last. */
    fun tokens(root: Map<String, Any?>): List<String> {
        val tokens = root["tokens"].list("tokens").map { it.text("tokens") }
        val blank = root["blank_id"].int("blank_id")
        if (blank != tokens.size - 1) fail("says that the blank is label $blank, which is not the last; package the model again")
        return tokens
    }

    /** Return the sizes, those named at least. */
    fun dims(root: Map<String, Any?>, vararg names: String): Map<String, Int> {
        val dims = root["dims"].map("dims").mapValues { (name, size) -> size.int("dims.$name") }
        for (name in names) if (name !in dims) wrong("dims.$name")
        return dims
    }

    fun graphs(root: Map<String, Any?>): Map<String, Map<String, GraphFile>> =
        root["graphs"].map("graphs").mapValues { (role, variants) -> graphs(variants.map("graphs.$role"), role) }

    fun graphs(content: Map<String, Any?>, role: String) = content.mapValues { (variant, entry) ->
        val name = "graphs.$role.$variant"
        val graph = entry.map(name)
        val sidecars = graph["sidecars"]?.list(name).orEmpty().map { it.map(name)["file"].text(name) }
        GraphFile(graph["file"].text(name), graph["sha256"].text(name), sidecars)
    }

    fun Any?.map(name: String): Map<String, Any?> {
        @Suppress("UNCHECKED_CAST")
        return this as? Map<String, Any?> ?: wrong(name) // keys of JSON objects are strings
    }

    fun Any?.list(name: String): List<Any?> = this as? List<*> ?: wrong(name)

    fun Any?.text(name: String): String = this as? String ?: wrong(name)

    fun Any?.number(name: String): Double = this as? Double ?: wrong(name)

    fun Any?.int(name: String): Int = number(name).let { if (it == it.toInt().toDouble()) it.toInt() else wrong(name) }

    fun plain(number: Double): String = if (number % 1 == 0.0) number.toLong().toString() else number.toString()

    fun wrong(name: String): Nothing = fail("lacks $name or has it in another form; package the model again")

    fun fail(what: String): Nothing = throw DecoderException.BadPackage("$source $what.")
}
