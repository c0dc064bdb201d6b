// What the server answers, as far as the page reads it. The fields are those of the command line's --json.

export interface RunAbout {
  run: string;
  model: string | null;
  status: string | null;
  objectives: string[];
  task: string | null;
  labels: string[];
  /** Whether it has learned a mix of layers. */
  mix: boolean;
  abilities: string[];
  layers: number | null;
  heads: number | null;
  max_tokens: number | null;
  mask: string | null;
  parameters: number | null;
  loaded: boolean;
  error?: ErrorBody;
}

export interface ServerAbout {
  polyseme: string;
  runs: string[];
  queue: { jobs: number; tokens: number; rate: number };
  loaded: string[];
  lang: "en" | "zh";
}

export interface ErrorBody {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
  got: string | null;
  expected: string | null;
  fix: string | null;
}

/** A line of an answer about several runs. */
export interface RunLine<T> {
  run: string;
  answer?: T;
  notes?: string;
  error?: ErrorBody;
  status?: number;
  retry_after?: number;
  tokens?: number;
}

export interface Candidate {
  token: string;
  probability: number;
  sequence: string;
}

export interface FilledMask {
  position: number;
  masks?: number;
  candidates: (Partial<Candidate> & { token: string; sequence: string; pseudo_likelihood?: number })[];
  entropy?: number;
  entropies?: number[];
  original?: { token: string; rank: number | null; nats: number | null };
}

export interface DirectionSide {
  rank: number;
  nats: number;
  read: [number, number];
  candidates: { token: string; probability: number }[];
}

export interface DirectionsDocument {
  text: string;
  chosen: number | null;
  tokens: { token: string; start: number; end: number; left: DirectionSide; right: DirectionSide }[];
  notes: string[];
}

export interface CosinesDocument {
  of: "words" | "uses";
  items: { word: string; text?: string; start?: number; end?: number }[];
  runs: {
    name: string;
    model: string;
    reach: "none" | "left" | "right" | "both";
    unknown: number[];
    layers: { layer: number | null; cosines: (number | null)[][] }[];
  }[];
  notes: string[];
}

export interface Neighbour {
  word: string;
  similarity?: number;
  count?: number;
  path?: string;
}

export interface NextDocument {
  text: string;
  entropy: number;
  candidates: { token: string; probability: number }[];
}

export interface TokenizedDocument {
  text: string;
  tokens: { token: string; id: number; start: number; end: number; word_start: boolean; unknown: boolean }[];
  cut: number;
}

export interface ScoredText {
  text?: string;
  log_likelihood: number;
  tokens: number;
  per_token: number | null;
  unknown: number;
  token_scores?: { start: number; end: number; nats: number }[];
}

export interface ScoreDocument {
  kind: string;
  lines: ScoredText[];
  total: { per_token: number | null; perplexity: number | null };
}

export interface MixDocument {
  runs: string[];
  columns: string[];
  rows: { run: string; layer: number; weight: number; gamma: number }[];
}

export interface CkaDocument {
  runs: { run: string; model: string; layers: number }[];
  unit: "words" | "texts";
  texts: number;
  units: number;
  blocks: number;
  left_out: { not_read: number; unknown: number };
  cka: { value: number | null; low: number | null; high: number | null; plain: number }[][];
}

/** A span of a passage or of a tagged text, in Python's characters. */
export interface Span {
  start: number;
  end: number;
  text: string;
  label?: string;
  probability?: number;
}

/** What an adapted run says: of a text or a pair, of tagged words, of a question. */
export interface Prediction {
  text?: string;
  label?: string;
  labels?: string[];
  value?: number;
  probability?: number;
  probabilities?: Record<string, number>;
  tokens?: {
    start: number;
    end: number;
    text?: string;
    tag?: string;
    probability?: number;
    probabilities?: Record<string, number>;
    start_probability?: number;
    end_probability?: number;
  }[];
  spans?: Span[];
  answer?: string;
  start?: number | null;
  end?: number | null;
  no_answer_score?: number | null;
  no_answer?: number | null;
  threshold?: number | null;
  best?: { answer: string; start: number | null; end: number | null };
}

/** A line of metrics.jsonl, as far as it is drawn. */
export interface Metrics {
  step: number;
  tokens: number;
  seconds: number;
  progress?: number;
  loss?: number;
  lr?: number;
  tokens_per_second?: number;
  heldout_loss?: number;
  unigram_loss?: number;
}
