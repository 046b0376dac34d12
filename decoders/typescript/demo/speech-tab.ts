/** The tab to speak in: microphone, file or example to waveform, words in their time, and text. */
import type { SpeechResult } from "../src/index.js";
import { Engine } from "./engine.js";
import { choice, colour, deviceChoice, drawing, duration, element, make, megabytes, milliseconds, reason, say, showTiming, type Catalogue, type PackageEntry } from "./page.js";
import { Recorder } from "./recorder.js";

// Below this a word is marked as unsure.
const SURE = 0.6;
// Attention costs the square of the length, and models are trained on short recordings.
const MOST_SECONDS = 30;
// Prefixes that the search keeps.
const BEAM = 8;

export class SpeechTab {
  private readonly engine = new Engine();
  private readonly variant: () => string;
  private sampleRate = 16_000;
  private recorder: Recorder | undefined;
  private wave = new Float32Array(0);
  private words: SpeechResult["words"] = [];
  private ready = false;

  private constructor(
    private readonly packages: readonly PackageEntry[],
    private readonly device: () => "wasm" | "webgpu",
    examples: Catalogue["examples"],
  ) {
    const variants = [...new Set(packages.flatMap(({ variants }) => variants))];
    this.variant = choice("speech-variant", variants.map((value) => ({ value, label: value })), () => void this.open());
    element("record").addEventListener("click", () => void this.toggle());
    const audio = element<HTMLInputElement>("audio");
    audio.addEventListener("change", async () => {
      const [file] = audio.files ?? [];
      if (file) await this.hear(file, file.name);
      audio.value = "";
    });
    const stage = element("speech").querySelector<HTMLElement>(".stage")!;
    stage.addEventListener("dragover", (event) => {
      event.preventDefault();
      stage.classList.add("drop");
    });
    stage.addEventListener("dragleave", () => stage.classList.remove("drop"));
    stage.addEventListener("drop", (event) => {
      event.preventDefault();
      stage.classList.remove("drop");
      const file = event.dataTransfer?.files[0];
      if (file) void this.hear(file, file.name);
    });
    element("examples-card").hidden = !examples.length;
    element("examples").replaceChildren(
      ...examples.map(({ url, text }) => {
        const item = make("li");
        const button = make("button", { textContent: text });
        button.addEventListener("click", async () => this.hear(await (await fetch(url)).blob(), "the example"));
        item.append(button);
        return item;
      }),
    );
    addEventListener("resize", () => this.draw());
    element("transcript").dataset.empty = "What is said appears here.";
  }

  static async start({ packages, examples }: Catalogue): Promise<SpeechTab> {
    let tab: SpeechTab | undefined;
    const device = await deviceChoice("speech-device", () => void tab?.open());
    tab = new SpeechTab(packages.filter(({ task }) => task === "speech"), device, examples);
    tab.draw();
    await tab.open();
    return tab;
  }

  private async open(): Promise<void> {
    const variant = this.variant();
    const found = this.packages.find(({ variants }) => variants.includes(variant));
    this.enable(false);
    if (!found) return say("speech-status", "A speech package is missing; build one with make.", true);
    say("speech-status", "Loading the model …");
    // Threads need a page that is isolated from others, which the server's headers ask for.
    const threads = crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
    try {
      const opened = await this.engine.call("open", { task: "speech", url: new URL(found.url, location.href).href, variant, device: this.device(), threads });
      this.sampleRate = opened.sampleRate!;
      element("speech-facts").textContent = `${found.model}: ${megabytes(opened.bytes)} loaded and checked in ${duration(opened.milliseconds)}, ${threads} thread${threads > 1 ? "s" : ""}.`;
      say("speech-status", "Record, choose a file, or drop one here.");
      this.enable(true);
    } catch (error) {
      say("speech-status", reason(error), true);
    }
  }

  private enable(enabled: boolean): void {
    this.ready = enabled;
    for (const button of element("speech").querySelectorAll<HTMLButtonElement>("#record, #examples button")) button.disabled = !enabled;
    element<HTMLInputElement>("audio").disabled = !enabled;
    document.documentElement.dataset.speech = enabled ? "ready" : "loading";
  }

