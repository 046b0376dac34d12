/** What steers a beam search of speech beside the model. */

/** What is added to the scores of labels, depending on the labels before. States are numbers, 0 at the start. */
export interface Bias {
  /** What each label but the blank adds after a state, in nats; -Infinity forbids a label. */
  gains(state: number): Float64Array;
  /** The state after a label. */
  follow(state: number, label: number): number;
  /** What the end of the audio adds, in nats. */
  end(state: number): number;
}

/** The sum of several biases, as one. */
export class Biases implements Bias {
  // A state stands for one state of each part.
  private readonly states: number[][] = [];
  private readonly numbers = new Map<string, number>();
  private readonly rows = new Map<number, Float64Array>();

  constructor(private readonly parts: readonly Bias[]) {
    this.number(parts.map(() => 0));
  }

  gains(state: number): Float64Array {
    let row = this.rows.get(state);
    if (!row) {
      const each = this.parts.map((part, index) => part.gains(this.states[state]![index]!));
      row = each[0]!.map((_, label) => each.reduce((sum, gains) => sum + gains[label]!, 0));
      this.rows.set(state, row);
    }
    return row;
  }

  follow(state: number, label: number): number {
    return this.number(this.parts.map((part, index) => part.follow(this.states[state]![index]!, label)));
  }

  end(state: number): number {
    return this.parts.reduce((sum, part, index) => sum + part.end(this.states[state]![index]!), 0);
  }

  private number(states: number[]): number {
    const key = states.join();
    if (!this.numbers.has(key)) this.numbers.set(key, this.states.push(states) - 1);
    return this.numbers.get(key)!;
  }
}
