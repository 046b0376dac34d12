/** A package's folder: its metadata, and its files once their SHA-256 is that of SHA256SUMS. */
import { Bigrams } from "./bigrams.js";
import { TransducerError } from "./errors.js";
import { FEATURIZER_VERSION, KINEMATICS } from "./features.js";
import type { Files } from "./files.js";
import type { LayoutMeta } from "./layout.js";
import { Lexicon } from "./lexicon.js";
import type { Graph, Runtime } from "./runtime.js";
import { sha256 } from "./sha256.js";

const META = "meta/runtime_meta.json";
const FORMAT = 1;

export interface GraphFile {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Files that hold its weights, of graphs above 1 GiB. */
  readonly sidecars?: readonly unknown[];
}

/** What is used of meta/runtime_meta.json. */
export interface RuntimeMeta {
  readonly format: number;
  readonly task: "swipe" | "speech";
  readonly model_type: "rnnt" | "tdt";
  /** The labels in order of their ids, the blank last. */
  readonly tokens: readonly string[];
  readonly blank_id: number;
  readonly characters: Readonly<Record<string, number>> | null;
  /** F features, D encoder width, L and H of the predictor's LSTM, V labels with blank, K durations. */
  readonly dims: Readonly<Record<"F" | "D" | "L" | "H" | "V" | "K", number>>;
  /** TDT durations in encoder frames. */
  readonly durations: readonly number[];
  readonly max_symbols: number;
  readonly subsampling_factor: number;
  readonly graphs: Readonly<Record<string, Readonly<Record<string, GraphFile>>>>;
  readonly source?: unknown;
  // Of swipe models.
  readonly featurizer?: { readonly version: number; readonly kinematics: number };
  readonly layout?: LayoutMeta;
  readonly decoding?: {
    readonly beam: number;
    /** Packages made before there was a threshold have none. */
    readonly threshold?: number;
    readonly prior_weight: number;
    readonly length_power: number;
    readonly max_symbols: number;
  };
  readonly lexicon?: { readonly words: string; readonly trie: string; readonly bigrams?: string } | null;
  // Of speech models.
  readonly sample_rate?: number;
  /** Seconds from one feature frame to the next. */
  readonly window_stride?: number;
  readonly tokenizer?: string;
}

export class Package {
  private constructor(
    private readonly files: Files,
    private readonly sums: ReadonlyMap<string, string>,
    readonly meta: RuntimeMeta,
  ) {}

