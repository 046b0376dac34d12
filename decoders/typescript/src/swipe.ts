/** Words from swipes: featurizer, encoder and beam search of one package. */
import { BeamSearch, type Candidate, type Step } from "./beam-search.js";
import type { Bigrams } from "./bigrams.js";
import { TransducerError } from "./errors.js";
import { checkTrace, swipeFeatures, type Point } from "./features.js";
import type { Files } from "./files.js";
import { arrangeKeys, placeKeys, type Layout, type LayoutMeta } from "./layout.js";
import { Lexicon } from "./lexicon.js";
import { Package, type RuntimeMeta } from "./package.js";
import type { Graph, Runtime } from "./runtime.js";
import { Turns } from "./turns.js";

export interface SwipeOptions {
  /** Variant of the encoder, such as "int8", and of the other graphs where they are built in it. */
  readonly variant?: string;
  /** Words to be found, the most frequent first, in place of the package's lexicon. */
  readonly words?: Iterable<string>;
  /** Prefixes kept; that of the package unless given. */
  readonly beam?: number;
  /** The keyboard swiped on: one that the package brings, by its name, or any other; the model's own unless given. */
  readonly layout?: string | LayoutMeta;
  /** What runs the step, which is small and called often: a GPU loses more on the way than it gains. */
  readonly stepRuntime?: Runtime;
}

/** The words of a swipe, the best first, and how many milliseconds each part took. */
export interface SwipeResult {
  readonly words: Candidate[];
  readonly milliseconds: { readonly features: number; readonly encoder: number; readonly search: number; readonly total: number };
}

export class SwipeDecoder {
  private readonly search: BeamSearch;
  private readonly step: Step;
  private readonly turns = new Turns();

  private keyboard: Layout;

  private constructor(
    private readonly source: Package,
    /** Words can be added to it, and taken back, at any time. */
    readonly lexicon: Lexicon,
    /** Which words follow which, where the package says so. */
    private readonly bigrams: Bigrams | undefined,
    private readonly encoder: Graph,
    private readonly stepGraph: Graph,
    beam: number,
  ) {
    const { dims, blank_id: blank, decoding } = source.meta;
    this.keyboard = placeKeys(this.meta.layout!);
    const shape = { blank, D: dims.D, L: dims.L, H: dims.H };
    this.search = new BeamSearch(lexicon, shape, {
      beam,
      threshold: decoding!.threshold ?? Infinity,
      maxSymbols: decoding!.max_symbols,
      priorWeight: decoding!.prior_weight,
      lengthPower: decoding!.length_power,
    });
    this.step = graphStep(stepGraph, shape);
  }

  /** Open a package. A dynamic one has no lexicon: give `words`, or add them later. Throws TransducerError. */
  static async open(files: Files, runtime: Runtime, options: SwipeOptions = {}): Promise<SwipeDecoder> {
    const { variant, words, beam, layout, stepRuntime = runtime } = options;
    const found = await Package.open(files, "swipe");
    placeKeys(found.meta.layout!);
    const lexicon = (words ? undefined : await found.lexicon()) ?? Lexicon.fromWords(words ?? [], found.characters);
    const bigrams = words ? undefined : await found.bigrams();
    // One after the other: onnxruntime-web starts itself with the first.
    const encoder = await found.load(runtime, "encoder", variant);
    const step = await found.loadSmall(stepRuntime, "rnnt_step", variant);
    const decoder = new SwipeDecoder(found, lexicon, bigrams, encoder, step, beam ?? found.meta.decoding!.beam);
    if (layout) await decoder.useLayout(layout);
    return decoder;
  }

  get meta(): RuntimeMeta {
    return this.source.meta;
  }

  /** The keyboard that swipes are read on, its keys in the order of the model's. */
  get layout(): Layout {
    return this.keyboard;
  }

  /** Names of the keyboards that the package brings. */
  get layouts(): string[] {
    return this.source.layouts;
  }

  /**
   * Read swipes on another keyboard from now on, one that the package brings or any other; return it as it is.
   *
   * Throws bad-layout if a letter of the model has no key on it, and what reading it throws.
   */
  async useLayout(layout: string | LayoutMeta): Promise<LayoutMeta> {
    const meta = typeof layout === "string" ? await this.source.layout(layout) : layout;
    this.keyboard = arrangeKeys(placeKeys(meta), placeKeys(this.meta.layout!).keys, meta.name);
    return meta;
  }

  /**
   * Return the likeliest words of a swipe, at most `count`.
   *
   * `previous` is the word before it, "" at the beginning of a sentence; unless it is given, and where the package has
   * no bigrams, it does not count.
   *
   * Throws empty-trace, single-point or bad-trace.
   */
  decode(points: readonly Point[], count = 5, previous?: string): Promise<SwipeResult> {
    return this.turns.take(async () => {
      const begin = performance.now();
      checkTrace(points);
      const features = swipeFeatures(points, this.layout);
      const encoding = performance.now();
      const frames = await encode(this.encoder, features.data, features.rows, features.columns);
      const searching = performance.now();
      const gains = (previous === undefined ? undefined : this.bigrams?.gains(previous)) ?? new Map<number, number>();
      const words = await this.lexicon.lifted(gains, () => this.search.decode(frames, this.step, count));
      const end = performance.now();
      return {
        words,
        milliseconds: { features: encoding - begin, encoder: searching - encoding, search: end - searching, total: end - begin },
      };
    });
  }

  /** Give the graphs' memory back. */
  close(): Promise<void> {
    return this.turns.take(async () => {
      await this.encoder.close();
      await this.stepGraph.close();
    });
  }
}

/** Run an encoder on features [T, F]; return its frames [T_enc, D]. */
export async function encode(encoder: Graph, features: Float32Array, rows: number, columns: number): Promise<Float32Array> {
  const data = transpose(features, rows, columns);
  const [input, length] = encoder.inputs as [string, string];
  const found = await encoder.run({
    [input]: { data, dims: [1, columns, rows] },
    [length]: { data: BigInt64Array.of(BigInt(rows)), dims: [1] },
  });
  return encoderFrames(found);
}

/** Return the frames [T_enc, D] that an encoder gave as [1, D, T_enc], those of padding left out. */
export function encoderFrames(found: Awaited<ReturnType<Graph["run"]>>): Float32Array {
  const { encoder_output: output, encoded_lengths: lengths } = found;
  if (!output || !lengths || output.dims.length !== 3) {
    throw new TransducerError("bad-graph", "The encoder has no outputs encoder_output and encoded_lengths; package the model again.");
  }
  const [, D, T] = output.dims as [number, number, number];
  return transpose(output.data as Float32Array, D, T).subarray(0, Number(lengths.data[0]) * D);
}

/** Return [rows, columns] as [columns, rows]. */
function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = data[row * columns + column]!;
  }
  return out;
}

/** Return the step of an rnnt_step graph. */
export function graphStep(graph: Graph, { D, L, H }: { D: number; L: number; H: number }): Step {
  return async (count, frames, labels, h, c) => {
    const found = await graph.run({
      encoder_frame: { data: frames, dims: [count, D] },
      y: { data: labels, dims: [count] },
      h: { data: h, dims: [L, count, H] },
      c: { data: c, dims: [L, count, H] },
    });
    const { logits, h_out, c_out } = found;
    if (!logits || !h_out || !c_out) throw new TransducerError("bad-graph", "The step graph has no outputs logits, h_out and c_out; package the model again.");
    return { logits: logits.data as Float32Array, h: h_out.data as Float32Array, c: c_out.data as Float32Array };
  };
}
