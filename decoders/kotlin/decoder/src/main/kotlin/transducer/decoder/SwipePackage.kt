package transducer.decoder

import java.io.File
import java.io.IOException
import java.security.MessageDigest

/**
 * A package's folder, as `make package-dynamic` and `make package-bundled` write it. Nothing of it is used before its
 * SHA-256 has been found to be that of `SHA256SUMS`.
 *
 * @throws DecoderException MissingFile, HashMismatch or BadPackage.
 */
public class SwipePackage(private val folder: File) {
    private val sums = sums()
    public val meta: RuntimeMeta = RuntimeMeta.parse(read(META).decodeToString(), File(folder, META).path)

    /** Return the variants that there are of a graph, such as fp32 and int8. */
    public fun variants(role: String): Set<String> = meta.graphs[role]?.keys.orEmpty()

    /**
     * Return a graph's file.
     *
     * @param role encoder or rnnt_step.
     * @param variant fp32, int8, fp32.pte, ...
     * @throws DecoderException BadPackage, MissingFile or HashMismatch.
     */
    public fun graph(role: String, variant: String): File {
        val graph = meta.graphs[role]?.get(variant) ?: throw DecoderException.BadPackage(
            "$folder has no $role of variant $variant but ${variants(role).ifEmpty { setOf("none") }.joinToString()}; name another.",
        )
        for (path in graph.sidecars + graph.file) check(path, digest(path))
        if (sums[graph.file] != graph.sha256) throw mismatch(graph.file, META)
        return File(folder, graph.file)
    }

    /**
     * Return the package's lexicon, or an empty one to add words to where it has none.
     *
     * @throws DecoderException MissingFile, HashMismatch or BadLexicon.
     */
    public fun lexicon(): Lexicon {
        val words = meta.words?.let { read(it).decodeToString().split('\n').filter(String::isNotEmpty) }.orEmpty()
        val trie = meta.trie ?: return Lexicon.of(words, meta.characters)
        return Lexicon.read(read(trie), words, meta.characters)
    }

    /** Names of the keyboards that the package brings. */
    public val layouts: List<String> get() = sums.keys.mapNotNull { LAYOUT.matchEntire(it)?.groupValues?.get(1) }

    /**
     * Return a keyboard that the package brings, by its name.
     *
     * @throws DecoderException MissingFile, HashMismatch or BadPackage.
     */
    public fun layout(name: String): Layout {
        val path = "layouts/$name.json"
        return RuntimeMeta.parseLayout(read(path).decodeToString(), File(folder, path).path)
    }

    private fun sums(): Map<String, String> {
        val lines = reading(SUMS) { it.readLines() }
        return lines.mapNotNull { LINE.matchEntire(it)?.destructured }.associate { (sum, path) -> path to sum }
    }

    private fun read(path: String): ByteArray {
        val bytes = reading(path, File::readBytes)
        check(path, MessageDigest.getInstance(DIGEST).digest(bytes))
        return bytes
    }

    /** Return a file's digest without holding the file. */
    private fun digest(path: String): ByteArray = reading(path) { file ->
        val digest = MessageDigest.getInstance(DIGEST)
        file.inputStream().use { stream ->
            val buffer = ByteArray(1 shl 16)
            while (true) digest.update(buffer, 0, stream.read(buffer).also { if (it < 0) return@use })
        }
        digest.digest()
    }

    private fun check(path: String, digest: ByteArray) {
        val expected = sums[path] ?: throw DecoderException.MissingFile(
            "$path is not listed in the $SUMS of $folder; copy the package again.",
        )
        if (digest.joinToString("") { "%02x".format(it) } != expected) throw mismatch(path, SUMS)
    }

    private fun mismatch(path: String, whose: String) = DecoderException.HashMismatch(
        "${File(folder, path)} is not the file that was packaged: its SHA-256 is not what $whose says; copy the package again.",
    )

    private fun <T> reading(path: String, read: (File) -> T): T = try {
        read(File(folder, path))
    } catch (error: IOException) {
        throw DecoderException.MissingFile(
            "${File(folder, path)} is not there or cannot be read (${error.message}); copy the package again.",
        )
    }

    private companion object {
        const val META = "meta/runtime_meta.json"
        const val SUMS = "SHA256SUMS"
        val LAYOUT = Regex("layouts/(.+)\\.json")
        const val DIGEST = "SHA-256"
        val LINE = Regex("([0-9a-f]{64}) [ *](?:\\./)?(.+)")
    }
}
