package transducer.decoder

/** What steers a beam search of speech beside the model; states are numbers, 0 at the start. */
public interface Bias {
    /** Return what each label but the blank adds after a state, in nats; negative infinity forbids a label. */
    public fun gains(state: Int): DoubleArray

    /** Return the state after a label. */
    public fun follow(state: Int, label: Int): Int

    /** Return what the end of the audio adds, in nats. */
    public fun end(state: Int): Double
}

/** The sum of several biases, as one. */
public class Biases(private val parts: List<Bias>) : Bias {
    /** A state stands for one state of each part. */
    private val states = Numbered<List<Int>>().also { it.number(parts.map { 0 }) }
    private val rows = HashMap<Int, DoubleArray>()

    override fun gains(state: Int): DoubleArray = rows.getOrPut(state) {
        val each = parts.zip(states[state]) { part, at -> part.gains(at) }
        DoubleArray(each.first().size) { label -> each.sumOf { it[label] } }
    }

    override fun follow(state: Int, label: Int): Int = states.number(parts.zip(states[state]) { part, at -> part.follow(at, label) })

    override fun end(state: Int): Double = parts.zip(states[state]) { part, at -> part.end(at) }.sum()
}

/** Things by the numbers that they get, in the order in which they first come. */
internal class Numbered<T> {
    private val things = ArrayList<T>()
    private val numbers = HashMap<T, Int>()

    operator fun get(number: Int): T = things[number]

    fun number(thing: T): Int = numbers.getOrPut(thing) {
        things += thing
        things.size - 1
    }
}