  /** Read a package's metadata. Throws missing-file, hash-mismatch or bad-package. */
  static async open(files: Files, task: RuntimeMeta["task"]): Promise<Package> {
    const sums = new Map<string, string>();
    for (const line of text(await files.read("SHA256SUMS")).split("\n")) {
      const [, sum, path] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line.trimEnd()) ?? [];
      if (sum && path) sums.set(path.replace(/^\.\//, ""), sum);
    }
    const bytes = await readChecked(files, sums, META);
    return new Package(files, sums, checkMeta(text(bytes), task, files.name));
  }

  /** Return a file's bytes. Throws missing-file or hash-mismatch. */
  read(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return readChecked(this.files, this.sums, path);
  }

  /** Names of the keyboards that the package brings. */
  get layouts(): string[] {
    return [...this.sums.keys()].flatMap((path) => /^layouts\/(.+)\.json$/.exec(path)?.[1] ?? []);
  }

  /** Return a keyboard that the package brings, by its name. Throws missing-file, hash-mismatch or bad-layout. */
  async layout(name: string): Promise<LayoutMeta> {
    const content = text(await this.read(`layouts/${name}.json`));
    try {
      return JSON.parse(content) as LayoutMeta;
    } catch {
      throw new TransducerError("bad-layout", `layouts/${name}.json of ${this.files.name} is not JSON; package the model again.`);
    }
  }

  /** Variants that there are of a graph. */
  variants(role: string): string[] {
    return Object.keys(this.meta.graphs[role] ?? {});
  }

  /**
   * Load a graph into a runtime, in a variant; unless one is given, in fp32 or what there is instead.
   *
   * Throws bad-package if the package has no such graph, and what reading and loading throw.
   */
  async load(runtime: Runtime, role: string, variant?: string): Promise<Graph> {
    const built = this.meta.graphs[role] ?? {};
    const graph = variant ? built[variant] : (built.fp32 ?? Object.values(built)[0]);
    if (!graph) {
      const there = Object.keys(built).join(", ");
      throw new TransducerError("bad-package", `${this.files.name} has no ${role} graph${there && ` in ${variant}, only in ${there}`}; ${there ? "choose one of these" : "package the model again"}.`);
    }
    if (graph.sidecars?.length) {
      throw new TransducerError("bad-graph", `${graph.file} keeps its weights in a second file, which is too large for this library; use its int8 variant.`);
    }
    const bytes = await this.read(graph.file);
    if (this.sums.get(graph.file) !== graph.sha256) throw mismatch(graph.file, `${META} says`);
    return runtime.load(bytes, graph.file);
  }

  /** Load a graph in a variant, or, if it is not built in it, as if none were given: small graphs often are not. */
  loadSmall(runtime: Runtime, role: string, variant?: string): Promise<Graph> {
    return this.load(runtime, role, variant && this.variants(role).includes(variant) ? variant : undefined);
  }

  /** Labels of the characters that words are spelt with. Throws bad-package for models of word pieces. */
  get characters(): Map<string, number> {
    const { characters } = this.meta;
    if (!characters) throw new TransducerError("bad-package", `${this.files.name} is of a model of word pieces, which has no lexicon; use a model of characters.`);
    return new Map(Object.entries(characters));
  }

  /** Return the lexicon that is bundled, or undefined where the app is to bring one. */
  async lexicon(): Promise<Lexicon | undefined> {
    const { lexicon } = this.meta;
    if (!lexicon) return undefined;
    const [trie, words] = await Promise.all([this.read(lexicon.trie), this.read(lexicon.words)]);
    return Lexicon.fromFile(trie, readWords(text(words)), this.characters);
  }

  /** Return which words follow which, or undefined where the package does not say. Throws bad-lexicon. */
  async bigrams(): Promise<Bigrams | undefined> {
    const { lexicon } = this.meta;
    if (!lexicon?.bigrams) return undefined;
    const [bigrams, words] = await Promise.all([this.read(lexicon.bigrams), this.read(lexicon.words)]);
    return Bigrams.fromFile(bigrams, readWords(text(words)));
  }
}

/** Return the words of a list, one a line. */
export function readWords(content: string): string[] {
  return content.split(/\s+/).filter(Boolean);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function mismatch(path: string, whose: string): TransducerError {
  return new TransducerError("hash-mismatch", `${path} is not the file that was packaged: its SHA-256 is not what ${whose}; copy the package again.`);
}

async function readChecked(files: Files, sums: ReadonlyMap<string, string>, path: string): Promise<Uint8Array<ArrayBuffer>> {
  const expected = sums.get(path);
  if (!expected) throw new TransducerError("missing-file", `${path} is not listed in the SHA256SUMS of ${files.name}; copy the package again.`);
  const bytes = await files.read(path);
  if ((await sha256(bytes)) !== expected) throw mismatch(path, "SHA256SUMS says");
  return bytes;
}

function checkMeta(content: string, task: RuntimeMeta["task"], name: string): RuntimeMeta {
  const fail = (what: string): never => {
    throw new TransducerError("bad-package", `${name}: ${what}`);
  };
  let meta: RuntimeMeta;
  try {
    meta = JSON.parse(content) as RuntimeMeta;
  } catch {
    return fail(`${META} is not JSON; package the model again.`);
  }
  if (meta?.format !== FORMAT) fail(`${META} is of format ${meta?.format}, and this library reads format ${FORMAT}; use the library's version that belongs to the package.`);
  if (meta.task !== task) fail(`holds a ${meta.task} model where a ${task} model is needed; give another package.`);
  const { dims, tokens, blank_id: blank } = meta;
  const counts = [dims?.F, dims?.D, dims?.L, dims?.H, dims?.V, meta.subsampling_factor, meta.max_symbols];
  const sound =
    counts.every((count) => Number.isInteger(count) && count > 0) &&
    Array.isArray(tokens) &&
    tokens.length === dims.V &&
    blank === dims.V - 1 &&
    Array.isArray(meta.durations) &&
    meta.durations.length === dims.K &&
    typeof meta.graphs === "object";
  if (!sound) fail(`${META} has dimensions, tokens, durations or a blank that do not fit each other; package the model again.`);
  if (task === "swipe") {
    const { featurizer, layout, decoding } = meta;
    if (featurizer?.version !== FEATURIZER_VERSION || featurizer.kinematics !== KINEMATICS) {
      fail(`asks for version ${featurizer?.version} of the featurizer, and this library has version ${FEATURIZER_VERSION}; use the library's version that belongs to the package.`);
    }
    const settings = [decoding?.beam, decoding?.threshold ?? 0, decoding?.max_symbols, decoding?.prior_weight, decoding?.length_power];
    if (!layout || !settings.every(Number.isFinite) || decoding!.threshold! < 0) fail(`${META} has no keyboard layout or no settings of the search; package the model again.`);
  } else if (!(meta.sample_rate! > 0) || !(meta.window_stride! > 0)) {
    fail(`${META} has no sample rate or window stride; package the model again.`);
  }
  return meta;
}
