package transducer.decoder

import kotlin.math.ceil
import kotlin.math.exp
import kotlin.math.ln1p
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

/** A point of a trace: x and y in [0, 1] of the letter area from its top left corner, t in milliseconds. */
public class Point(public val x: Double, public val y: Double, public val t: Double)

/** Rows of numbers, one after the other. */
public class Matrix(public val values: FloatArray, public val rows: Int, public val columns: Int)

/**
 * The features of a swipe: what the encoder sees of a trace.
 *
 * `py/transducer/swipe/features.py` is the reference and `docs/swipe.md` the description. All arithmetic is in
 * float64, in the reference's order, and rounded to float32 at last.
 */
public object Features {
    public const val VERSION: Int = 1

    /** Features that are not of keys. */
    public const val KINEMATICS: Int = 12

    public const val FRAME_SECONDS: Double = 0.025
    public const val PROXIMITY_WIDTH: Double = 0.8

    /** A frame that the end of a trace misses by rounding alone is not another frame. */
    private const val FRAME_TOLERANCE = 1e-6
    private const val MAX_SECONDS = 20

    /**
     * Check that points make a swipe.
     *
     * @throws DecoderException EmptyTrace, SinglePoint or BadTrace.
     */
    public fun check(points: List<Point>) {
        if (points.isEmpty()) throw DecoderException.EmptyTrace("The trace has no points; give the points of one swipe.")
        if (points.size == 1) {
            throw DecoderException.SinglePoint("The trace is a single point, which is a tap; give two points or more.")
        }
        if (points.any { !it.x.isFinite() || !it.y.isFinite() || !it.t.isFinite() }) {
            bad("A coordinate or time of the trace is not a finite number; leave that point out.")
        }
        if (points.any { it.x !in 0.0..1.0 || it.y !in 0.0..1.0 }) {
            bad("A point lies outside the letter area, whose x and y go from 0 to 1; hold it to the edge.")
        }
        if (points.zipWithNext().any { (before, after) -> after.t < before.t }) {
            bad("Time runs backwards in the trace; give the points in the order of their times.")
        }
        if (points.last().t - points.first().t > MAX_SECONDS * 1000) {
            bad("The trace lasts longer than $MAX_SECONDS s; give t in milliseconds, one swipe at a time.")
        }
    }

    private fun bad(message: String): Nothing = throw DecoderException.BadTrace(message)

    /** Return the features [frames, 12 + keys] of one point or more, in the order of their times. */
    public fun of(points: List<Point>, layout: Layout): Matrix {
        val (x, y) = resample(points)
        val frames = x.size
        for (frame in 0 until frames) {
            x[frame] *= layout.width
            y[frame] *= layout.height
        }
        val columns = KINEMATICS + layout.keys.length
        val values = FloatArray(frames * columns)
        var at = 0
        fun put(value: Double) {
            values[at++] = value.toFloat()
        }
        for (frame in 0 until frames) {
            val vx = velocity(x, frame)
            val vy = velocity(y, frame)
            val ax = acceleration(x, frame)
            val ay = acceleration(y, frame)
            val squared = vx * vx + vy * vy
            val moving = sqrt(squared + 1)
            put(2 * x[frame] / layout.width - 1)
            put(2 * y[frame] / layout.height - 1)
            put(vx / 10)
            put(vy / 10)
            put(ln1p(sqrt(squared)))
            put(ax / 100)
            put(ay / 100)
            put(vx / moving)
            put(vy / moving)
            put((vx * ay - vy * ax) / (squared + 25) / 10)
            put(frame * FRAME_SECONDS)
            put((frames - 1 - frame) * FRAME_SECONDS)
            for (key in layout.keys.indices) {
                val dx = x[frame] - layout.x[key]
                val dy = y[frame] - layout.y[key]
                put(exp(-(dx * dx + dy * dy) / (2 * PROXIMITY_WIDTH * PROXIMITY_WIDTH)))
            }
        }
        return Matrix(values, frames, columns)
    }

    /** Return x and y at every 25 ms from the first point on; of points at one and the same time the last counts. */
    private fun resample(points: List<Point>): Pair<DoubleArray, DoubleArray> {
        val seconds = DoubleArray(points.size) { (points[it].t - points[0].t) / 1000 }
        val known = points.indices.filter { it == points.size - 1 || seconds[it + 1] > seconds[it] }
        val frames = ceil(seconds.last() / FRAME_SECONDS - FRAME_TOLERANCE).toInt() + 1
        val x = DoubleArray(frames)
        val y = DoubleArray(frames)
        var at = 0
        for (frame in 0 until frames) {
            val time = frame * FRAME_SECONDS
            while (at < known.size - 1 && seconds[known[at + 1]] <= time) at++
            val here = points[known[at]]
            x[frame] = here.x
            y[frame] = here.y
            if (at < known.size - 1) {
                val next = points[known[at + 1]]
                val span = seconds[known[at + 1]] - seconds[known[at]]
                val since = time - seconds[known[at]]
                x[frame] += (next.x - here.x) / span * since
                y[frame] += (next.y - here.y) / span * since
            }
        }
        return Pair(x, y)
    }

    // Of the parabola fitted to the five frames around each; those beyond either end repeat the end.

    private fun velocity(p: DoubleArray, frame: Int): Double =
        (2 * (p.near(frame, 2) - p.near(frame, -2)) + (p.near(frame, 1) - p.near(frame, -1))) / (10 * FRAME_SECONDS)

    private fun acceleration(p: DoubleArray, frame: Int): Double =
        (2 * (p.near(frame, 2) + p.near(frame, -2)) - (p.near(frame, 1) + p.near(frame, -1)) - 2 * p[frame]) /
            (7 * FRAME_SECONDS * FRAME_SECONDS)

    private fun DoubleArray.near(frame: Int, shift: Int): Double = this[max(0, min(size - 1, frame + shift))]
}
