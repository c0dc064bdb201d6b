"""Recipes: one resolved description of a run, from defaults < recipe file < --set.

architecture = "bert"
objectives = ["masked_lm", "next_sentence"]
[model]  [train]  [data]  [tokenizer]  [text]  [masked_lm]  [next_sentence]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.core import registry
from polyseme.core.config import Config, read_toml, suggest
from polyseme.core.synonyms import OPTIONS
from polyseme.errors import ConfigError
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.train.config import DataConfig, TrainConfig
from polyseme.train.tensorboard import check_tensorboard

FOLDER = Path(__file__).resolve().parent.parent / "recipes"

SECTIONS: dict[str, type[Config]] = {
    "train": TrainConfig,
    "data": DataConfig,
    "tokenizer": TokenizerConfig,
    "text": TextConfig,
}

SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
)
"""Fields of models that `train.size = "auto"` chooses; to name one is to choose oneself."""


class Recipe:
    """Everything that decides a run but its corpus, budget and seed.

    Args:
        architecture: registry key of the model.
        objectives: registry keys of what is learned, the main one first.
        sections: the values of every section, resolved.

    Example:
        recipe = resolve("modernbert", settings={"hidden_size": 192, "train.learning_rate": 3e-3})
        recipe.section("train").learning_rate
    """

    def __init__(self, architecture: str, objectives: list[str], sections: dict[str, Config]) -> None:
        self.architecture, self.objectives, self._sections = architecture, objectives, sections

    def section(self, name: str) -> Any:
        """A section's frozen configuration."""
        return self._sections[name]

    def with_model(self, **changes: Any) -> Recipe:
        """The same recipe with other model fields.

        Raises:  ConfigError: they do not fit together.
        """
        config = self._sections["model"]
        model = type(config).of({**config.model_dump(), **changes}, "the model")
        return Recipe(self.architecture, self.objectives, {**self._sections, "model": model})

    def with_section(self, name: str, **changes: Any) -> Recipe:
        """The same recipe with other values in a section."""
        config = self._sections[name]
        changed = type(config).of({**config.model_dump(), **changes}, f"[{name}]")
        return Recipe(self.architecture, self.objectives, {**self._sections, name: changed})

    def without(self, *objectives: str) -> Recipe:
        """The same recipe without these objectives."""
        sections = {name: config for name, config in self._sections.items() if name not in objectives}
        return Recipe(self.architecture, [o for o in self.objectives if o not in objectives], sections)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, complete: `from_dict` gives it back."""
        return {
            "architecture": self.architecture,
            "objectives": self.objectives,
            **{name: config.model_dump(mode="json") for name, config in self._sections.items()},
        }


def from_dict(values: Mapping[str, Any]) -> Recipe:
    """The recipe that `as_dict` described; an imported encoder has no objectives."""
    return _build(dict(values), "run.json", bare=True)


def resolve(
    architecture: str, recipe: str | None = None, settings: Mapping[str, Any] | None = None
) -> Recipe:
    """Put a recipe together.

    Args:
        architecture: the model's registry key.
        recipe: name of one of ours, or a path to a TOML file; None = the one named like the model.
        settings: from --set: bare names are model fields, others "section.key".

    Raises:  ConfigError: an unknown model, recipe, section or key (the nearest is suggested), or a bad value.
    """
    architecture = architecture.replace("_", "-")
    path = _file_of(architecture) if recipe is None else _find(recipe)
    values = {} if path is None else read_toml(path)
    if values.setdefault("architecture", architecture) != architecture:
        raise ConfigError(
            "the recipe is for another model",
            got=values["architecture"],
            expected=architecture,
            where=path,
            fix=f"polyseme pretrain {values['architecture']} … --recipe {recipe}",
        )
    for key, value in (settings or {}).items():
        _set(values, architecture, key, value)
        if key.removeprefix("model.") in SIZES:
            values["train"] = {**values.get("train", {}), "size": "given"}
    return _can_run(_build(values, "the defaults" if path is None else path.name))


def adapted(start: Recipe, task: str, sections: Mapping[str, Any], settings: Mapping[str, Any]) -> Recipe:
    """The recipe of a task on top of a run.

    Args:
        start: the run's recipe: its model, tokenizer and cleaning of text stay.
        task: registry key.
        sections: the task's defaults, by section and key.
        settings: from --set.
    Raises:  ConfigError: an unknown key, a bad value, or another size of the model.
    """
    values = {**start.as_dict(), "objectives": [task], "train": {}, "data": {}}
    for name in start.objectives:
        values.pop(name, None)
    for section, defaults in sections.items():
        values.setdefault(section, {}).update(defaults)
    model = dict(values["model"])
    for key, value in settings.items():
        if key == "objectives":
            raise ConfigError("the task says what is learned", got=value, where="--set", fix="leave it out")
        _set(values, start.architecture, key, value)
        if key in ("vocab_size", "train.size") or key.partition(".")[0] in ("tokenizer", "text", "data"):
            raise ConfigError(f"the run fixes {key}", got=value, where="--set", fix="leave it out")
    for key, value in values["model"].items():
        if value != model.get(key) and "dropout" not in key:
            raise ConfigError(
                f"the run fixes {key}", got=value, expected=model.get(key), where="--set", fix="leave it out"
            )
    return _can_run(_build(values, "--set"))


def _can_run(recipe: Recipe) -> Recipe:
    """Raises:  ConfigError: a library that the recipe asks for is not installed."""
    if recipe.section("train").tensorboard:
        check_tensorboard()
    return recipe


def recipe_names() -> list[str]:
    """Names of the recipes that come with polyseme."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def recipes_of(architecture: str) -> list[str]:
    """Names of those for one model."""
    return [
        name for name in recipe_names() if read_toml(FOLDER / f"{name}.toml")["architecture"] == architecture
    ]


