"""Other people's clients, as they are, over a socket; each is left out where it is not installed."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from asked import listening

TEXT = "the old cat sees"


@pytest.fixture(scope="module")
def address(of_all_kinds: dict[str, Path]) -> Iterator[str]:
    """Where a server of runs of all kinds listens."""
    pytest.importorskip("uvicorn")
    with listening(of_all_kinds) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def _straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between, and nobody's own token is sent."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")


def client_of(module: str, name: str) -> Any:
    """A class of a library that is perhaps not installed, without what its import warns of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        try:
            return getattr(importlib.import_module(module), name)
        except ImportError:
            pytest.skip(f"{module.partition('.')[0]} is not installed: it is in polyseme[dev,clients,peers]")


class TestOpenAI:
    @pytest.fixture
    def client(self, address: str) -> Iterator[Any]:
        made = client_of("openai", "OpenAI")
        with made(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            yield client

    def test_all_at_once(self, client: Any, of_all_kinds: dict[str, Path]) -> None:
        assert [model.id for model in client.models.list()][:3] == ["bert", "gpt", "word2vec"]
        assert client.models.retrieve("gpt").owned_by == "polyseme"
        coded = client.embeddings.create(model="bert", input=[TEXT, "a"])  # asks for base64
        plain = client.embeddings.create(model="bert", input=[TEXT, "a"], encoding_format="float")
        assert [row.embedding for row in coded.data] == [row.embedding for row in plain.data]
        expected = polyseme.load(of_all_kinds["bert"]).embed(TEXT)
        assert np.allclose(coded.data[0].embedding, expected, atol=1e-6)
        asked: dict[str, Any] = {"model": "gpt", "prompt": TEXT, "max_tokens": 4, "seed": 1}
        whole = client.completions.create(**asked, logprobs=2)
        assert len(whole.choices[0].logprobs.token_logprobs) == 4
        assert whole.usage.completion_tokens == 4
        with client.completions.create(**asked, stream=True) as stream:
            assert "".join(part.choices[0].text for part in stream) == whole.choices[0].text
        echo = client.completions.create(**{**asked, "max_tokens": 0}, echo=True, logprobs=0).choices[0]
        known = [value for value in echo.logprobs.token_logprobs if value is not None]
        assert sum(known) == pytest.approx(polyseme.load(of_all_kinds["gpt"]).score(TEXT))

    def test_errors_are_its_own(self, client: Any) -> None:
        openai = importlib.import_module("openai")
        with pytest.raises(openai.NotFoundError, match="continue texts"):
            client.chat.completions.create(model="gpt", messages=[])
        with pytest.raises(openai.BadRequestError, match="another vocabulary"):
            client.embeddings.create(model="bert", input=[1, 2])
        with pytest.raises(openai.UnprocessableEntityError, match="max_tokens"):
            client.completions.create(model="gpt", prompt="a", max_tokens=10**9)
        with pytest.raises(openai.BadRequestError, match="cannot generate") as met:
            client.completions.create(model="bert", prompt="a")
        assert met.value.body["fix"] == "a run that can: gpt"

    def test_many_at_once(self, address: str) -> None:
        made = client_of("openai", "AsyncOpenAI")

        async def ask() -> None:
            async with made(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
                asked: dict[str, Any] = {"model": "gpt", "prompt": TEXT, "max_tokens": 6, "seed": 1}

                async def streamed() -> str:
                    stream = await client.completions.create(**asked, stream=True)
                    return "".join([part.choices[0].text async for part in stream])

                whole, *texts = await asyncio.gather(
                    client.completions.create(**asked), *(streamed() for _ in range(3))
                )
                assert set(texts) == {whole.choices[0].text}
                rows = await asyncio.gather(
                    *(client.embeddings.create(model="bert", input=TEXT) for _ in range(4))
                )
                assert len({tuple(row.data[0].embedding) for row in rows}) == 1

        asyncio.run(ask())


class TestHuggingFace:
    """`huggingface_hub.InferenceClient`; test_hf.py has what each answer must be."""

    @pytest.fixture
    def to(self, address: str) -> Any:
        made = client_of("huggingface_hub", "InferenceClient")
        return lambda run: made(model=f"{address}/models/{run}")

    def test_fill_mask(self, to: Any) -> None:
        best, *others = to("bert").fill_mask("the [MASK] sees", top_k=3)
        assert (len(others), best.sequence) == (2, f"the {best.token_str} sees")
        one, two = to("bert").fill_mask("the [MASK] [MASK]")
        assert (len(one), two[0].score > 0) == (5, True)
        errors = importlib.import_module("huggingface_hub.errors")
        with pytest.raises(errors.BadRequestError, match=r"no \[MASK\] in the text"):
            to("bert").fill_mask(TEXT)

    def test_feature_extraction(self, to: Any, of_all_kinds: dict[str, Path]) -> None:
        expected = polyseme.load(of_all_kinds["bert"]).embed([TEXT, "a"])
        found = to("bert").feature_extraction([TEXT, "a"], normalize=False)
        assert np.allclose(found, expected, atol=1e-6)
        assert to("gpt/pipeline/feature-extraction").feature_extraction(TEXT).shape == (1, 16)

    def test_sentence_similarity(self, to: Any) -> None:
        assert to("bert").sentence_similarity("the cat", ["a dog", "the cat"])[1] == pytest.approx(
            1, abs=1e-5
        )

    def test_token_classification(self, to: Any) -> None:
        words = to("tag").token_classification(TEXT, aggregation_strategy="none", ignore_labels=[])
        assert [word.word for word in words] == TEXT.split()
        groups = to("tag").token_classification(TEXT)
        assert all(TEXT[group.start : group.end] == group.word for group in groups)

    def test_text_classification(self, to: Any) -> None:
        best, other = to("classify").text_classification(TEXT)
        assert {best.label, other.label} == {"good", "bad"}
        assert best.score + other.score == pytest.approx(1, abs=1e-4)

    def test_question_answering(self, to: Any) -> None:
        context = "a cat sees the river"
        found = to("qa").question_answering(question="what", context=context)
        assert context[found.start : found.end] == found.answer
        assert len(to("qa").question_answering(question="what", context=context, top_k=2)) == 2

    @pytest.mark.parametrize("run", ["bert", "gpt"])
    def test_zero_shot_classification(self, run: str, to: Any) -> None:
        found = to(run).zero_shot_classification(TEXT, ["good", "bad"], hypothesis_template="the {} day")
        assert sum(row.score for row in found) == pytest.approx(1)

    def test_text_generation(self, to: Any) -> None:
        client, asked = to("gpt"), {"max_new_tokens": 5}
        text = client.text_generation(TEXT, **asked)
        assert "".join(client.text_generation(TEXT, **asked, stream=True)) == text
        whole = client.text_generation(TEXT, **asked, details=True)
        assert (whole.generated_text, whole.details.finish_reason) == (text, "length")
        *_, last = client.text_generation(TEXT, **asked, details=True, stream=True)
        assert (last.generated_text, last.details.generated_tokens) == (text, 5)
        full = client.text_generation(TEXT, **asked, return_full_text=True, do_sample=True, seed=1)
        assert full.startswith(TEXT)
        errors = importlib.import_module("huggingface_hub.errors")
        with pytest.raises(errors.BadRequestError, match="typical_p is not served"):
            client.text_generation(TEXT, typical_p=0.5)

    def test_text_generation_beside_others(self, address: str) -> None:
        made = client_of("huggingface_hub", "AsyncInferenceClient")

        async def ask() -> set[str]:
            async with made(model=f"{address}/models/gpt") as client:

                async def streamed() -> str:
                    pieces = await client.text_generation(TEXT, max_new_tokens=5, stream=True)
                    return "".join([piece async for piece in pieces])

                whole = client.text_generation(TEXT, max_new_tokens=5)
                return {*await asyncio.gather(whole, *(streamed() for _ in range(3)))}

        assert len(asyncio.run(ask())) == 1

    def test_what_is_served(self, address: str) -> None:
        made = client_of("huggingface_hub", "InferenceClient")
        client = made(model=f"{address}/models/bert", provider="hf-inference")
        assert client.health_check()
        assert client.get_endpoint_info()["model_id"] == "bert"


def test_llama_index(address: str, of_all_kinds: dict[str, Path]) -> None:
    made = client_of("llama_index.embeddings.text_embeddings_inference", "TextEmbeddingsInference")
    client = made(model_name="bert", base_url=f"{address}/models/bert")
    expected = polyseme.load(of_all_kinds["bert"]).embed([TEXT, "a"])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(client.get_text_embedding_batch([TEXT, "a"]), expected, atol=1e-5)
    assert np.allclose(client.get_query_embedding(TEXT), expected[0], atol=1e-5)


def test_langchain(address: str, of_all_kinds: dict[str, Path]) -> None:
    asked = {"base_url": f"{address}/v1", "api_key": "none", "max_retries": 0}
    made = client_of("langchain_openai", "OpenAIEmbeddings")
    vectors = made(model="bert", check_embedding_ctx_length=False, **asked).embed_documents([TEXT, "a"])
    assert np.allclose(vectors, polyseme.load(of_all_kinds["bert"]).embed([TEXT, "a"]), atol=1e-6)
    writer = client_of("langchain_openai", "OpenAI")(model="gpt", max_tokens=5, temperature=0, **asked)
    text = writer.invoke(TEXT)
    assert text == polyseme.load(of_all_kinds["gpt"]).generate(TEXT, max_new_tokens=5, temperature=0).text
    assert "".join(writer.stream(TEXT)) == text


@pytest.mark.parametrize("run", ["gpt", "bert"])
def test_lm_eval(run: str, address: str, of_all_kinds: dict[str, Path]) -> None:
    """`local-completions` with the server's tokenizer; bench/pairs_vs_harnesses.py --served has BLiMP."""
    made = client_of("lm_eval.models.openai_completions", "LocalCompletionsAPI")
    instance = client_of("lm_eval.api.instance", "Instance")
    base_url = f"{address}/models/{run}/v1/completions"
    client = made(model=run, base_url=base_url, tokenizer_backend="remote", batch_size=2)
    texts = [TEXT, "a dog", "the bird likes the river"]
    asked = [instance("loglikelihood", {}, ("", text), number) for number, text in enumerate(texts)]
    model = polyseme.load(of_all_kinds[run])
    found = [value for value, _ in client.loglikelihood(asked)]
    assert found == pytest.approx([model.score(text, within_word=run == "bert") for text in texts], rel=1e-5)
    if run == "gpt":
        until = {"until": ["\n"], "max_gen_toks": 4}
        (text,) = client.generate_until([instance("generate_until", {}, (TEXT, until), 0)])
        assert text == model.generate(TEXT, max_new_tokens=4, temperature=0).text
