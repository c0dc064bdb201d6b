// What the server answers, as far as the page reads it. The fields are those of the command line's --json.

export interface RunAbout {
  run: string;
  model: string | null;
  status: string | null;
  objectives: string[];
  task: string | null;
  labels: string[];
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