def _file_of(architecture: str) -> Path | None:
    """The recipe file that pretrains a model by default; None = the model's defaults."""
    ours, theirs = FOLDER / f"{architecture}.toml", registry.models.load(architecture).recipe
    return theirs or (ours if ours.is_file() else None)


def _find(recipe: str) -> Path:
    ours = FOLDER / f"{recipe}.toml"
    if ours.is_file():
        return ours
    if recipe.endswith(".toml"):
        return Path(recipe)
    raise ConfigError(f"unknown recipe {recipe!r}", fix=suggest(recipe, recipe_names()))


def _set(values: dict[str, Any], architecture: str, key: str, value: Any) -> None:
    model_fields = registry.models.load(architecture).config.model_fields
    section, dot, name = key.partition(".")
    if not dot and section == "objectives":
        values["objectives"] = value.split(",") if isinstance(value, str) else value
        return
    if not dot and section == "vocab_size":
        section, name = "tokenizer", "vocab_size"
    elif not dot:
        section, name = "model", key
    known = {"model": model_fields, **{title: config.model_fields for title, config in SECTIONS.items()}}
    known |= {
        learned.replace("-", "_"): registry.learned(learned).config.model_fields
        for learned in [*registry.objectives.names(), *values.get("objectives", [])]
    }
    if section not in known or name not in known[section]:
        options = {*model_fields, "objectives"} | {
            f"{table}.{field}" for table, fields in known.items() for field in fields
        }
        nearest = suggest(key, options)
        if nearest.startswith("one of"):  # too many to list: perhaps the right key without its section
            matching = sorted(option for option in options if option.endswith(f".{name}"))
            nearest = (
                f"did you mean {' or '.join(matching)}?" if matching else _known_elsewhere(key, model_fields)
            )
        raise ConfigError(f"unknown key {key!r}", where="--set", fix=nearest)
    values.setdefault(section, {})[name] = value


def _known_elsewhere(key: str, model_fields: Mapping[str, Any]) -> str:
    """Our name for a key of another program, else the keys that the model has."""
    for option in OPTIONS.get("--" + key.replace("_", "-"), ()):
        name = option.strip("-=").replace("-", "_")
        if name in model_fields or "." in name:
            return f"did you mean {name}?"
        if name in ("learning_rate", "batch_size"):
            return f"did you mean train.{name}?"
    return "keys of the model: " + ", ".join(sorted(model_fields))


def _build(values: dict[str, Any], where: str, bare: bool = False) -> Recipe:
    values = dict(values)
    architecture = values.pop("architecture")
    entry = registry.models.load(architecture)
    objectives = values.pop("objectives", list(entry.objectives))
    if not isinstance(objectives, list) or not (objectives or bare):
        raise ConfigError("objectives must be a list of names", got=objectives, where=where)
    objectives = [str(name).strip().replace("-", "_") for name in objectives]
    if len(set(objectives)) < len(objectives):
        raise ConfigError("an objective is named twice", got=objectives, where=where)
    classes: dict[str, type[Config]] = {"model": entry.config, **SECTIONS}
    classes |= {name: registry.learned(name).config for name in objectives}
    all_sections = {
        name.replace("-", "_") for name in (*registry.objectives.names(), *registry.tasks.names())
    }
    sections = {
        name: config.of(values.pop(name, {}), f"{where} [{name}]") for name, config in classes.items()
    }
    for name in values:
        if name not in all_sections:  # the section of an objective that is not used may stay
            raise ConfigError(
                f"unknown section [{name}]",
                where=where,
                fix=suggest(name, {*classes, *all_sections, "objectives"}),
            )
    return Recipe(architecture, objectives, sections)
