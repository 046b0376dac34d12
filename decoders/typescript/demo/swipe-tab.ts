/** The tab to swipe in: a text, words to choose from, a keyboard, and the settings of the decoder. */
import { placeKeys, type Candidate, type LayoutMeta, type Point } from "../src/index.js";
import { Engine } from "./engine.js";
import { ghostSwipe } from "./ghost.js";
import { Keyboard } from "./keyboard.js";
import { choice, deviceChoice, duration, element, make, megabytes, milliseconds, reason, say, showTiming, type PackageEntry } from "./page.js";

const SHOWN = 5;
// Between looks at an unfinished swipe, so that the finished one seldom has to wait for one.
const LOOK_MS = 150;
const KINDS: Record<string, string> = { bundled: "Bundled", dynamic: "Dynamic" };

/** A word of the text: one of those that a swipe may have meant, or tapped letter by letter. */
interface Entry {
  candidates: readonly Candidate[];
  chosen: string;
  readonly tapped: boolean;
}

export class SwipeTab {
  private readonly engine = new Engine();
  private readonly keyboard: Keyboard;
  private layout: LayoutMeta | undefined;
  private text: Entry[] = [];
  private partial: readonly Candidate[] = [];
  private readonly own = new Set<string>();
  private list: string | undefined;
  private looking = false;
  private looked = 0;
  private readonly times: number[] = [];
  private readonly kind: () => string;
  private readonly variant: () => string;
  private keyboardName: (() => string) | undefined;

  private constructor(
    private readonly packages: readonly PackageEntry[],
    private readonly device: () => "wasm" | "webgpu",
  ) {
    const reopen = () => void this.open();
    const named = (values: Iterable<string>) => [...new Set(values)].map((value) => ({ value, label: KINDS[value] ?? value }));
    this.kind = choice("swipe-kind", named(packages.map(({ kind }) => kind)), reopen);
    this.variant = choice("swipe-variant", named(packages.flatMap(({ variants }) => variants)), reopen);
    this.keyboard = new Keyboard(element("keyboard"), {
      moved: (points) => void this.look(points),
      swiped: (points) => void this.decode(points),
      tapped: (key) => this.tap(key),
    });
    this.listen();
    this.show();
  }

  static async start(packages: readonly PackageEntry[]): Promise<SwipeTab> {
    let tab: SwipeTab | undefined;
    tab = new SwipeTab(packages, await deviceChoice("swipe-device", () => void tab?.open()));
    await tab.open();
    return tab;
  }

