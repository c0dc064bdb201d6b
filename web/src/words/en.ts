// Every word of the page in English. words/zh.ts has the same in Chinese: a missing one is an error of the compiler.

const several = (n: number, one: string, more: string): string => `${n.toLocaleString("en")} ${n === 1 ? one : more}`;

export const en = {
  skip: "To the view",
  text: "Text that all views look at",
  textHint: "A sentence to look at",
  run: "Run",
  stop: "Stop",
  stopped: "stopped",
  close: "Close",
  loading: "Asking the server for its runs …",
  computing: "computing",
  queueFull: (seconds: number) => `The queue is full; asked again in ${seconds} s.`,
  gone: "The server does not answer. It is asked again every two seconds; nothing you typed is lost.",
  private: "nothing you type is stored",
  tokens: (n: number) => several(n, "token", "tokens"),
  layers: (n: number) => several(n, "layer", "layers"),
  viewList: "Views",
  runs: "Runs",
  noRun: "No run is chosen: choose one above.",
  cannot: (run: string, view: string, able: string[]) =>
    `${run} cannot do “${view}”. ${able.length ? `Runs that can: ${able.join(", ")}.` : "No served run can."}`,
  noneCan: (able: string[]) =>
    able.length ? `None of the chosen runs can do this. Runs that can: ${able.join(", ")}.` : "No served run can do this.",
  empty: "Type a sentence above, or begin with one of these:",
  examples: "Examples",
  noChart: "The chart cannot be drawn here; its numbers are in the table.",
  error: { got: "got", expected: "expected", fix: "try" },
  theme: { name: "Colours", auto: "as the system", light: "light", dark: "dark" },
  exports: {
    name: "Take away",
    link: "Link",
    linkHint: "Copy an address that asks the same",
    tooLong: "Copy the address; the text is too long to stand in it",
    code: "Code",
    codeTitle: "The same question elsewhere",
    shell: "Command line",
    copy: "Copy",
    copied: "copied",
    notCopied: "The browser does not allow copying: select it by hand",
  },
  help: {
    name: "Help and keys",
    says:
      "One text and one choice of runs for all views: change the view, keep the question. The address says what is asked, so it can be copied.",
    letters: "Keys of a single letter (outside of text boxes)",
    keys: [
      ["/", "go to the text"],
      ["Enter", "in the text: run; Shift+Enter is a new line"],
      ["Ctrl+Enter", "run"],
      ["Esc", "leave the text box; stop; let go of what is chosen"],
      ["r", "go to the runs"],
      ["[ ]", "a layer down, a layer up"],
      ["1 2 …", "choose a mask"],
      ["l", "copy the link"],
      ["?", "this list"],
    ] as [string, string][],
  },
  layer: "Layer",
  lastLayer: "last",
  top: "Best",
  views: {
    line: {
      name: "Line",
      asks: "One sentence, every generation: what does each model make of a word here?",
      says:
        "A row a run, from 1-of-N to GPT. Static models give a word the same neighbours in every sentence; the others read the sentence. Click a word for its cosines to the others.",
      second: "Second sentence with the chosen word",
      secondHint: "Another sentence with the word",
      word: "Word",
      model: "Run",
      both: "Here and there",
      bothHint: (word: string) => `Cosine of “${word}” in the first and in the second sentence`,
      cosineTo: (word: string) => `cosine to “${word}”`,
      unknown: "unknown",
      unknownHint: "The run does not know this word: [UNK] stands for it.",
      cut: (n: number) => `Only the first ${n} words are shown.`,
      kinds: {
        far: "every two words equally far",
        table: "nearest words, whatever the sentence",
        head: "words that it would put here",
        sides: "expected from the left →, from the right ←",
        next: "what it expects next; reads the left side",
      },
      static: "static",
      layerOf: (n: number) => `L${n}`,
      choose: "Click a word in the head of the table to compare it.",
      table: "What each run makes of each word",
      notThere: (word: string) => `“${word}” is not in the second sentence: click a word of it.`,
    },
    fill: {
      name: "Fill",
      asks: "Which words fit a hole, and how sure is the model?",
      says:
        "Click a word to hide it, again to show it; [MASK] in the text is a hole, too. Entropy says how undecided the model is; the rank says where the hidden word stands among all words.",
      hide: "Words: click to hide",
      hideOne: (word: string) => `Hide “${word}”`,
      showOne: (word: string) => `Show “${word}” again`,
      mask: (n: number) => `Mask ${n}`,
      maskOf: (n: number, word: string) => `Mask ${n}: “${word}”`,
      none: "Nothing is hidden yet: click a word of the sentence.",
      whole: "whole words",
      wholeHint: "Holes of several tokens are filled together, as one word or name",
      entropy: (nats: number) => `entropy ${nats.toFixed(1)} nats`,
      entropyHint: (nats: number) =>
        `As undecided as between ${Math.exp(nats) < 10 ? Math.exp(nats).toFixed(1) : Math.round(Math.exp(nats)).toLocaleString("en")} equally likely tokens`,
      rank: (word: string, rank: number, nats: number) => `“${word}”: rank ${rank.toLocaleString("en")}, ${nats.toFixed(1)} nats`,
      rankBelow: (word: string, nats: number) => `“${word}”: below those followed, ${nats.toFixed(1)} nats`,
      rankUnknown: (word: string) => `“${word}” is not in the vocabulary`,
      put: "Enter puts it in and asks again",
      left: "from the left →",
      right: "← from the right",
      candidates: (run: string, n: number) => `Candidates of ${run} for mask ${n}`,
      together: (n: number) => `${n} tokens together`,
      cut: "The mask is behind what the run reads.",
    },
  },
};

type Widened<T> = T extends string
  ? string
  : T extends (...values: infer V) => string
    ? (...values: V) => string
    : T extends [string, string][]
      ? [string, string][]
      : { [K in keyof T]: Widened<T[K]> };

export type Words = Widened<typeof en>;
