"""One YAML file = one run. Unknown keys are refused by name; the arithmetic is settled by the machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from pal.errors import RecipeError

if TYPE_CHECKING:
    import torch

RECIPES = Path(__file__).with_name("recipes")
Task = Literal["baseline", "stage1", "align", "realign", "consistency"]
TASKS: tuple[str, ...] = get_args(Task)
Precision = Literal["fp32", "bf16", "auto"]
AtLeastOne = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
_ONLY_KNOWN = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_ONLY_KNOWN)
class DataSource:
    """A dialogues file and how it is used.

    ``exhaustive``: unlabelled turns aside, its labels name every persona
    sentence that a turn entails, so "none" can be learned from it.
    ``repeat`` shows it more than once an epoch, each time shuffled anew.
    """

    file: str
    speakers: tuple[str, ...] = ("B",)
    exhaustive: bool = True
    limit: int = 0
    repeat: int = 1


@dataclass(frozen=True, config=_ONLY_KNOWN)
class Recipe:
    """Everything that decides a run besides the data itself.

    ``questions``: dialogues made from persona_response_pairs. ``plain_answers``: dialogues of
    plain questions whose answers keep the sentence's details, made from the same file.
    ``selection_weight``: weight of the selection task beside the reply task,
    each being its own mean. ``mistaken_selections``: share of the earlier
    selections shown wrong (see ``examples.mistaken``). ``skip_parroting``: replies
    that recite a persona sentence carry no loss and make no pair, but for plain answers.
    ``parroting_draws``: replies drawn from Stage 1 for each pair, the first of
    which that recites unasked is rejected in a further pair. ``untrue_draws``: replies drawn
    for each pair of a right one over a wrong one. ``batch``: examples (SFT) or
    dialogues (align) per optimizer step. ``sft_weight``: weight of the chosen replies' own
    cross-entropy beside DPO. ``positive_weight``: λ of DPO-Positive, 0 is plain DPO.
    ``length_normalised``: preferences compare log-probabilities per token. ``restarts``:
    steps at which the learning rate's schedule begins anew (SGDR, Loshchilov and Hutter
    2017). ``micro_batch_tokens``: padded tokens per forward pass (one example at least).
    ``precision``: fp32, bf16, or auto, which ``settled`` replaces. ``steps`` 0: as
    ``epochs`` gives. ``mined``: hard negatives of each kind, ``contradiction_repeat``: how often a labelled
    contradiction is shown an epoch (consistency only).
    """

    task: Task
    data: tuple[DataSource, ...] = ()
    questions_file: str = ""
    questions: int = 0
    plain_answers: int = 0
    seed: int = 1
    epochs: float = 1.0
    steps: int = 0
    batch: AtLeastOne = 8
    learning_rate: Positive = 5e-4
    warmup_steps: int = 20
    final_learning_rate: float = 0.05  # share of the peak at the end of the cosine
    restarts: tuple[int, ...] = ()
    weight_decay: float = 0.0
    clip: float = 1.0
    selection_weight: float = 1.0
    mistaken_selections: float = 0.0
    skip_parroting: bool = False
    parroting_draws: int = 0
    untrue_draws: int = 4
    rank: AtLeastOne = 16
    alpha: int = 32
    dropout: float = 0.0
    max_tokens: AtLeastOne = 1024
    micro_batch_tokens: AtLeastOne = 1
    precision: Precision = "fp32"
    beta: Positive = 0.1
    sft_weight: float = 0.0
    positive_weight: float = 0.0
    length_normalised: bool = False
    mined: int = 0
    contradiction_repeat: int = 1
    save_steps: AtLeastOne = 25
    dev_steps: AtLeastOne = 40
    dev_dialogues: int = 40

    @field_validator("restarts", mode="before")
    @classmethod
    def _rising(cls, entry: object) -> tuple[int, ...]:
        steps = tuple(entry) if isinstance(entry, list | tuple) else (entry,)
        if not all(isinstance(step, int) and step > 0 for step in steps) or list(steps) != sorted(set(steps)):
            raise ValueError("it must be a rising list of steps")
        return steps

    def resolved(self) -> str:
        """The recipe as YAML, every setting written out."""
        content = dataclasses.asdict(self)
        content["data"] = [{**source, "speakers": list(source["speakers"])} for source in content["data"]]
        content["restarts"] = list(self.restarts)
        return yaml.safe_dump(content, sort_keys=False)


def load_recipe(name: str, task: str, overrides: dict[str, object] | None = None) -> Recipe:
    """Recipe ``name`` ("cpu", "gpu" or a YAML file's path) for a task.

    A file may hold one run, or one section per task.

    Raises:
        RecipeError: no such recipe, an unknown key, or an impossible value.
    """
    path, content = _read(name)
    if set(content) & set(TASKS):
        if task not in content:
            raise RecipeError(f"{path}: has no section for “{task}”.")
        content = content[task]
    return build_recipe({**content, "task": task, **(overrides or {})}, str(path))


def tasks_of(name: str) -> set[str]:
    """The tasks that a recipe has a section for.

    Raises:
        RecipeError: no such recipe, or it cannot be read.
    """
    return set(_read(name)[1]) & set(TASKS)


def _read(name: str) -> tuple[Path, dict]:
    path = RECIPES / f"{name}.yaml" if (RECIPES / f"{name}.yaml").exists() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise RecipeError(f"No recipe “{name}”: give one of {known}, or the path of a YAML file.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML ({error}).") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: expected settings by name.")
    return path, content


def build_recipe(content: dict, origin: str) -> Recipe:
    """Recipe from settings by name; see ``load_recipe`` for the errors."""
    try:
        return _RECIPE.validate_python(content)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_sentence(error)}") from None


_RECIPE = TypeAdapter(Recipe)


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, as a sentence that names setting and value."""
    first = error.errors(include_url=False)[0]
    kind, value = first["type"], first["input"]
    names = [part for part in first["loc"] if isinstance(part, str)]
    owner = DataSource if names[:1] == ["data"] and len(first["loc"]) > 2 else Recipe
    fields = {item.name: item for item in dataclasses.fields(owner)}
    key = names[-1]
    if kind == "unexpected_keyword_argument":
        return f"unknown setting “{key}”; known are {', '.join(fields)}."
    if kind == "missing":
        return f"{key} is missing."
    if kind == "literal_error" and key == "task":
        return f"unknown task “{value}”; it is one of {', '.join(TASKS)}."
    if kind == "literal_error":
        return f"{key} “{value}” is unknown; it is fp32, bf16, or auto (what is fast)."
    if key == "data":
        return f"each entry of data needs at least a file, not {value!r}."
    return f"{key} is {value!r}; {_demand(first, fields[key].default)}."


def _demand(error: dict, default: object) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "greater_than_equal":
        return f"it must be at least {error['ctx']['ge']}"
    if error["type"] == "greater_than":
        return f"it must be above {error['ctx']['gt']:g}"
    if isinstance(default, float):
        return "it must be a number"
    if error["type"] == "string_type":
        return "it must be text"
    return f"it must be of the kind of {default!r}"


def fast_bf16(device: torch.device) -> bool:
    """GPUs, and CPUs with bf16 instructions (Intel since 2023, AMD since 2022).

    On others bf16 was measured at a tenth of fp32's speed.
    """
    import torch

    return device.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def settled(recipe: Recipe) -> Recipe:
    """The recipe with ``precision: auto`` replaced by what is fast on this machine.

    The record then names the arithmetic that was used.
    """
    if recipe.precision != "auto":
        return recipe
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return dataclasses.replace(recipe, precision="bf16" if fast_bf16(device) else "fp32")