  private listen(): void {
    element("undo").addEventListener("click", () => {
      this.text.pop();
      this.show();
    });
    element("clear").addEventListener("click", () => {
      this.text = [];
      this.show();
    });
    element("ghost").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.watch(element<HTMLInputElement>("ghost-word").value.trim().toLowerCase());
    });
    element("own").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = element<HTMLInputElement>("own-word");
      void this.add(input.value.trim().toLowerCase()).then((added) => added && (input.value = ""));
    });
    element<HTMLInputElement>("list").addEventListener("change", async (event) => {
      const [file] = (event.target as HTMLInputElement).files ?? [];
      this.list = await file?.text();
      await this.open();
    });
  }

  /** Load the package that is chosen. */
  private async open(): Promise<void> {
    const variant = this.variant();
    const found = this.packages.find(({ kind, variants }) => kind === this.kind() && variants.includes(variant));
    this.enable(false);
    if (!found) return say("swipe-status", `A ${this.kind()} package is missing with the encoder in ${variant}; build it with make.`, true);
    say("swipe-status", "Loading the model …");
    const words = found.kind === "dynamic" ? this.list : undefined;
    try {
      const opened = await this.engine.call("open", { task: "swipe", url: new URL(found.url, location.href).href, variant, device: this.device(), threads: 1, words });
      const names = [opened.layout!.name, ...opened.layouts.filter((name) => name !== opened.layout!.name)];
      const changed = () => void this.useLayout().catch((error) => say("swipe-status", reason(error), true));
      this.keyboardName ??= choice("swipe-layout", names.map((value) => ({ value, label: value.toUpperCase() })), changed);
      await this.useLayout(opened.layout);
      for (const word of this.own) await this.engine.call("add", word);
      element("swipe-facts").textContent =
        `${found.model}, ${found.kind}: ${megabytes(opened.bytes)} loaded and checked in ${duration(opened.milliseconds)}.`;
      element("own-hint").textContent = opened.hasLexicon
        ? `The package brings ${opened.words.toLocaleString("en")} words. Add what it lacks.`
        : "This package brings no words: the app does. Load a list or add some.";
      element("list-label").hidden = opened.hasLexicon;
      const size = opened.words + (opened.hasLexicon ? 0 : this.own.size);
      say("swipe-status", size ? "Swipe a word: press on its first letter, glide over the others, let go." : "No words yet: add some, or load a list.");
      this.times.length = 0;
      element("swipe-timing").hidden = true;
      // The first run of a graph takes many times as long as the next.
      await this.engine.call("decode", ghostSwipe("qwertyuiop", placeKeys(this.layout!)), 1);
      this.enable(true);
    } catch (error) {
      say("swipe-status", reason(error), true);
    }
  }

  /** Show the keyboard that is chosen and have the decoder read swipes on it. `own` is the model's. */
  private async useLayout(own?: LayoutMeta): Promise<void> {
    const name = this.keyboardName!();
    const layout = own?.name === name ? own : await this.engine.call("useLayout", name);
    if (JSON.stringify(layout) !== JSON.stringify(this.layout)) this.keyboard.show((this.layout = layout));
  }

  private enable(enabled: boolean): void {
    this.keyboard.enabled = enabled;
    element("keyboard").setAttribute("aria-disabled", String(!enabled));
    document.documentElement.dataset.swipe = enabled ? "ready" : "loading";
  }

  /** Show what the swipe looks like so far, every now and then. */
  private async look(points: readonly Point[]): Promise<void> {
    if (this.looking || points.length < 8 || performance.now() - this.looked < LOOK_MS) return;
    this.looking = true;
    try {
      const { words } = await this.engine.call("decode", [...points], SHOWN);
      if (this.looking) this.partial = words;
      this.show();
    } catch {
      // The whole swipe will say what is wrong.
    } finally {
      this.looking = false;
      this.looked = performance.now();
    }
  }

  private async decode(points: readonly Point[]): Promise<void> {
    this.looking = true;
    const begin = performance.now();
    try {
      const { words, milliseconds: taken } = await this.engine.call("decode", [...points], SHOWN);
      const total = performance.now() - begin;
      this.times.push(total);
      if (words[0]) {
        this.text.push({ candidates: words, chosen: words[0].word, tapped: false });
        say("swipe-status", "");
      } else {
        say("swipe-status", "No word of the lexicon is like this swipe.", true);
      }
      const sorted = [...this.times].sort((a, b) => a - b);
      showTiming("swipe-timing", {
        "This word": milliseconds(total),
        Features: milliseconds(taken.features),
        Encoder: milliseconds(taken.encoder),
        Search: milliseconds(taken.search),
        [`Median of ${sorted.length}`]: milliseconds(sorted[sorted.length >> 1]!),
      });
      document.dispatchEvent(new CustomEvent("decoded", { detail: { points, words, milliseconds: { ...taken, page: total } } }));
    } catch (error) {
      say("swipe-status", reason(error), true);
    }
    this.partial = [];
    this.looking = false;
    this.show();
  }

  /** Letters that are tapped make a word of their own. */
  private tap(key: string): void {
    const last = this.text[this.text.length - 1];
    if (last?.tapped) last.chosen += key;
    else this.text.push({ candidates: [], chosen: key, tapped: true });
    this.show();
  }

  private async watch(word: string): Promise<void> {
    if (!this.layout || !this.keyboard.enabled) return;
    const points = ghostSwipe(word, placeKeys(this.layout));
    if (!points.length) return say("swipe-status", "Type a word of letters that are on the keyboard.", true);
    element("keyboard").scrollIntoView({ block: "nearest" });
    this.keyboard.enabled = false;
    await this.keyboard.play(points);
    this.keyboard.enabled = true;
    await this.decode(points);
  }

  /** Add a word of the user's; return whether it could be. */
  private async add(word: string): Promise<boolean> {
    try {
      await this.engine.call("add", word);
      this.own.add(word);
      say("swipe-status", `“${word}” can be swiped now.`);
      this.show();
      return true;
    } catch (error) {
      say("swipe-status", reason(error), true);
      return false;
    }
  }

  private async remove(word: string): Promise<void> {
    await this.engine.call("remove", word);
    this.own.delete(word);
    this.show();
  }

  private show(): void {
    const last = this.text[this.text.length - 1];
    const line = element("text");
    line.dataset.empty = "What you swipe appears here.";
    line.replaceChildren();
    this.text.forEach((entry, at) => {
      line.append(entry === last ? make("span", { className: "new", textContent: entry.chosen }) : entry.chosen);
      if (at < this.text.length - 1) line.append(" ");
    });
    const [guess] = this.partial;
    if (guess) line.append(" ", make("span", { className: "partial", textContent: guess.word }));
    for (const id of ["undo", "clear"]) element<HTMLButtonElement>(id).disabled = !last;
    element("candidates").replaceChildren(...(guess ? this.partial.map((one) => this.candidate(one)) : this.candidates(last)));
    element("own-words").replaceChildren(
      ...[...this.own].map((word) => {
        const item = make("li");
        const button = make("button", { type: "button", textContent: `${word} `, title: `Take back “${word}”` });
        button.addEventListener("click", () => void this.remove(word));
        item.append(button);
        return item;
      }),
    );
  }

  private candidates(last: Entry | undefined): HTMLElement[] {
    if (last?.tapped) {
      const { chosen } = last;
      if (this.own.has(chosen)) return [];
      const button = make("button", { textContent: `Add “${chosen}” to your words` });
      button.addEventListener("click", () => void this.add(chosen));
      return [button];
    }
    return (last?.candidates ?? []).map((one) => this.candidate(one, last));
  }

  private candidate({ word, score }: Candidate, entry?: Entry): HTMLButtonElement {
    const button = make("button", { className: entry ? "" : "partial", disabled: !entry });
    button.append(word, make("small", { textContent: score.toFixed(2).replace("-", "\u2212") }));
    if (entry) {
      button.setAttribute("aria-pressed", String(word === entry.chosen));
      button.addEventListener("click", () => {
        entry.chosen = word;
        this.show();
      });
    }
    return button;
  }
}
