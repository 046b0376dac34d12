/** What went wrong, for programs; the message says it to people. */
export type ErrorCode =
  | "empty-trace" // no points
  | "single-point" // a tap
  | "bad-trace" // not finite, outside the letter area, backwards in time, or too long
  | "bad-audio" // too short, or not finite
  | "bad-phrase" // empty, without a weight above 0, or with letters that no token spells
  | "bad-language-model" // damaged, or of other tokens than the model's
  | "bad-script" // one that the model does not write in
  | "bad-beam" // not a whole number of at least 1
  | "bad-word" // a character that the model has no label for
  | "bad-lexicon" // a trie or word list that is damaged or empty
  | "bad-layout" // a keyboard without a letter of the model
  | "bad-package" // metadata that is damaged, of another format, or of another task
  | "bad-graph" // a graph that does not load or does not fit the metadata
  | "hash-mismatch" // a file other than the one that was packaged
  | "missing-file";

/** Everything that this library throws on bad input. The message is one sentence: what is wrong, and what to do. */
export class TransducerError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = "TransducerError";
    this.code = code;
  }
}
