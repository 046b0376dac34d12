/** Samples from the microphone while they arrive. */

export class Recorder {
  private chunks: Float32Array[] = [];

  private constructor(
    private readonly context: AudioContext,
    private readonly stream: MediaStream,
  ) {}

  /** Ask for the microphone and begin; `heard` gets the samples of every chunk. */
  static async start(sampleRate: number, heard: (samples: Float32Array) => void): Promise<Recorder> {
    if (!navigator.mediaDevices) throw new Error("The browser lends its microphone to pages of this machine or over HTTPS only; choose a file instead.");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    const context = new AudioContext({ sampleRate });
    await context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
    const recorder = new Recorder(context, stream);
    const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    node.port.addEventListener("message", ({ data }: MessageEvent<Float32Array>) => {
      recorder.chunks.push(data);
      heard(data);
    });
    node.port.start();
    context.createMediaStreamSource(stream).connect(node);
    return recorder;
  }

  /** End, and return all samples. */
  async stop(): Promise<Float32Array> {
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
    const wave = new Float32Array(this.chunks.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const chunk of this.chunks) {
      wave.set(chunk, at);
      at += chunk.length;
    }
    return wave;
  }
}
