package transducer.decoder

import java.io.File
import java.io.IOException
import java.security.MessageDigest

/**
 * A package's folder, as `make package-dynamic` and `make package-bundled` write it.
 *
 * @throws DecoderException MissingFile or BadPackage.
 */
public class SwipePackage(private val folder: File) {
    public val meta: RuntimeMeta = RuntimeMeta.read(File(folder, "meta/runtime_meta.json"))

    /** Return the variants that there are of a graph, such as fp32 and int8. */
    public fun variants(role: String): Set<String> = meta.graphs[role]?.keys.orEmpty()

    /**
     * Return a graph's file once its SHA-256 has been found to be that of the metadata.
     *
     * @param role encoder or rnnt_step.
     * @param variant fp32, int8, fp32.pte, ...
     * @throws DecoderException BadPackage, MissingFile or HashMismatch.
     */
    public fun graph(role: String, variant: String): File {
        val entry = meta.graphs[role]?.get(variant) ?: throw DecoderException.BadPackage(
            "$folder has no $role of variant $variant but ${variants(role).ifEmpty { setOf("none") }.joinToString()}; name another.",
        )
        val file = inside(entry.file)
        val found = sha256(file)
        if (!found.equals(entry.sha256, ignoreCase = true)) {
            throw DecoderException.HashMismatch(
                "$file is not the file that was packaged: its SHA-256 is $found and should be ${entry.sha256}; copy it again.",
            )
        }
        return file
    }

    /**
     * Return the package's lexicon, or an empty one to add words to where it has none.
     *
     * @throws DecoderException MissingFile or BadLexicon.
     */
    public fun lexicon(): Lexicon {
        val words = meta.words?.let { readFile(inside(it)).decodeToString().split('\n').filter(String::isNotEmpty) }.orEmpty()
        val trie = meta.trie?.let { readFile(inside(it)) } ?: return Lexicon.of(words, meta.characters)
        return Lexicon.read(trie, words, meta.characters)
    }

    /** Return a file of the package; metadata may not lead out of it. */
    private fun inside(path: String): File {
        if (path.startsWith("/") || path.split('/', '\\').any { it == ".." }) {
            throw DecoderException.BadPackage("The metadata names $path, which is not in the package; package the model again.")
        }
        return File(folder, path)
    }
}

/** Return a file's bytes. @throws DecoderException.MissingFile */
internal fun readFile(file: File): ByteArray = reading(file) { file.readBytes() }

private fun sha256(file: File): String = reading(file) {
    val digest = MessageDigest.getInstance("SHA-256")
    file.inputStream().use { stream ->
        val buffer = ByteArray(1 shl 16)
        while (true) {
            val count = stream.read(buffer)
            if (count < 0) break
            digest.update(buffer, 0, count)
        }
    }
    digest.digest().joinToString("") { "%02x".format(it) }
}

private inline fun <T> reading(file: File, read: () -> T): T = try {
    read()
} catch (error: IOException) {
    throw DecoderException.MissingFile("$file is not in the package or cannot be read (${error.message}); copy the package again.")
}
