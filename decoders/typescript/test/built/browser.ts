/**
 * Drive the demo page in headless Chromium, and write what it found for other programs to compare:
 *
 *     node build/test/built/browser.js URL INPUT OUTPUT SCREENSHOTS
 *
 * INPUT is JSON: `swipes` to make with the mouse in their own time, `traces` to decode and time, a word that the
 * lexicon lacks and its swipe as `own`, `audio` files, and `microphone`, a WAV file that the microphone hears.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";
import type { Candidate, Point, SpeechResult } from "../../src/index.js";

interface Input {
  chromium: string;
  swipes: { word: string; points: Point[] }[];
  traces: Point[][];
  own: { word: string; points: Point[] };
  audio: string[];
  microphone: string;
}

interface Decoded {
  points: Point[];
  words: Candidate[];
  milliseconds: Record<string, number>;
}

const [url, inputFile, outputFile, screenshots] = process.argv.slice(2) as [string, string, string, string];
const input = JSON.parse(readFileSync(inputFile, "utf8")) as Input;
const requests: string[] = [];
const problems: string[] = [];

const browser = await chromium.launch({
  executablePath: input.chromium,
  args: [
    "--no-sandbox",
    // A GPU in software, so that WebGPU is there on any machine.
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
    "--disable-vulkan-surface",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-audio-capture=${input.microphone}%noloop`,
  ],
});

async function open(options: Parameters<typeof browser.newContext>[0], hash = ""): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext({ permissions: ["microphone"], ...options });
  const page = await context.newPage();
  context.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.setDefaultTimeout(120_000);
  await page.goto(url + hash);
  await page.waitForSelector(`html[data-${hash.slice(1) || "swipe"}=ready]`);
  return { context, page };
}

/** What the page tells of next. */
function next<T>(page: Page, event: string): Promise<T> {
  return page.evaluate((name) => new Promise((resolve) => document.addEventListener(name, (event) => resolve((event as CustomEvent).detail), { once: true })), event) as Promise<T>;
}

/** Swipe with the mouse, each point at its time. */
async function swipe(page: Page, points: Point[]): Promise<Decoded> {
  const box = (await page.locator("#keyboard").boundingBox())!;
  const place = ({ x, y }: Point): [number, number] => [box.x + Math.min(x, 0.999) * box.width, box.y + Math.min(y, 0.999) * box.height];
  const decoded = next<Decoded>(page, "decoded");
  await page.mouse.move(...place(points[0]!));
  await page.mouse.down();
  const begin = performance.now();
  for (const point of points.slice(1)) {
    const wait = point.t - points[0]!.t - (performance.now() - begin);
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    else if (wait < -12) continue;
    await page.mouse.move(...place(point));
  }
  await page.mouse.up();
  return decoded;
}

async function hear(page: Page, file: string): Promise<SpeechResult> {
  const transcribed = next<SpeechResult>(page, "transcribed");
  await page.setInputFiles("#audio", file);
  const found = await transcribed;
  await page.waitForSelector("html[data-speech=ready]");
  return found;
}

/** Type a word and let the page swipe it. */
async function watch(page: Page, word: string): Promise<Decoded> {
  await page.focus("#ghost-word");
  await page.fill("#ghost-word", "");
  await page.keyboard.type(word);
  const decoded = next<Decoded>(page, "decoded");
  await page.keyboard.press("Enter");
  return decoded;
}

async function ready(page: Page): Promise<void> {
  await page.waitForSelector("html[data-swipe=ready]");
}

const { context, page } = await open({ viewport: { width: 1280, height: 800 } });
const swipes: Decoded[] = [];
for (const { points } of input.swipes) swipes.push(await swipe(page, points));

// A word of one's own: not found, added, found, and taken back.
const own: string[][] = [];
const look = async () => own.push((await swipe(page, input.own.points)).words.map(({ word }) => word));
await look();
await page.fill("#own-word", input.own.word);
await page.press("#own-word", "Enter");
await page.waitForSelector("#own-words button");
await look();
await page.click("#own-words button");
await page.waitForSelector("#own-words button", { state: "detached" });
await look();

// By the keyboard alone: a word is typed and swiped by the page, another candidate chosen, tabs changed.
const { words: ghost } = await watch(page, "keyboard");
await page.focus("#candidates button:nth-child(2)");
await page.keyboard.press("Enter");
const chosen = [await page.textContent("#text .new"), ghost[1]?.word];

// On another keyboard the same word takes another swipe.
async function switchTo(name: string, firstKey: string): Promise<void> {
  await page.click(`#swipe-layout label:has-text("${name}")`);
  await page.waitForFunction((key) => document.querySelector("#keyboard text")?.textContent?.toLowerCase() === key, firstKey);
}
await switchTo("DVORAK", "p");
const { words: dvorak, points: dvorakPoints } = await watch(page, "keyboard");
await switchTo("QWERTY", "q");