  /** Begin to record, or end and transcribe. */
  private async toggle(): Promise<void> {
    const button = element("record");
    const { recorder } = this;
    if (recorder) {
      this.recorder = undefined;
      button.setAttribute("aria-pressed", "false");
      button.querySelector("span")!.textContent = "Record";
      await this.transcribe(await recorder.stop());
      return;
    }
    try {
      const heard: Float32Array[] = [];
      this.recorder = await Recorder.start(this.sampleRate, (samples) => {
        heard.push(samples);
        // The last seconds while they arrive.
        const kept = heard.slice(-Math.round((4 * this.sampleRate) / samples.length));
        this.wave = new Float32Array(kept.length * samples.length);
        kept.forEach((chunk, at) => this.wave.set(chunk, at * samples.length));
        this.draw();
        const seconds = (heard.length * samples.length) / this.sampleRate;
        if (seconds >= MOST_SECONDS && this.recorder) void this.toggle();
      });
      this.words = [];
      element("transcript").textContent = "";
      element("player").hidden = true;
      button.setAttribute("aria-pressed", "true");
      button.querySelector("span")!.textContent = "Stop";
      say("speech-status", "Listening …");
    } catch (error) {
      say("speech-status", reason(error), true);
    }
  }

  /** Transcribe an audio file of any kind that the browser reads. */
  private async hear(file: Blob, name: string): Promise<void> {
    if (!this.ready) return;
    let wave: Float32Array<ArrayBuffer>;
    try {
      const audio = await new OfflineAudioContext(1, 1, this.sampleRate).decodeAudioData(await file.arrayBuffer());
      wave = new Float32Array(audio.length);
      for (let channel = 0; channel < audio.numberOfChannels; channel++) {
        audio.getChannelData(channel).forEach((sample, at) => (wave[at]! += sample / audio.numberOfChannels));
      }
    } catch {
      return say("speech-status", `The browser cannot read ${name} as audio; convert it to WAV, FLAC or MP3.`, true);
    }
    const player = element<HTMLAudioElement>("player");
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.hidden = false;
    await this.transcribe(wave);
  }

  private async transcribe(wave: Float32Array<ArrayBufferLike>): Promise<void> {
    const seconds = wave.length / this.sampleRate;
    this.wave = wave as Float32Array<ArrayBuffer>;
    this.words = [];
    element("transcript").textContent = "";
    this.draw();
    if (seconds > MOST_SECONDS) return say("speech-status", `This is ${seconds.toFixed(0)} s long, and this page takes ${MOST_SECONDS} s at once; cut it.`, true);
    this.enable(false);
    say("speech-status", "Transcribing …");
    try {
      const hotwords = element<HTMLTextAreaElement>("hotwords").value.split("\n").filter((line) => line.trim());
      const found = await this.engine.call("transcribe", wave, { beam: BEAM, hotwords });
      const { frontend, encoder, decoder, total } = found.milliseconds;
      this.words = found.words;
      element("transcript").replaceChildren(
        ...found.words.flatMap(({ text, confidence }, at) => [
          at ? " " : "",
          make("span", { textContent: text, className: confidence < SURE ? "unsure" : "", title: `${Math.round(confidence * 100)} % sure` }),
        ]),
      );
      element("transcript").title = found.alternatives.map(({ text, score }) => `${score.toFixed(1)}  ${text || "(nothing)"}`).join("\n");
      say("speech-status", found.text ? "" : "Nothing was said that the model knows.");
      showTiming("speech-timing", {
        Audio: `${seconds.toFixed(1)} s`,
        Transcribed: milliseconds(total),
        Frontend: milliseconds(frontend),
        Encoder: milliseconds(encoder),
        Decoder: milliseconds(decoder),
        "Real time": `${((seconds * 1000) / total).toFixed(0)}×`,
      });
      document.dispatchEvent(new CustomEvent("transcribed", { detail: found }));
    } catch (error) {
      say("speech-status", reason(error), true);
    }
    this.enable(true);
    this.draw();
  }

  /** The waveform as bars, and the words below where they were said. */
  private draw(): void {
    const { context, width, height } = drawing(element<HTMLCanvasElement>("wave"));
    const bars = Math.max(1, Math.floor(width / 4));
    const each = this.wave.length / bars;
    context.fillStyle = colour("--accent");
    const peak = this.wave.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0.05);
    for (let bar = 0; bar < bars; bar++) {
      let most = 0;
      for (let at = Math.floor(bar * each); at < (bar + 1) * each && at < this.wave.length; at++) most = Math.max(most, Math.abs(this.wave[at]!));
      const tall = Math.max(2, (most / peak) * (height - 16));
      context.globalAlpha = most ? 0.9 : 0.3;
      context.beginPath();
      context.roundRect(bar * 4, (height - tall) / 2, 2.5, tall, 1.25);
      context.fill();
    }
    const seconds = this.wave.length / this.sampleRate;
    element("wave-words").replaceChildren(
      ...this.words.map(({ text, start }, at) => {
        const span = make("span", { textContent: text });
        // On two lines in turn, so that a short word does not hide behind the next.
        const until = this.words[at + 2]?.start ?? seconds;
        span.style.left = `${(100 * start) / seconds}%`;
        span.style.width = `${(100 * (until - start)) / seconds}%`;
        return span;
      }),
    );
  }
}
