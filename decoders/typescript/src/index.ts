/** Decoders of packaged transducers: swipes to words, speech to text. */
export { BeamSearch, type Candidate, type ModelShape, type SearchOptions, type Step, type Stepped, type Watcher } from "./beam-search.js";
export { Bigrams } from "./bigrams.js";
export { TransducerError, type ErrorCode } from "./errors.js";
export { checkTrace, swipeFeatures, type Matrix, type Point } from "./features.js";
export { filesAt, type Files } from "./files.js";
export { greedySearch, type GreedyShape, type Label } from "./greedy.js";
export { arrangeKeys, placeKeys, type Layout, type LayoutMeta } from "./layout.js";
export { Lexicon } from "./lexicon.js";
export { Package, readWords, type GraphFile, type RuntimeMeta } from "./package.js";
export { PHRASE_WEIGHT, Phrases } from "./phrases.js";
export { onnxRuntime, type Graph, type Ort, type Runtime, type Tensor } from "./runtime.js";
export { SpeechDecoder, type SpeechOptions, type SpeechResult, type Steering } from "./speech.js";
export { speechSearch, type Hypothesis, type SpeechSearchOptions } from "./speech-search.js";
export { encode, graphStep, SwipeDecoder, type SwipeOptions, type SwipeResult } from "./swipe.js";
export { logPrior } from "./trie.js";
export { Vocabulary, type Token, type Word } from "./transcript.js";
