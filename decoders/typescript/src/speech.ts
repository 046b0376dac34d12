/** Text from speech: frontend, encoder and greedy decoding of one package. */
import { Biases, type Bias } from "./bias.js";
import { TransducerError } from "./errors.js";
import type { Files } from "./files.js";
import { greedySearch, type GreedyShape, type Label } from "./greedy.js";
import { LANGUAGE_MODEL_WEIGHT, LanguageModel } from "./language-model.js";
import { Package, type RuntimeMeta } from "./package.js";
import { PHRASE_WEIGHT, Phrases } from "./phrases.js";
import type { Graph, Runtime } from "./runtime.js";
import { ScriptLock } from "./scripts.js";
import { speechSearch, type Hypothesis } from "./speech-search.js";
import { encoderFrames, graphStep } from "./swipe.js";
import { Vocabulary, type Token, type Word } from "./transcript.js";
import { Turns } from "./turns.js";

// Less is not speech, and too little for the encoder's convolutions.
const MIN_SECONDS = 0.1;
// Samples that differ by no more than one step of 16 bit, about -90 dB of full scale, hold no signal, and so no words.
const NO_SIGNAL = 2 ** -15;
// Prefixes kept where hotwords steer the search, and texts that it gives.
const BEAM = 8;
const ALTERNATIVES = 8;

export interface SpeechOptions {
  /** Variant of the encoder, such as "int8", and of the other graphs where they are built in it. */
  readonly variant?: string;
  /** What runs the step, which is small and called often: a GPU loses more on the way than it gains. */
  readonly stepRuntime?: Runtime;
}

/** How to search; docs/decoding.md says more. */
export interface Steering {
  /** Prefixes kept: 1, the greedy search, unless given or something steers the search; then 8. */
  readonly beam?: number;
  /** Phrases to prefer, as a list or with a weight each, in nats a letter. */
  readonly hotwords?: Iterable<string> | ReadonlyMap<string, number>;
  /** An n-gram model of the model's tokens, as `languageModel` reads it. */
  readonly languageModel?: LanguageModel;
  /** Of all that is written, by Unicode's names: Latin, Cyrillic, Han. */
  readonly scripts?: readonly string[];
}

/** What was heard, and how many milliseconds each part took. */
export interface SpeechResult {
  readonly text: string;
  readonly tokens: Token[];
  readonly words: Word[];
  /** Texts that a beam search found, the best first, and their scores in nats; none of the greedy search. */
  readonly alternatives: { readonly text: string; readonly score: number }[];
  readonly milliseconds: { readonly frontend: number; readonly encoder: number; readonly decoder: number; readonly total: number };
}

export class SpeechDecoder {
  /** That waveforms must have, in Hz. */
  readonly sampleRate: number;
  private readonly vocabulary: Vocabulary;
  private readonly shape: GreedyShape;
  private readonly turns = new Turns();

  private constructor(
    readonly meta: RuntimeMeta,
    private readonly frontend: Graph,
    private readonly encoder: Graph,
    private readonly step: Graph,
  ) {
    const { dims, durations, tokens, blank_id: blank, max_symbols: maxSymbols } = meta;
    this.sampleRate = meta.sample_rate!;
    this.vocabulary = new Vocabulary(tokens.slice(0, blank), meta.tokenizer);
    this.shape = { blank, D: dims.D, L: dims.L, H: dims.H, durations, maxSymbols };
  }

  /** Open a package. Throws TransducerError. */
  static async open(files: Files, runtime: Runtime, { variant, stepRuntime = runtime }: SpeechOptions = {}): Promise<SpeechDecoder> {
    const found = await Package.open(files, "speech");
    const frontend = await found.loadSmall(runtime, "frontend", variant);
    const encoder = await found.load(runtime, "encoder", variant);
    const step = await found.loadSmall(stepRuntime, "rnnt_step", variant);
    return new SpeechDecoder(found.meta, frontend, encoder, step);
  }

  /** Read an n-gram model from the text of an ARPA file, which `make token-lm` or `LANGUAGE=` makes. Throws bad-language-model. */
  languageModel(arpa: string, weight = LANGUAGE_MODEL_WEIGHT): LanguageModel {
    return new LanguageModel(arpa, this.meta.tokens.slice(0, this.meta.blank_id), weight);
  }

