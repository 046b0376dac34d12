/** Tokens with their times, and the text and words that they spell; py/transducer/speech/transcript.py is the reference. */

/** A label, its times in seconds from the beginning of the audio, and its probability. */
export interface Token {
  readonly id: number;
  readonly start: number;
  readonly end: number;
  readonly confidence: number;
}

/** A word, its times in seconds, and its least certain token's probability. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly confidence: number;
}

// SentencePiece's mark of a space, and how it spells a piece that it does not know.
const SPACE = /\u2581/g;
const UNKNOWN = "<unk>";
// Labels that say what ends, not what is said, of NeMo's EOU models.
const EVENTS = new Set(["<EOU>", "<EOB>"]);
// Labels whose punctuation NeMo does not look at: those that begin a word or go on with one, and in brackets.
const NO_PUNCTUATION = /^(\[.*\]$|<.*>$|##|\u2581)/;
const PUNCTUATION = /\p{P}/u;

export class Vocabulary {
  /** The text of each label, a space before what begins a word. */
  readonly spelt: readonly string[];
  private readonly punctuation: ReadonlySet<string>;

  /** `kind` is the tokenizer's: char, bpe, wpe or agg; unless given, it is what the labels look like. */
  constructor(labels: readonly string[], kind = labels.some((label) => label.startsWith("##")) ? "wpe" : "bpe") {
    this.spelt = labels.map((label) => {
      if (kind === "char") return label;
      if (kind === "wpe") return label.startsWith("##") ? label.slice(2) : ` ${label}`;
      if (EVENTS.has(label)) return "";
      return label === UNKNOWN ? " \u2047 " : label.replace(SPACE, " ");
    });
    const marks = labels.filter((label) => !NO_PUNCTUATION.test(label)).flatMap((label) => [...label]);
    this.punctuation = new Set(marks.filter((mark) => PUNCTUATION.test(mark)));
  }

  /** Spell tokens out, as text and as words. As in NeMo, a space before punctuation goes; of several, one. */
  transcript(tokens: readonly Token[]): { text: string; words: Word[] } {
    const words: Token[][] = [];
    let spaces = 0;
    for (const token of tokens) {
      const spelt = this.spelt[token.id]!;
      const body = spelt.trimStart();
      spaces += spelt.length - body.length;
      if (!body) continue;
      if (!words.length || spaces > Number(this.punctuation.has([...body][0]!))) words.push([]);
      words[words.length - 1]!.push(token);
      spaces = body.length - body.trimEnd().length;
    }
    return { text: this.text(tokens), words: words.map((parts) => this.word(parts)) };
  }

  private text(tokens: readonly Token[]): string {
    const text = tokens.map((token) => this.spelt[token.id]).join("").trim();
    return text.replace(/\s(\p{P})/gu, (space, mark) => (this.punctuation.has(mark) ? mark : space));
  }

  private word(tokens: readonly Token[]): Word {
    return {
      text: this.text(tokens),
      start: tokens[0]!.start,
      end: tokens[tokens.length - 1]!.end,
      confidence: Math.min(...tokens.map((token) => token.confidence)),
    };
  }
}
