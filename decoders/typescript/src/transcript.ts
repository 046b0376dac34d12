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

export class Vocabulary {
  /** The text of each label, a space before what begins a word. */
  readonly spelt: readonly string[];

  /** `kind` is the tokenizer's: char, bpe, wpe or agg; unless given, it is what the labels look like. */
  constructor(labels: readonly string[], kind = labels.some((label) => label.startsWith("##")) ? "wpe" : "bpe") {
    this.spelt = labels.map((label) => {
      if (kind === "char") return label;
      if (kind === "wpe") return label.startsWith("##") ? label.slice(2) : ` ${label}`;
      return label === UNKNOWN ? " \u2047 " : label.replace(SPACE, " ");
    });
  }

  /** Spell tokens out, as text and as words. */
  transcript(tokens: readonly Token[]): { text: string; words: Word[] } {
    const words: Token[][] = [];
    let between = true;
    for (const token of tokens) {
      const spelt = this.spelt[token.id]!;
      between ||= spelt.startsWith(" ");
      if (!spelt.trim()) continue;
      if (between) words.push([]);
      words[words.length - 1]!.push(token);
      between = spelt.endsWith(" ");
    }
    return { text: this.text(tokens), words: words.map((parts) => this.word(parts)) };
  }

  private text(tokens: readonly Token[]): string {
    return tokens.map((token) => this.spelt[token.id]).join("").trim();
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
