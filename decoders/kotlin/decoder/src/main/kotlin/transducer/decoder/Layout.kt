package transducer.decoder

/**
 * The letter keys of a keyboard, row by row from the top; all lengths are in key widths.
 *
 * @property keys the letters.
 * @property x centres of the keys to the right of the letter area's top left corner.
 * @property y centres of the keys down from it.
 * @property width of the letter area. A point's x, which lies in [0, 1], times this is its place.
 * @property height of the letter area.
 */
public class Layout(
    public val keys: String,
    public val x: DoubleArray,
    public val y: DoubleArray,
    public val width: Double,
    public val height: Double,
) {
    /**
     * Return the layout with its keys in the order of a model's letters, as its features have them, so that the model
     * reads swipes on it. Keys that the model does not know are left out.
     *
     * @throws DecoderException.BadLayout if a letter has no key.
     */
    public fun arranged(slots: String): Layout {
        val places = slots.map { letter ->
            keys.indexOf(letter).takeIf { it >= 0 } ?: throw DecoderException.BadLayout(
                "The layout has no key '$letter', which the model needs; add the key.",
            )
        }
        val x = DoubleArray(places.size) { x[places[it]] }
        val y = DoubleArray(places.size) { y[places[it]] }
        return Layout(slots, x, y, width, height)
    }

    public companion object {
        /** A row of keys one key width apart, the whole shifted to the right by `offset` key widths. */
        public class Row(public val keys: String, public val offset: Double)

        /**
         * Return the layout that a checkpoint was trained on.
         *
         * @param columns the letter area's width in keys.
         * @param aspect its height over its width.
         */
        public fun of(rows: List<Row>, columns: Double, aspect: Double): Layout {
            val height = columns * aspect
            val places = rows.flatMapIndexed { row, one ->
                one.keys.indices.map { Pair(one.offset + it + 0.5, (row + 0.5) * height / rows.size) }
            }
            val x = DoubleArray(places.size) { places[it].first }
            val y = DoubleArray(places.size) { places[it].second }
            return Layout(rows.joinToString("") { it.keys }, x, y, columns, height)
        }
    }
}
