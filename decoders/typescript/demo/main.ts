/** The page: two tabs, each with a decoder of its own. */
import { element, say, type Catalogue } from "./page.js";
import { SpeechTab } from "./speech-tab.js";
import { SwipeTab } from "./swipe-tab.js";

const catalogue = (await (await fetch("packages.json")).json()) as Catalogue;
const tabs = ["swipe", "speech"].map((name) => ({ name, tab: element(`tab-${name}`), panel: element(name) }));
let speech: Promise<SpeechTab> | undefined;

function select(name: string, focus = false): void {
  for (const { name: other, tab, panel } of tabs) {
    const chosen = other === name;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    panel.hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  history.replaceState(null, "", `#${name}`);
  if (name === "speech") speech ??= SpeechTab.start(catalogue);
}

tabs.forEach(({ name, tab }, at) => {
  tab.addEventListener("click", () => select(name));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (step) select(tabs[(at + step + tabs.length) % tabs.length]!.name, true);
  });
});
select(location.hash === "#speech" ? "speech" : "swipe");

const swipe = catalogue.packages.filter(({ task }) => task === "swipe");
if (swipe.length) await SwipeTab.start(swipe);
else say("swipe-status", "A swipe package is missing; build one with make.", true);
