package transducer.decoder

import java.io.File

/**
 * A speech model's package, as `make package-dynamic` writes it. Nothing of it is used before its SHA-256 has been found
 * to be that of `SHA256SUMS`.
 *
 * @throws DecoderException MissingFile, HashMismatch or BadPackage.
 */
public class SpeechPackage(folder: File) {
    private val files = PackageFiles(folder)
    public val meta: SpeechMeta = SpeechMeta.parse(files.read(PackageFiles.META).decodeToString(), files.name(PackageFiles.META))

    /** Return the variants that there are of a graph, such as fp32 and int8. */
    public fun variants(role: String): Set<String> = meta.graphs[role]?.keys.orEmpty()

    /**
     * Return a graph's file.
     *
     * @param role frontend, encoder or rnnt_step.
     * @param variant fp32, int8, ...
     * @throws DecoderException BadPackage, MissingFile or HashMismatch.
     */
    public fun graph(role: String, variant: String): File = files.graph(meta.graphs, role, variant)
}
