package transducer.decoder

import java.io.File
import java.io.IOException
import java.security.MessageDigest

/** The files of a package, none of which is used before its SHA-256 has been found to be that of `SHA256SUMS`. */
internal class PackageFiles(private val folder: File) {
    private val sums = sums()

    /** Paths of all files that are listed. */
    val paths: Set<String> get() = sums.keys

    /** Return a graph's file, of those that the metadata lists. */
    fun graph(graphs: Map<String, Map<String, GraphFile>>, role: String, variant: String): File {
        val variants = graphs[role].orEmpty()
        val graph = variants[variant] ?: throw DecoderException.BadPackage(
            "$folder has no $role of variant $variant but ${variants.keys.ifEmpty { setOf("none") }.joinToString()}; name another.",
        )
        for (path in graph.sidecars + graph.file) check(path, digest(path))
        if (sums[graph.file] != graph.sha256) throw mismatch(graph.file, META)
        return File(folder, graph.file)
    }

    /** Return a file's name for messages. */
    fun name(path: String): String = File(folder, path).path

    private fun sums(): Map<String, String> {
        val lines = reading(SUMS) { it.readLines() }
        return lines.mapNotNull { LINE.matchEntire(it)?.destructured }.associate { (sum, path) -> path to sum }
    }

    fun read(path: String): ByteArray {
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

    companion object {
        const val META = "meta/runtime_meta.json"
        private const val SUMS = "SHA256SUMS"
        private const val DIGEST = "SHA-256"
        private val LINE = Regex("([0-9a-f]{64}) [ *](?:\\./)?(.+)")
    }
}
