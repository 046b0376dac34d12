package transducer.decoder

/**
 * A reader of JSON: objects as Map, arrays as List, numbers as Double, and String, Boolean and null.
 *
 * org.json is there on Android alone and other readers are dependencies; metadata needs no more than this.
 */
internal class Json private constructor(private val text: String) {
    private var at = 0

    class SyntaxError(message: String) : Exception(message)

    companion object {
        fun parse(text: String): Any? = Json(text).run {
            val value = value(depth = 0)
            space()
            if (at < text.length) fail()
            value
        }

        private const val MAX_DEPTH = 100
        private val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
        private val ESCAPES =
            mapOf('"' to '"', '\\' to '\\', '/' to '/', 'b' to '\b', 'f' to '\u000c', 'n' to '\n', 'r' to '\r', 't' to '\t')
    }

    private fun value(depth: Int): Any? {
        space()
        if (depth > MAX_DEPTH) fail()
        return when (peek()) {
            '{' -> members(depth)
            '[' -> elements(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun members(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        list('{', '}') {
            val key = string()
            space()
            expect(':')
            found[key] = value(depth + 1)
        }
        return found
    }

    private fun elements(depth: Int): List<Any?> {
        val found = ArrayList<Any?>()
        list('[', ']') { found += value(depth + 1) }
        return found
    }

    private inline fun list(open: Char, close: Char, item: () -> Unit) {
        expect(open)
        space()
        if (peek() != close) {
            do {
                space()
                item()
                space()
                val more = peek() == ','
                if (more) at++
            } while (more)
        }
        expect(close)
    }

    private fun string(): String {
        expect('"')
        val start = at
        while (peek() != '"' && peek() != '\\') next()
        if (peek() == '"') return text.substring(start, at++)
        val found = StringBuilder(text.substring(start, at))
        while (peek() != '"') found.append(if (peek() == '\\') escape() else next())
        at++
        return found.toString()
    }

    private fun escape(): Char {
        at++
        val kind = next()
        if (kind != 'u') return ESCAPES[kind] ?: fail()
        if (at + 4 > text.length) fail()
        val code = text.substring(at, at + 4)
        at += 4
        return if (code.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) code.toInt(16).toChar() else fail()
    }

    private fun number(): Double {
        val found = NUMBER.find(text, at)
        if (found == null || found.range.first != at) fail()
        at = found.range.last + 1
        return found.value.toDouble()
    }

    private fun word(name: String, value: Boolean?): Boolean? {
        if (!text.startsWith(name, at)) fail()
        at += name.length
        return value
    }

    private fun space() {
        while (at < text.length && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail()

    /** Take a character of a string, where control characters must be escaped. */
    private fun next(): Char {
        val found = peek()
        if (found < ' ') fail()
        at++
        return found
    }

    private fun expect(wanted: Char) {
        if (peek() != wanted) fail()
        at++
    }

    private fun fail(): Nothing = throw SyntaxError("character ${at + 1} is not JSON")
}
