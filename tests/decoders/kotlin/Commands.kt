/**
 * Carries out the commands that a test sends, with the decoder as an app would use it.
 *
 * A command is a JSON object; its answer is one too, of the kind and message of an error where there was one.
 */
package transducer.decoder

import served.Served
import transducer.decoder.executorch.ExecuTorchModel
import transducer.decoder.executorch.ExecuTorchSpeechModel
import transducer.decoder.onnxruntime.OnnxRuntimeModel
import transducer.decoder.onnxruntime.OnnxRuntimeSpeechModel
import java.io.EOFException
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

private typealias Command = Map<*, *>

private lateinit var files: SwipePackage
private lateinit var lexicon: Lexicon
private lateinit var decoder: SwipeDecoder
private lateinit var speech: SpeechDecoder
private lateinit var speechModel: SpeechModel

fun main() {
    while (true) {
        val text = try {
            Served.text()
        } catch (_: EOFException) {
            return
        }
        val answer = try {
            carryOut(Json.parse(text) as Command)
        } catch (error: DecoderException) {
            mapOf("error" to error::class.simpleName, "message" to error.message)
        }
        Served.OUT.writeByte('J'.code)
        Served.text(written(answer))
        Served.OUT.flush()
    }
}

private fun carryOut(command: Command): Any? = when (val name = command["do"]) {
    "open" -> open(command)
    "features" -> Features.of(points(command), keyboard(command).arranged(files.meta.layout.keys)).run { mapOf("rows" to rows, "columns" to columns, "values" to values.toList()) }
    "decode" -> decode(command)
    "add" -> command["prior"].let { if (it is Double) lexicon.add(command.text("word"), it) else lexicon.add(command.text("word")) }
    "addAll" -> lexicon.addAll(File(command.text("words")).readLines(), command["weight"] as Double)
    "remove" -> lexicon.remove(command.text("word"))
    "contains" -> command.text("word") in lexicon
    "close" -> decoder.close()
    "open_speech" -> openSpeech(command)
    "transcribe" -> transcribe(command)
    "search_speech" -> searchSpeech(command)
    "close_speech" -> speech.close()
    else -> error("no command $name")
}

private fun keyboard(command: Command): Layout = (command["layout"] as String?)?.let(files::layout) ?: files.meta.layout

/** Open a package by a runtime; with a word list, its trie is built from that. */
private fun open(command: Command) {
    files = SwipePackage(File(command.text("package")))
    lexicon = command["words"]?.let { Lexicon.of(File(it as String).readLines(), files.meta.characters) } ?: files.lexicon()
    val variant = command["variant"] as String?
    val model = if (command["runtime"] == "executorch") ExecuTorchModel.open(files, variant) else OnnxRuntimeModel.open(files, variant)
    val asked = command["search"] as Command?
    val search = asked?.let {
        val (prior, length, threshold) = listOf("prior_weight", "length_power", "threshold").map { name -> it[name] as Double }
        SearchOptions(it.int("beam"), it.int("max_symbols"), prior, length, threshold)
    }
    decoder = SwipeDecoder(files.meta, lexicon, model, search ?: files.meta.search, keyboard(command), bigrams(command))
}

private fun bigrams(command: Command): Bigrams? =
    command["bigrams"]?.let { Bigrams.read(File(it as String).readBytes(), File(command.text("words")).readLines()) } ?: files.bigrams()

private fun openSpeech(command: Command) {
    val found = SpeechPackage(File(command.text("package")))
    val variant = command["variant"] as String?
    val model = if (command["runtime"] == "executorch") ExecuTorchSpeechModel.open(found, variant) else OnnxRuntimeSpeechModel.open(found, variant)
    speechModel = model
    speech = SpeechDecoder(found.meta, model)
}

/** Numbers of a file of float32 values, little-endian. */
private fun floats(path: String): FloatArray {
    val values = ByteBuffer.wrap(File(path).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    return FloatArray(values.remaining()).also(values::get)
}

private fun hotwords(command: Command): Map<String, Double> =
    (command["hotwords"] as Map<*, *>?).orEmpty().entries.associate { (phrase, weight) -> phrase as String to weight.toString().toDouble() }

/** Search encoder frames [T, D], as a file has them. */
private fun searchSpeech(command: Command): Any {
    val meta = speech.meta
    val spelt = Vocabulary(meta.tokens.dropLast(1), meta.tokenizer).spelt
    val phrases = hotwords(command)
    val values = floats(command.text("frames"))
    val width = meta.dims.getValue("D")
    val steps = ArrayList<Any>()
    val search = SpeechSearch(meta, speechModel, command.int("beam"), if (phrases.isEmpty()) null else Phrases(phrases, spelt))
    val found = search.decode(Matrix(values, values.size / width, width)) { frame, prefixes, scores ->
        steps += mapOf("frame" to frame, "prefixes" to prefixes, "scores" to scores)
    }
    return mapOf("steps" to steps, "n_best" to found.map { mapOf(
        "labels" to it.labels.map { label -> label.id },
        "frames" to it.labels.map { label -> label.frame },
        "durations" to it.labels.map { label -> label.duration },
        "confidences" to it.labels.map { label -> label.confidence },
        "log_prob" to it.logProb,
        "score" to it.score,
    ) })
}

/** Transcribe a file of samples. */
private fun transcribe(command: Command): Any {
    val languageModel = command["languageModel"]?.let { speech.languageModel(File(it as String).readText()) }
    val scripts = (command["scripts"] as List<*>?).orEmpty().map { it as String }
    val found = speech.transcribe(floats(command.text("samples")), (command["beam"] as Double?)?.toInt(), hotwords(command), languageModel, scripts)
    return mapOf(
        "text" to found.text,
        "tokens" to found.tokens.map { it.id },
        "words" to found.words.map { mapOf("text" to it.text, "start" to it.start, "end" to it.end, "confidence" to it.confidence) },
        "alternatives" to found.alternatives.map { mapOf("text" to it.text, "score" to it.score) },
    )
}

private fun decode(command: Command): Any {
    val beams = ArrayList<Any>()
    val found = decoder.decode(points(command), command.int("count"), command["previous"] as String?) { nodes, logProbs ->
        beams += mapOf("prefixes" to nodes.map(lexicon::prefix), "log_probs" to logProbs.toList())
    }
    return mapOf(
        "beams" to beams,
        "n_best" to found.map { mapOf("word" to it.word, "log_prob" to it.logProb, "score" to it.score) },
    )
}

/** JSON has no NaN, so a test may send numbers as strings. */
private fun points(command: Command): List<Point> = (command["points"] as List<*>).map { point ->
    val (x, y, t) = (point as List<*>).map { it.toString().toDouble() }
    Point(x, y, t)
}

private fun Command.text(name: String) = getValue(this, name) as String

private fun Command.int(name: String) = (getValue(this, name) as Double).toInt()

private fun getValue(command: Command, name: String): Any = command[name] ?: error("the command has no $name")

private fun written(value: Any?): String = when (value) {
    is Map<*, *> -> value.entries.joinToString(",", "{", "}") { "${written(it.key)}:${written(it.value)}" }
    is List<*> -> value.joinToString(",", "[", "]", transform = ::written)
    is String -> value.map { if (it < ' ' || it in "\"\\") "\\u%04x".format(it.code) else it.toString() }.joinToString("", "\"", "\"")
    Unit -> "null"
    else -> value.toString()
}
