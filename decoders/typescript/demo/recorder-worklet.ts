/** Runs where audio is processed: hands the first channel on. TypeScript knows nothing of that place. */
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: unknown): void;

registerProcessor(
  "recorder",
  class extends AudioWorkletProcessor {
    process([input]: Float32Array[][]): boolean {
      const [channel] = input ?? [];
      if (channel) this.port.postMessage(channel.slice());
      return true;
    }
  },
);

export {};
