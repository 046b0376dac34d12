/** A lock on writing systems: a model of many languages writes in those that are asked for, and in no other. */
import type { Bias } from "./bias.js";
import { TransducerError } from "./errors.js";

/** Forbids every label with a letter of another script; digits and punctuation belong to all. */
export class ScriptLock implements Bias {
  private readonly allowed: Float64Array;

  /** `scripts` are Unicode's names: Latin, Cyrillic, Greek, Han (or CJK), Hangul. `spelt` are the labels' texts. Throws bad-script. */
  constructor(scripts: readonly string[], spelt: readonly string[]) {
    const patterns = scripts.map((script) => ({ script, pattern: patternOf(script) }));
    const letters = spelt.map((label) => label.match(/\p{L}/gu) ?? []);
    for (const { script, pattern } of patterns) {
      if (!letters.flat().some((letter) => pattern.test(letter))) throw unknown(script);
    }
    // Some letters belong to several scripts, such as the Japanese mark of a long vowel.
    const every = [...patterns.map(({ pattern }) => pattern), /\p{Script=Common}|\p{Script=Inherited}/u];
    this.allowed = Float64Array.from(letters, (label) => (label.every((letter) => every.some((pattern) => pattern.test(letter))) ? 0 : -Infinity));
  }

  gains(): Float64Array {
    return this.allowed;
  }

  follow(): number {
    return 0;
  }

  end(): number {
    return 0;
  }
}

function patternOf(script: string): RegExp {
  const name = script.slice(0, 1).toUpperCase() + script.slice(1).toLowerCase();
  try {
    return new RegExp(`\\p{Script=${name === "Cjk" ? "Han" : name}}`, "u");
  } catch {
    throw unknown(script);
  }
}

function unknown(script: string): TransducerError {
  return new TransducerError("bad-script", `The model has no token in the script "${script}"; give scripts that its tokens have letters of, such as Latin.`);
}