// The dynamic package knows no words until it is given some.
await page.click("#swipe-kind label:has-text('Dynamic')");
await page.waitForSelector("html[data-swipe=loading]");
await ready(page);
const before = (await swipe(page, input.swipes[0]!.points)).words.length;
await page.setInputFiles("#list", { name: "words.txt", mimeType: "text/plain", buffer: Buffer.from(input.swipes.map(({ word }) => word).join("\n")) });
await page.waitForSelector("html[data-swipe=loading]");
await ready(page);
const after = (await swipe(page, input.swipes[0]!.points)).words.map(({ word }) => word);

// The encoder on a GPU.
await page.click("#swipe-kind label:has-text('Bundled')");
await page.click("#swipe-variant label:has-text('fp32')");
await page.click("#swipe-device label:has-text('GPU')");
await page.waitForSelector("html[data-swipe=loading]");
await ready(page);
const gpu = (await watch(page, "keyboard")).words;

// Exact traces in the browser, and how long they take from points to words.
const timed = (await page.evaluate(async ({ traces }) => {
  const path = "/js/demo/engine.js";
  const { Engine } = (await import(path)) as typeof import("../../demo/engine.js");
  const { packages } = await (await fetch("packages.json")).json();
  const results: Record<string, { words: Candidate[]; milliseconds: number }[]> = {};
  for (const variant of ["int8", "fp32"]) {
    const engine = new Engine();
    const found = packages.find((one: { task: string; kind: string; variants: string[] }) => one.task === "swipe" && one.kind === "bundled" && one.variants.includes(variant));
    await engine.call("open", { task: "swipe", url: new URL(found.url, location.href).href, variant, device: "wasm", threads: 1 });
    for (const trace of traces.slice(0, 5)) await engine.call("decode", trace, 5);
    results[variant] = [];
    for (const trace of traces) {
      let words: Candidate[] = [];
      let least = Infinity;
      // The best of three tells the page's time from that of other programs.
      for (let round = 0; round < 3; round++) {
        const begin = performance.now();
        ({ words } = await engine.call("decode", trace, 5));
        least = Math.min(least, performance.now() - begin);
      }
      results[variant].push({ words, milliseconds: least });
    }
  }
  return results;
}, { traces: input.traces })) as Record<string, { words: Candidate[]; milliseconds: number }[]>;

// Speech: the tab by the arrow key, files, then the microphone.
await page.focus("#tab-swipe");
await page.keyboard.press("ArrowRight");
await page.waitForSelector("html[data-speech=ready]");
const audio: SpeechResult[] = [];
for (const file of input.audio) audio.push(await hear(page, file));
const recorded = next<SpeechResult>(page, "transcribed");
await page.click("#record");
await page.waitForSelector("#record[aria-pressed=true]");
await page.waitForTimeout(4000);
await page.click("#record");
const microphone = await recorded;
const isolated = await page.evaluate(() => crossOriginIsolated);
await context.close();

// What it looks like: phone and desktop, light and dark. On the phone by finger.
mkdirSync(screenshots, { recursive: true });
const overflows: string[] = [];
for (const colorScheme of ["light", "dark"] as const) {
  for (const [name, viewport] of Object.entries({ phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } })) {
    const { context, page } = await open({ viewport, colorScheme, deviceScaleFactor: 2, hasTouch: name === "phone" });
    for (const { points } of input.swipes.slice(0, 4)) {
      if (name === "phone") await touch(page, context, points);
      else await swipe(page, points);
    }
    const shoot = async (tab: string) => {
      if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) overflows.push(`${tab} ${name}`);
      await page.screenshot({ path: join(screenshots, `${tab}-${name}-${colorScheme}.png`), fullPage: true });
    };
    await shoot("swipe");
    await page.click("#tab-speech");
    await page.waitForSelector("html[data-speech=ready]");
    await hear(page, input.audio[0]!);
    await shoot("speech");
    await context.close();
  }
}
await browser.close();

/** Swipe with a finger. */
async function touch(page: Page, context: BrowserContext, points: Point[]): Promise<void> {
  const box = (await page.locator("#keyboard").boundingBox())!;
  const client = await context.newCDPSession(page);
  const decoded = next<Decoded>(page, "decoded");
  const begin = performance.now();
  for (const [at, point] of points.entries()) {
    const wait = point.t - points[0]!.t - (performance.now() - begin);
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    else if (wait < -12 && at) continue;
    const touchPoints = [{ x: box.x + Math.min(point.x, 0.999) * box.width, y: box.y + Math.min(point.y, 0.999) * box.height }];
    await client.send("Input.dispatchTouchEvent", { type: at ? "touchMove" : "touchStart", touchPoints });
  }
  await client.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  swipes.push(await decoded);
}

writeFileSync(
  outputFile,
  JSON.stringify({ requests: [...new Set(requests)], problems, swipes, own, ghost, dvorak, dvorakPoints, gpu, chosen, dynamic: { before, after }, timed, audio, microphone, isolated, overflows }),
);