  /**
   * Transcribe samples at `sampleRate`, up to some 30 s: cut longer recordings in pauses.
   *
   * What has no signal has no words. Throws bad-audio, bad-phrase, bad-script and bad-beam.
   */
  transcribe(wave: Float32Array, steering: Steering = {}): Promise<SpeechResult> {
    return this.turns.take(async () => {
      const begin = performance.now();
      this.check(wave);
      const { beam, bias } = this.searchOf(steering);
      if (!hasSignal(wave)) return { text: "", tokens: [], words: [], alternatives: [], milliseconds: { frontend: 0, encoder: 0, decoder: 0, total: performance.now() - begin } };
      const features = await this.frontend.run({
        waveform: { data: wave, dims: [1, wave.length] },
        length: { data: BigInt64Array.of(BigInt(wave.length)), dims: [1] },
      });
      const encoding = performance.now();
      const [input, length] = this.encoder.inputs as [string, string];
      const encoded = await this.encoder.run({ [input]: features.audio_signal!, [length]: features.length_out! });
      const decoding = performance.now();
      const [frames, step] = [encoderFrames(encoded), graphStep(this.step, this.shape)];
      const searched = beam > 1 || bias ? await speechSearch(frames, step, this.shape, { beam, bias }) : undefined;
      const tokens = this.tokens(searched ? searched[0]!.labels : await greedySearch(frames, step, this.shape));
      const end = performance.now();
      return {
        ...this.vocabulary.transcript(tokens),
        tokens,
        alternatives: this.alternatives(searched ?? []),
        milliseconds: { frontend: encoding - begin, encoder: decoding - encoding, decoder: end - decoding, total: end - begin },
      };
    });
  }

  private searchOf({ beam, hotwords, languageModel, scripts }: Steering): { beam: number; bias: Bias | undefined } {
    const weights = hotwords instanceof Map ? hotwords : new Map([...(hotwords ?? [])].map((phrase) => [phrase as string, PHRASE_WEIGHT]));
    const { spelt } = this.vocabulary;
    const biases: Bias[] = [];
    if (weights.size) biases.push(new Phrases(weights, spelt));
    if (languageModel) biases.push(languageModel);
    if (scripts?.length) biases.push(new ScriptLock(scripts, spelt));
    const kept = beam ?? (biases.length ? BEAM : 1);
    if (!(Number.isInteger(kept) && kept >= 1)) throw new TransducerError("bad-beam", `A beam of ${kept} is not a whole number of at least 1; give one.`);
    return { beam: kept, bias: biases.length > 1 ? new Biases(biases) : biases[0] };
  }

  private tokens(labels: readonly Label[]): Token[] {
    const seconds = this.meta.subsampling_factor * this.meta.window_stride!;
    return labels.map(({ id, frame, duration, confidence }) => ({
      id,
      start: frame * seconds,
      end: (frame + (this.shape.durations.length ? duration : 1)) * seconds,
      confidence,
    }));
  }

  private alternatives(searched: readonly Hypothesis[]): { text: string; score: number }[] {
    const scores = new Map<string, number>();
    for (const { labels, score } of searched.slice(0, ALTERNATIVES)) {
      const { text } = this.vocabulary.transcript(this.tokens(labels));
      if (!scores.has(text)) scores.set(text, score);
    }
    return [...scores].map(([text, score]) => ({ text, score }));
  }

  /** Give the graphs' memory back. */
  close(): Promise<void> {
    return this.turns.take(async () => {
      for (const graph of [this.frontend, this.encoder, this.step]) await graph.close();
    });
  }

  private check(wave: Float32Array): void {
    const seconds = wave.length / this.sampleRate;
    if (!(seconds >= MIN_SECONDS)) {
      throw new TransducerError("bad-audio", `The recording holds ${seconds.toFixed(2)} s of audio; bring at least ${MIN_SECONDS} s.`);
    }
    if (!wave.every(Number.isFinite)) throw new TransducerError("bad-audio", "The recording has samples that are not finite numbers; export the audio again.");
  }
}

/** Whether samples differ by more than a muted microphone's do. */
export function hasSignal(wave: Float32Array): boolean {
  let low = Infinity;
  let high = -Infinity;
  for (const sample of wave) {
    low = Math.min(low, sample);
    high = Math.max(high, sample);
  }
  return high - low > NO_SIGNAL;
}
