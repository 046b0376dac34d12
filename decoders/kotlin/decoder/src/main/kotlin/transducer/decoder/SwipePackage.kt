package transducer.decoder

import java.io.File

/**
 * A package's folder, as `make package-dynamic` and `make package-bundled` write it. Nothing of it is used before its
 * SHA-256 has been found to be that of `SHA256SUMS`.
 *
 * @throws DecoderException MissingFile, HashMismatch or BadPackage.
 */
public class SwipePackage(folder: File) {
    private val files = PackageFiles(folder)
    public val meta: RuntimeMeta = RuntimeMeta.parse(files.read(PackageFiles.META).decodeToString(), files.name(PackageFiles.META))

    /** Return the variants that there are of a graph, such as fp32 and int8. */
    public fun variants(role: String): Set<String> = meta.graphs[role]?.keys.orEmpty()

    /**
     * Return a graph's file.
     *
     * @param role encoder or rnnt_step.
     * @param variant fp32, int8, fp32.pte, ...
     * @throws DecoderException BadPackage, MissingFile or HashMismatch.
     */
    public fun graph(role: String, variant: String): File = files.graph(meta.graphs, role, variant)

    /**
     * Return the package's lexicon, or an empty one to add words to where it has none.
     *
     * @throws DecoderException MissingFile, HashMismatch or BadLexicon.
     */
    public fun lexicon(): Lexicon {
        val words = meta.words?.let { files.read(it).decodeToString().split('\n').filter(String::isNotEmpty) }.orEmpty()
        val trie = meta.trie ?: return Lexicon.of(words, meta.characters)
        return Lexicon.read(files.read(trie), words, meta.characters)
    }

    /**
     * Return which words follow which, or null where the package does not say.
     *
     * @throws DecoderException MissingFile, HashMismatch or BadLexicon.
     */
    public fun bigrams(): Bigrams? = meta.bigrams?.let { path ->
        Bigrams.read(files.read(path), files.read(meta.words!!).decodeToString().split('\n').filter(String::isNotEmpty))
    }

    /** Names of the keyboards that the package brings. */
    public val layouts: List<String> get() = files.paths.mapNotNull { LAYOUT.matchEntire(it)?.groupValues?.get(1) }

    /**
     * Return a keyboard that the package brings, by its name.
     *
     * @throws DecoderException MissingFile, HashMismatch or BadPackage.
     */
    public fun layout(name: String): Layout {
        val path = "layouts/$name.json"
        return RuntimeMeta.parseLayout(files.read(path).decodeToString(), files.name(path))
    }

    private companion object {
        val LAYOUT = Regex("layouts/(.+)\\.json")
    }
}
